"""Making a CA certificate, and judging one that is brought along (RFC 8894 2.1.2, RFC 5280 4.2.1)."""

import re
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from ca.algorithms.digests import SHA384
from ca.algorithms.keys import PrivateKey
from ca.algorithms.signatures import fitting_digest
from ca.asn1 import Asn1Error
from ca.errors import BadAlgorithm
from ca.issuing.authority import BACKDATE, new_serial_number
from ca.x509 import oids
from ca.x509.certificate import Certificate
from ca.x509.chain import ChainBroken, check_chain
from ca.x509.extensions import KeyUsageBit
from ca.x509.name import MAX_COMMON_NAME, Attribute, Name

_GENERATION = re.compile(r"(.*) G([1-9][0-9]{0,3})", re.DOTALL)
_SCEP_USAGE = {KeyUsageBit.digitalSignature, KeyUsageBit.keyEncipherment}
# Of a file with certificates; a device has no end.
_MOST_OCTETS = 1 << 20


class CaUnusable(Exception):
    """A certificate cannot be this CA's; the text says why."""


def make_ca_certificate(
    subject: Name, key: PrivateKey, years: int, now: datetime, *, behind_ra: bool = False
) -> bytes:
    """A self-signed CA certificate in DER.

    Its keyUsage has digitalSignature and keyEncipherment beside the CA's own bits, for it signs
    and opens SCEP messages itself, unless it stands *behind_ra*, a registration authority that does
    so, as an EC key always must; no extKeyUsage, which would bind everything below it.

    Raises:
        CaUnusable: The subject is not one that a CA can have.

    """
    now = now.replace(microsecond=0)
    try:
        name = subject.for_builder()
    except ValueError as error:
        raise CaUnusable(f"{subject} cannot be the subject of a CA: {error}") from error
    answers_itself = isinstance(key, rsa.RSAPrivateKey) and not behind_ra
    usage = x509.KeyUsage(
        digital_signature=answers_itself,
        key_encipherment=answers_itself,
        key_cert_sign=True,
        crl_sign=True,
        content_commitment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
    identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(new_serial_number())
        .not_valid_before(now - BACKDATE)
        .not_valid_after(now + timedelta(days=365 * years + years // 4))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(identifier, critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier), critical=False
        )
        .sign(key, hashes.SHA384() if fitting_digest(key) is SHA384 else hashes.SHA256())
    )
    return certificate.public_bytes(serialization.Encoding.DER)


def successor_name(subject: Name, taken: Sequence[Name]) -> Name:
    """A name for the CA after that of *subject*, and like none of *taken*: ``Example CA G2``.

    It is another one because some who look for a CRL know its issuer by the name alone.
    """
    rdns = [list(rdn) for rdn in subject.rdns]
    places = [(rdn, at) for rdn in rdns for at, one in enumerate(rdn) if one.oid == oids.COMMON_NAME]
    if not places:
        rdns.append([Attribute(oids.COMMON_NAME, "SCEP CA")])
        places = [(rdns[-1], 0)]
    rdn, at = places[-1]
    found = _GENERATION.fullmatch(rdn[at].value)
    stem, generation = (found[1], int(found[2])) if found else (rdn[at].value, 1)
    while True:
        generation += 1
        text = f"{stem} G{generation}"
        rdn[at] = Attribute(
            oids.COMMON_NAME, text if len(text) <= MAX_COMMON_NAME else f"SCEP CA G{generation}"
        )
        name = Name.from_text(",".join("+".join(map(str, one)) for one in reversed(rdns)))
        if not any(name.matches(other) for other in (subject, *taken)):
            return name


def load_pem_certificates(pem: bytes) -> tuple[Certificate, ...]:
    """The certificates of a PEM file, in its order.

    Raises:
        CaUnusable: There is none, or one cannot be read.

    """
    try:
        found = x509.load_pem_x509_certificates(pem)
        certificates = [Certificate.load(one.public_bytes(serialization.Encoding.DER)) for one in found]
        for one in certificates:
            # Read here, so that nobody who shows or compares them meets what cannot be.
            _ = one.subject, one.subject_alt_names, one.subject_key_identifier, one.key_usage
    except (ValueError, x509.InvalidVersion) as error:
        raise CaUnusable(f"not a PEM certificate: {error}") from error
    return tuple(certificates)


def read_certificates(path: Path) -> tuple[Certificate, ...]:
    """The certificates of a PEM file, which is named where one cannot be read.

    Raises:
        OSError: The file cannot be read.
        CaUnusable: As for :func:`load_pem_certificates`.

    """
    with path.open("rb") as file:
        pem = file.read(_MOST_OCTETS + 1)
    if len(pem) > _MOST_OCTETS:
        raise CaUnusable(f"{path}: longer than any chain of certificates ({_MOST_OCTETS >> 20} MiB)")
    try:
        return load_pem_certificates(pem)
    except CaUnusable as error:
        raise CaUnusable(f"{path}: {error}") from error


def encode_pem(certificate: Certificate) -> bytes:
    """The PEM of a certificate."""
    return x509.load_der_x509_certificate(certificate.der).public_bytes(serialization.Encoding.PEM)


def arrange_chain(certificate: Certificate, others: tuple[Certificate, ...]) -> tuple[Certificate, ...]:
    """The certificates above *certificate*, the nearest first, whatever order they came in.

    Clients go up the bundle of GetCACert as it stands; *certificate* itself among *others* is left
    out, as it is in the bundles that other tools write.

    Raises:
        CaUnusable: One of *others* is not above it.

    """
    rest = {one.der: one for one in others if one.der != certificate.der}
    chain = [certificate]
    while not chain[-1].is_self_issued:
        issuer = Name.load(chain[-1].issuer_der)
        above = next((one for one in rest.values() if one.subject.matches(issuer)), None)
        if above is None:
            break
        chain.append(rest.pop(above.der))
    for one in rest.values():
        raise CaUnusable(f"the chain does not lead from the CA to {one.subject}")
    return tuple(chain[1:])


def check_ca(
    certificate: Certificate,
    key: PrivateKey,
    chain: tuple[Certificate, ...],
    now: datetime,
    *,
    behind_ra: bool = False,
) -> list[str]:
    """Check that *certificate* can be the CA of a SCEP server, and return what clients may mind.

    Raises:
        CaUnusable: It is no CA, has expired, its key is another or neither RSA nor EC, or the chain
            does not hold.

    """
    spki = key.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    try:
        public_key = certificate.public_key(2048)
        if not isinstance(public_key, rsa.RSAPublicKey | ec.EllipticCurvePublicKey):
            raise CaUnusable("the CA key is neither RSA nor EC")
        if spki != certificate.spki:
            raise CaUnusable("the private key does not belong to the certificate")
        if not certificate.is_ca:
            raise CaUnusable("the certificate is not a CA's: basicConstraints does not say cA TRUE")
        usage = certificate.key_usage
    except (Asn1Error, BadAlgorithm) as error:
        raise CaUnusable(f"the CA certificate cannot be used: {error}") from error
    if usage is not None and KeyUsageBit.keyCertSign not in usage:
        raise CaUnusable("the keyUsage of the certificate lacks keyCertSign")
    if not certificate.not_valid_before <= now <= certificate.not_valid_after:
        raise CaUnusable(
            f"the CA certificate is not valid now, but from {certificate.not_valid_before:%Y-%m-%d %H:%M} to "
            f"{certificate.not_valid_after:%Y-%m-%d %H:%M} UTC"
        )
    _check_chain(certificate, chain, now)
    behind_ra = behind_ra or isinstance(public_key, ec.EllipticCurvePublicKey)
    if behind_ra or usage is None or usage >= _SCEP_USAGE:
        return []
    return [
        "the CA certificate lacks digitalSignature or keyEncipherment (RFC 8894 2.1.2): "
        "Windows and macOS refuse to enrol with it"
    ]


def _check_chain(certificate: Certificate, chain: tuple[Certificate, ...], now: datetime) -> None:
    """Let OpenSSL judge the chain up to the last certificate given."""
    if not chain:
        # An intermediate without its chain is served alone, and devices must have the rest.
        return
    try:
        check_chain(certificate, chain[-1], now, chain[:-1])
    except ChainBroken as error:
        raise CaUnusable(f"the chain does not lead from the CA to its last certificate: {error}") from error
