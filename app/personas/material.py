"""What a persona makes before it asks: the CSR, the certificate that signs, and the transactionID."""

import base64
import hashlib
import secrets
import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from cryptography.hazmat.primitives.asymmetric import rsa

from app.client import Identity
from app.client.csr import spki_of
from app.personas.persona import Csr, Persona, Signer
from ca.algorithms import digests
from ca.algorithms.signatures import certificate_identifier, sign
from ca.asn1 import strings, tags, writer
from ca.x509 import oids
from ca.x509.certificate import Certificate, key_identifier
from ca.x509.extensions import Extension, KeyUsageBit, encode_key_usage
from ca.x509.general_names import GeneralName, encode_general_names
from ca.x509.name import Name

_RSA_BITS = 2048


@dataclass(frozen=True, slots=True)
class Material:
    """A request as the persona makes it, the same for all that it sends about it."""

    csr: bytes = field(repr=False)
    spki: bytes
    identity: Identity
    transaction_id: str


def make_material(
    persona: Persona,
    subject: Name,
    names: tuple[GeneralName, ...],
    key: rsa.RSAPrivateKey,
    challenge: str,
    renewed: Identity | None = None,
) -> Material:
    """Make a request for *key*, signed by *renewed* or else by a certificate as the persona makes it."""
    spki = spki_of(key)
    transaction_id = _transaction_id(persona.message.transaction, spki)
    csr = _make_csr(persona.csr, subject, names, key, challenge)
    identity = renewed or _make_signer(persona.signer, subject, key, transaction_id)
    return Material(csr, spki, identity, transaction_id)


def _transaction_id(form: str, spki: bytes) -> str:
    """All are made of the key, so that the same key goes on with the same transaction (RFC 8894 3.2.1.1)."""
    sha1 = hashlib.sha1(spki, usedforsecurity=False)
    match form:
        case "sha1-upper":
            return sha1.hexdigest().upper()
        case "sha1-lower":
            return sha1.hexdigest()
        case "sha1-base64":
            return base64.b64encode(sha1.digest()).decode("ascii")
        case "md5-upper":
            return hashlib.md5(spki, usedforsecurity=False).hexdigest().upper()
        case _:
            return str(int.from_bytes(hashlib.sha256(spki).digest(), "big"))


def _make_csr(
    csr: Csr, subject: Name, names: tuple[GeneralName, ...], key: rsa.RSAPrivateKey, challenge: str
) -> bytes:
    wishes = []
    if csr.key_usage:
        wishes.append(Extension(oids.KEY_USAGE, True, _key_usage(csr.key_usage)))
    if names:
        wishes.append(Extension(oids.SUBJECT_ALT_NAME, False, encode_general_names(names)))
    attributes = []
    if wishes:
        extensions = writer.sequence(*(one.encode() for one in wishes))
        attributes.append(_attribute(oids.EXTENSION_REQUEST, extensions))
    if challenge:
        printable = csr.printable and strings.is_printable(challenge)
        text = writer.printable_string(challenge) if printable else writer.utf8_string(challenge)
        attributes.append(_attribute(oids.CHALLENGE_PASSWORD, text))
    # As they stand, the extensions are in front, which are longer: not the order of DER (X.690 11.6).
    field = b"".join(sorted(attributes) if csr.sorted else attributes)
    info = writer.sequence(
        writer.integer(0), subject.der, spki_of(key), writer.encode(tags.CONTEXT_0_CONSTRUCTED, field)
    )
    return _signed(info, key, digests.BY_NAME[csr.digest])


def _make_signer(signer: Signer, subject: Name, key: rsa.RSAPrivateKey, transaction_id: str) -> Identity:
    if signer.own_key:
        key = rsa.generate_private_key(65537, _RSA_BITS)
    name = (
        Name.from_text(signer.subject.replace("{uuid}", str(uuid.uuid4()).upper()))
        if signer.subject
        else subject
    )
    spki = spki_of(key)
    extensions = []
    if signer.key_usage:
        extensions.append(Extension(oids.KEY_USAGE, True, _key_usage(signer.key_usage)))
    if signer.critical_aki:
        # RFC 5280 4.2.1.1 forbids it.
        identifier = writer.sequence(writer.encode(tags.CONTEXT_0, key_identifier(spki)))
        extensions.append(Extension(oids.AUTHORITY_KEY_IDENTIFIER, True, identifier))
    algorithm = certificate_identifier(key, digests.SHA256)
    now = datetime.now(UTC)
    info = writer.sequence(
        writer.explicit(0, writer.integer(2)) if signer.version == 3 else b"",
        writer.integer(_serial(signer, transaction_id)),
        algorithm,
        name.der,
        writer.sequence(
            writer.time(now - timedelta(hours=1)), writer.time(now + timedelta(days=signer.days))
        ),
        name.der,
        spki,
        writer.explicit(3, writer.sequence(*(one.encode() for one in extensions))) if extensions else b"",
    )
    return Identity(Certificate.load(_signed(info, key, digests.SHA256)), key)


def _serial(signer: Signer, transaction_id: str) -> int:
    match signer.serial:
        case "hexadecimal":
            return int(transaction_id, 16)
        case "decimal":
            return int(transaction_id)
        case "text":
            return int.from_bytes(transaction_id.encode("ascii"), "big")
        case _:
            return secrets.randbits(127) | 1


def _key_usage(names: tuple[str, ...]) -> bytes:
    return encode_key_usage(frozenset(KeyUsageBit[name] for name in names))


def _attribute(oid: str, value: bytes) -> bytes:
    return writer.sequence(writer.oid(oid), writer.set_of([value]))


def _signed(info: bytes, key: rsa.RSAPrivateKey, digest: digests.Digest) -> bytes:
    signature = sign(key, info, digest)
    return writer.sequence(info, certificate_identifier(key, digest), writer.bit_string(signature))
