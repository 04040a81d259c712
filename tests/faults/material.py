"""The keys and certificates of the server: made once, the certificates as a fault wants them."""

import secrets
import ssl
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, pkcs7
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID, ObjectIdentifier

from tests.faults.conduct import CaForm, Conduct

PURPOSES = {
    "serverAuth": ExtendedKeyUsageOID.SERVER_AUTH,
    "requestAgent": ObjectIdentifier("1.3.6.1.4.1.311.20.2.1"),
}
_USAGES = (
    *("digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement"),
    *("key_cert_sign", "crl_sign", "encipher_only", "decipher_only"),
)
_PAGE = b"<html><head><title>Sign in</title></head><body>Please sign in.</body></html>\n"


@cache
def rsa_key(name: str) -> rsa.RSAPrivateKey:
    """The RSA key of that name; one called "weak" has 1024 bits."""
    return rsa.generate_private_key(65537, 1024 if name == "weak" else 2048)


@dataclass(frozen=True, slots=True)
class Material:
    """What the server has: its CA, who opens and signs messages, and what GetCACert says of them."""

    ca: x509.Certificate
    ca_key: rsa.RSAPrivateKey
    signer: x509.Certificate
    signing_key: rsa.RSAPrivateKey
    opening_key: rsa.RSAPrivateKey
    answer: bytes
    answer_type: str


def make_material(conduct: Conduct) -> Material:
    """Everything for a server of that conduct."""
    ca_key = rsa_key("ca" if conduct.ca.key == "ec" else conduct.ca.key)
    ca = _make_ca(conduct.ca, ca_key)
    signer, signer_key = ca, ca_key
    bundle = [ca]
    if conduct.ra_purposes is not None:
        signer_key = rsa_key("ra")
        signer = _make_under(ca, ca_key, "ra", conduct.ra_purposes)
        bundle = [signer, ca]
    if conduct.signing_key:
        signer_key = rsa_key(conduct.signing_key)
        signer = _make_under(ca, ca_key, conduct.signing_key, ())
    opening_key = rsa_key(conduct.opening_key) if conduct.opening_key else signer_key
    answer, answer_type = _answer(conduct.ca_form, ca, bundle)
    return Material(
        ca=ca,
        ca_key=ca_key,
        signer=signer,
        signing_key=signer_key,
        opening_key=ca_key if conduct.signing_key and not conduct.opening_key else opening_key,
        answer=answer,
        answer_type=conduct.ca_type or answer_type,
    )


def tls_context(wants_certificate: str = "") -> ssl.SSLContext:
    """HTTPS with a certificate that nobody but the server itself has signed, in the words of ``Conduct``."""
    key = rsa_key("tls")
    form = CaForm(is_ca=False, usage=frozenset({"digital_signature"}))
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with TemporaryDirectory() as folder:
        file = Path(folder, "tls.pem")
        file.write_bytes(private + _make_ca(form, key).public_bytes(Encoding.PEM))
        context.load_cert_chain(file)
    if "handshake" in wants_certificate:
        context.verify_mode = ssl.CERT_REQUIRED
    if "old" in wants_certificate:
        context.maximum_version = ssl.TLSVersion.TLSv1_2
    return context


def _answer(form: str, ca: x509.Certificate, bundle: list[x509.Certificate]) -> tuple[bytes, str]:
    """The body of GetCACert, and the type that belongs to it."""
    lone = "application/x-x509-ca-cert"
    match form:
        case "pem":
            return ca.public_bytes(Encoding.PEM), lone
        case "base64":
            lines = ca.public_bytes(Encoding.PEM).splitlines()
            return b"".join(lines[1:-1]), lone
        case "bundle":
            return pkcs7.serialize_certificates(bundle, Encoding.DER), "application/x-x509-ca-ra-cert"
        case "html":
            return _PAGE, "text/html"
    return ca.public_bytes(Encoding.DER), lone


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _usage(names: frozenset[str]) -> x509.KeyUsage:
    return x509.KeyUsage(**{name: name in names for name in _USAGES})


def _make_ca(form: CaForm, key: rsa.RSAPrivateKey) -> x509.Certificate:
    public: rsa.RSAPublicKey | ec.EllipticCurvePublicKey = key.public_key()
    if form.key == "ec":
        public = ec.generate_private_key(ec.SECP256R1()).public_key()
    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(_name("Fault CA"))
        .issuer_name(_name("Fault CA"))
        .public_key(public)
        .serial_number(_serial())
        .not_valid_before(now + timedelta(days=form.days[0]))
        .not_valid_after(now + timedelta(days=form.days[1]))
        .add_extension(x509.BasicConstraints(ca=form.is_ca, path_length=None), critical=True)
        .add_extension(_usage(form.usage), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
    )
    if form.purposes:
        builder = builder.add_extension(_purposes(form.purposes), critical=False)
    salted = padding.PSS(padding.MGF1(hashes.SHA256()), 32) if form.pss else None
    return builder.sign(key, hashes.SHA256(), rsa_padding=salted)


def _make_under(
    ca: x509.Certificate, ca_key: rsa.RSAPrivateKey, name: str, purposes: tuple[str, ...]
) -> x509.Certificate:
    """A certificate of the CA for one who signs and opens messages in its stead."""
    usage = frozenset({"digital_signature", "key_encipherment"})
    builder = (
        x509.CertificateBuilder()
        .subject_name(_name(f"Fault {name}"))
        .issuer_name(ca.subject)
        .public_key(rsa_key(name).public_key())
        .serial_number(_serial())
        .not_valid_before(ca.not_valid_before_utc)
        .not_valid_after(ca.not_valid_after_utc)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(usage), critical=True)
    )
    if purposes:
        builder = builder.add_extension(_purposes(purposes), critical=False)
    return builder.sign(ca_key, hashes.SHA256())


def _purposes(names: tuple[str, ...]) -> x509.ExtendedKeyUsage:
    return x509.ExtendedKeyUsage([PURPOSES[name] for name in names])


def _serial() -> int:
    return secrets.randbits(64) | 1 << 64
