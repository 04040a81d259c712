"""Says why: what is wrong with a message or an answer, whom it hurts, and how it is mended."""
