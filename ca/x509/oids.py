"""Object identifiers of X.509 and PKCS #9 (RFC 5280, RFC 2985), and their short names."""

BASIC_CONSTRAINTS = "2.5.29.19"
KEY_USAGE = "2.5.29.15"
EXTENDED_KEY_USAGE = "2.5.29.37"
SUBJECT_ALT_NAME = "2.5.29.17"
SUBJECT_KEY_IDENTIFIER = "2.5.29.14"
AUTHORITY_KEY_IDENTIFIER = "2.5.29.35"
CRL_NUMBER = "2.5.29.20"
REASON_CODE = "2.5.29.21"
CRL_DISTRIBUTION_POINTS = "2.5.29.31"
AUTHORITY_INFORMATION_ACCESS = "1.3.6.1.5.5.7.1.1"
OCSP_ACCESS = "1.3.6.1.5.5.7.48.1"
CA_ISSUERS_ACCESS = "1.3.6.1.5.5.7.48.2"
MICROSOFT_SID = "1.3.6.1.4.1.311.25.2"
MICROSOFT_SID_VALUE = "1.3.6.1.4.1.311.25.2.1"
USER_PRINCIPAL_NAME = "1.3.6.1.4.1.311.20.2.3"
COMMON_NAME = "2.5.4.3"

CLIENT_AUTH = "1.3.6.1.5.5.7.3.2"
# What NDES gives its RA certificates, and Windows looks for.
CERTIFICATE_REQUEST_AGENT = "1.3.6.1.4.1.311.20.2.1"
OCSP_SIGNING = "1.3.6.1.5.5.7.3.9"
ANY_EXTENDED_KEY_USAGE = "2.5.29.37.0"
# The names a settings file may use; any other is written as a dotted OID.
KEY_PURPOSES = {
    "serverAuth": "1.3.6.1.5.5.7.3.1",
    "clientAuth": CLIENT_AUTH,
    "codeSigning": "1.3.6.1.5.5.7.3.3",
    "emailProtection": "1.3.6.1.5.5.7.3.4",
    "ipsecIKE": "1.3.6.1.5.5.7.3.17",
    "smartcardLogon": "1.3.6.1.4.1.311.20.2.2",
}

CHALLENGE_PASSWORD = "1.2.840.113549.1.9.7"  # noqa: S105 - an OID, no password
EXTENSION_REQUEST = "1.2.840.113549.1.9.14"
MICROSOFT_EXTENSION_REQUEST = "1.3.6.1.4.1.311.2.1.14"

# RFC 4514 3, and what administrators expect to read beyond it.
ATTRIBUTE_NAMES = {
    "2.5.4.3": "CN",
    "2.5.4.4": "SN",
    "2.5.4.5": "serialNumber",
    "2.5.4.6": "C",
    "2.5.4.7": "L",
    "2.5.4.8": "ST",
    "2.5.4.9": "STREET",
    "2.5.4.10": "O",
    "2.5.4.11": "OU",
    "2.5.4.12": "title",
    "2.5.4.42": "GN",
    "2.5.4.46": "dnQualifier",
    "0.9.2342.19200300.100.1.1": "UID",
    "0.9.2342.19200300.100.1.25": "DC",
    "1.2.840.113549.1.9.1": "emailAddress",
    "1.2.840.113549.1.9.2": "unstructuredName",
    "1.2.840.113549.1.9.8": "unstructuredAddress",
}
# RFC 4514 2.3: the short names are not case-sensitive.
ATTRIBUTE_OIDS = {name.casefold(): oid for oid, name in ATTRIBUTE_NAMES.items()}
