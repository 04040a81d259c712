"""Independent SCEP clients against the service as users start it; nothing here imports it."""
