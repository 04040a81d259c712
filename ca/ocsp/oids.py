"""Object identifiers of OCSP (RFC 6960, RFC 9654)."""

BASIC_RESPONSE = "1.3.6.1.5.5.7.48.1.1"
NONCE = "1.3.6.1.5.5.7.48.1.2"
NO_CHECK = "1.3.6.1.5.5.7.48.1.5"
