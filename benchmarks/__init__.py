"""How fast the server is, measured beside another one in the same run."""
