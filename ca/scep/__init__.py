"""RFC 8894: its messages, their bytes, and the capabilities. Allows nothing and stores nothing."""
