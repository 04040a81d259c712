"""Online certificate status (RFC 6960, RFC 5019): a question read, an answer signed."""
