"""Which test proves which requirement: the catalogue, and docs/conformance.md that is written from it."""
