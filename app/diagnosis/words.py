"""Object identifiers and elements in words. Nothing is judged here."""

from app.diagnosis.tlv import Tlv
from ca.algorithms import ciphers, digests
from ca.algorithms.identifier import AlgorithmIdentifier
from ca.algorithms.key_transport import RSAES_OAEP
from ca.algorithms.keys import ED25519, RSA_ENCRYPTION
from ca.algorithms.signatures import RSASSA_PSS, SignatureAlgorithm
from ca.asn1 import Asn1Error, read, strings, tags
from ca.deviations import Deviations
from ca.errors import BadAlgorithm
from ca.scep import oids as scep_oids
from ca.x509 import oids
from ca.x509.name import Name

# As ca.pkcs7 has them, which is the codec's alone to speak (tests/test_architecture.py).
DATA = "1.2.840.113549.1.7.1"
SIGNED_DATA = "1.2.840.113549.1.7.2"
ENVELOPED_DATA = "1.2.840.113549.1.7.3"
AUTH_ENVELOPED_DATA = "1.2.840.113549.1.9.16.1.23"
CONTENT_TYPE = "1.2.840.113549.1.9.3"
MESSAGE_DIGEST = "1.2.840.113549.1.9.4"
SIGNING_TIME = "1.2.840.113549.1.9.5"

_RSA = "1.2.840.113549.1.1."
_NAMES = {
    DATA: "id-data",
    SIGNED_DATA: "id-signedData",
    ENVELOPED_DATA: "id-envelopedData",
    AUTH_ENVELOPED_DATA: "id-ct-authEnvelopedData",
    CONTENT_TYPE: "contentType",
    MESSAGE_DIGEST: "messageDigest",
    SIGNING_TIME: "signingTime",
    "1.2.840.113549.1.9.52": "cmsAlgorithmProtect",
    **scep_oids.NAMES,
    RSA_ENCRYPTION: "rsaEncryption",
    RSAES_OAEP: "RSAES-OAEP",
    RSASSA_PSS: "RSASSA-PSS",
    ED25519: "Ed25519",
    f"{_RSA}4": "md5WithRSAEncryption",
    f"{_RSA}5": "sha1WithRSAEncryption",
    f"{_RSA}11": "sha256WithRSAEncryption",
    f"{_RSA}12": "sha384WithRSAEncryption",
    f"{_RSA}13": "sha512WithRSAEncryption",
    f"{_RSA}14": "sha224WithRSAEncryption",
    "1.2.840.10045.2.1": "ecPublicKey",
    "1.2.840.10045.4.1": "ecdsa-with-SHA1",
    "1.2.840.10045.4.3.2": "ecdsa-with-SHA256",
    "1.2.840.10045.4.3.3": "ecdsa-with-SHA384",
    "1.2.840.10045.4.3.4": "ecdsa-with-SHA512",
    **{one.oid: one.name for one in digests.DIGESTS},
    **{one.oid: one.name for one in ciphers.CIPHERS},
    oids.BASIC_CONSTRAINTS: "basicConstraints",
    oids.KEY_USAGE: "keyUsage",
    oids.EXTENDED_KEY_USAGE: "extKeyUsage",
    oids.SUBJECT_ALT_NAME: "subjectAltName",
    oids.SUBJECT_KEY_IDENTIFIER: "subjectKeyIdentifier",
    oids.AUTHORITY_KEY_IDENTIFIER: "authorityKeyIdentifier",
    oids.CRL_NUMBER: "cRLNumber",
    oids.CRL_DISTRIBUTION_POINTS: "cRLDistributionPoints",
    oids.AUTHORITY_INFORMATION_ACCESS: "authorityInfoAccess",
    oids.OCSP_ACCESS: "OCSP",
    oids.CA_ISSUERS_ACCESS: "caIssuers",
    oids.MICROSOFT_SID: "Microsoft SID",
    oids.CHALLENGE_PASSWORD: "challengePassword",
    oids.EXTENSION_REQUEST: "extensionRequest",
    oids.CERTIFICATE_REQUEST_AGENT: "Certificate Request Agent",
    oids.OCSP_SIGNING: "OCSPSigning",
    oids.ANY_EXTENDED_KEY_USAGE: "anyExtendedKeyUsage",
    **{oid: name for name, oid in oids.KEY_PURPOSES.items()},
    **oids.ATTRIBUTE_NAMES,
}
_TYPES = {
    tags.BOOLEAN: "BOOLEAN",
    tags.INTEGER: "INTEGER",
    tags.BIT_STRING: "BIT STRING",
    tags.OCTET_STRING: "OCTET STRING",
    tags.NULL: "NULL",
    tags.OBJECT_IDENTIFIER: "OBJECT IDENTIFIER",
    tags.ENUMERATED: "ENUMERATED",
    tags.UTF8_STRING: "UTF8String",
    tags.NUMERIC_STRING: "NumericString",
    tags.PRINTABLE_STRING: "PrintableString",
    tags.T61_STRING: "T61String",
    tags.IA5_STRING: "IA5String",
    tags.UTC_TIME: "UTCTime",
    tags.GENERALIZED_TIME: "GeneralizedTime",
    tags.VISIBLE_STRING: "VisibleString",
    tags.UNIVERSAL_STRING: "UniversalString",
    tags.BMP_STRING: "BMPString",
    tags.SEQUENCE & ~tags.CONSTRUCTED: "SEQUENCE",
    tags.SET & ~tags.CONSTRUCTED: "SET",
}
_SHOWN_OCTETS = 64


def oid_name(oid: str) -> str:
    """The name of an OID, and the OID itself where it has none here."""
    return _NAMES.get(oid, oid)


def oid_of(one: Tlv | None) -> str:
    """The dotted text of an OBJECT IDENTIFIER; empty where there is none that can be read."""
    try:
        return read(one.raw, "oid", Deviations()).oid() if one is not None else ""
    except Asn1Error:
        return ""


def algorithm_oid(one: Tlv | None) -> str:
    """The OID of an AlgorithmIdentifier; empty where there is none that can be read."""
    return oid_of(one.child(0)) if one is not None else ""


def type_name(tag: int) -> str:
    """What kind of element a tag stands for."""
    if tag & 0xC0 == 0x80:
        return f"[{tag & 0x1F}]"
    return _TYPES.get(tag & ~tags.CONSTRUCTED, f"tag {tag:#04x}")


def hexadecimal(octets: bytes) -> str:
    """Octets in hexadecimal, the first 64 of them."""
    shown = octets[:_SHOWN_OCTETS].hex()
    return shown if len(octets) <= _SHOWN_OCTETS else f"{shown}... ({len(octets)} octets)"


def value_of(one: Tlv) -> str:
    """The value of an element that has no parts, in words; hexadecimal where it has none."""
    try:
        element = read(one.raw, "value", Deviations())
        match one.tag:
            case tags.INTEGER:
                return hexadecimal(one.content) if len(one.content) > 8 else str(element.integer())
            case tags.OBJECT_IDENTIFIER:
                oid = element.oid()
                return oid if oid_name(oid) == oid else f"{oid_name(oid)} ({oid})"
            case tags.BOOLEAN:
                return str(element.boolean()).upper()
            case tags.UTC_TIME | tags.GENERALIZED_TIME:
                return f"{element.time():%Y-%m-%d %H:%M:%S} UTC"
            case tags.NULL:
                return ""
        return strings.text(element)
    except Asn1Error:
        return hexadecimal(one.content)


def name_of(one: Tlv | None) -> str:
    """A distinguished name as text; what cannot be read is said to be so."""
    if one is None:
        return "(missing)"
    try:
        return str(Name.read(read(one.raw, "name", Deviations()))) or "(empty)"
    except Asn1Error as error:
        return f"(unreadable: {error})"


def serial_of(one: Tlv | None) -> str:
    """A serial number in lower-case hexadecimal."""
    return one.content.hex().lstrip("0") or "0" if one is not None else "(missing)"


def signature_name(one: Tlv | None) -> str:
    """The name of a signature algorithm, PSS with its digest."""
    oid = algorithm_oid(one)
    if oid != RSASSA_PSS or one is None:
        return oid_name(oid) or "(unreadable)"
    try:
        digest = SignatureAlgorithm.read(read(one.raw, "algorithm", Deviations())).digest
    except (Asn1Error, BadAlgorithm):
        return oid_name(oid)
    return f"{oid_name(oid)} with {digest.name}" if digest else oid_name(oid)


def is_signature_algorithm(oid: str) -> bool:
    """Whether an OID that should be a digest's is a signature algorithm's."""
    return oid.startswith(_RSA) or "ecdsa" in oid_name(oid)


def has_parameters(one: Tlv) -> bool:
    """Whether an AlgorithmIdentifier has parameters other than NULL."""
    try:
        return AlgorithmIdentifier.read(read(one.raw, "algorithm", Deviations())).parameters is not None
    except Asn1Error:
        return False
