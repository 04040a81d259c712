"""A client's own material: the CSR with its challenge password, and the self-signed certificate."""

from datetime import UTC, datetime, timedelta
from ipaddress import ip_address

from cryptography import x509
from cryptography.hazmat.backends.openssl import backend
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import AttributeOID

from app.client.client import Identity
from ca.algorithms.keys import PrivateKey
from ca.asn1 import writer
from ca.x509 import oids
from ca.x509.certificate import Certificate
from ca.x509.general_names import GeneralName


def make_csr(
    subject: x509.Name, names: tuple[GeneralName, ...], key: PrivateKey, challenge_password: str
) -> bytes:
    """A PKCS #10 request in DER, signed over SHA-256; an empty challenge password is left out.

    The same request again is the same octets, by which a server knows it (RFC 8894 5.2); so ECDSA
    does without its random number (RFC 6979).
    """
    builder = x509.CertificateSigningRequestBuilder().subject_name(subject)
    if names:
        builder = builder.add_extension(
            x509.SubjectAlternativeName([_general_name(name) for name in names]), critical=False
        )
    if challenge_password:
        builder = builder.add_attribute(AttributeOID.CHALLENGE_PASSWORD, challenge_password.encode())
    deterministic = isinstance(key, ec.EllipticCurvePrivateKey) and backend.ecdsa_deterministic_supported()
    csr = builder.sign(key, _hash(key), ecdsa_deterministic=deterministic or None)
    return csr.public_bytes(serialization.Encoding.DER)


def make_identity(subject: x509.Name, key: PrivateKey) -> Identity:
    """A self-signed certificate with the CSR's subject and key, to sign with (RFC 8894 2.3)."""
    now = datetime.now(UTC)
    usage = x509.KeyUsage(
        digital_signature=True,
        key_encipherment=isinstance(key, rsa.RSAPrivateKey),
        content_commitment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=False,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=7))
        .add_extension(usage, critical=True)
        .sign(key, _hash(key))
    )
    return Identity(Certificate.load(certificate.public_bytes(serialization.Encoding.DER)), key)


def spki_of(key: PrivateKey) -> bytes:
    """The public half of *key*, as DER of the SubjectPublicKeyInfo."""
    return key.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )


def _hash(key: PrivateKey) -> hashes.SHA256 | None:
    """Ed25519 has a digest of its own, which goes without saying."""
    return None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256()


def _general_name(name: GeneralName) -> x509.GeneralName:
    match name.kind:
        case "dns":
            return x509.DNSName(name.value)
        case "email":
            return x509.RFC822Name(name.value)
        case "uri":
            return x509.UniformResourceIdentifier(name.value)
        case "ip":
            return x509.IPAddress(ip_address(name.value))
        case "upn":
            principal = x509.ObjectIdentifier(oids.USER_PRINCIPAL_NAME)
            return x509.OtherName(principal, writer.utf8_string(name.value))
    raise ValueError(f"a subjectAltName of kind {name.kind} cannot be asked for")
