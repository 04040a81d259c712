"""A recorded message made again under keys of its own, for a server that never saw the device.

No secret of the device is needed, and none is in the recording. What depends on it (the right challenge
password, the certificate that is renewed) is made up, or given.
"""

import secrets
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import AttributeOID

from app.client.client import Identity
from app.client.csr import make_identity
from app.client.trust import Roles
from app.recorder.recording import Asked, Recording
from ca.algorithms.keys import PrivateKey, key_label
from ca.asn1 import Asn1Error, writer
from ca.errors import BadAlgorithm, MalformedMessage
from ca.policy.challenges import new_challenge
from ca.scep.codec import ReadMessage, encode_issuer_and_serial_number
from ca.scep.messages import MessageType
from ca.x509 import oids
from ca.x509.certificate import Certificate
from ca.x509.general_names import GeneralName, encode_general_names
from ca.x509.name import Name

_CURVES: Mapping[str, type[ec.EllipticCurve]] = {
    "ec:p256": ec.SECP256R1,
    "ec:p384": ec.SECP384R1,
    "ec:p521": ec.SECP521R1,
}
# What the library makes, and nobody waits for longer.
_LEAST_BITS, _MOST_BITS = 1024, 4096
_NOT_OPENED = "EnvelopeUnreadable"


class CannotReplay(Exception):
    """There is nothing that could be sent again; the text says why."""


def rekey(one: Recording, message: bytes, roles: Roles, challenge_password: str) -> bytes:
    """The pkiMessage *message* of *one* under a key of its own; what is no pkiMessage stays as it is.

    Raises:
        CannotReplay: It cannot be made again.

    """
    try:
        read = ReadMessage.load(message)
    except MalformedMessage:
        return message
    asked = one.asked or Asked(key="")
    try:
        signer = read.signer
        subject = _subject(one, signer)
        key = make_key(asked.key or _label(signer))
        identity = _identity(signer, subject, key)
        payload = _payload(one, read, asked, subject, key, roles, challenge_password)
        return read.again(payload, identity.certificate, identity.key, roles.recipient)
    except (Asn1Error, BadAlgorithm, ValueError) as error:
        raise CannotReplay(f"it cannot be made again: {error}") from error


def _subject(one: Recording, signer: Certificate | None) -> Name:
    if one.subject:
        return Name.from_text(one.subject)
    return signer.subject if signer else Name.from_text("CN=unknown")


def _label(signer: Certificate | None) -> str:
    return key_label(signer.public_key()) if signer else "rsa:2048"


def make_key(label: str) -> PrivateKey:
    """A new key of the type that *label* names, such as ``rsa:2048``.

    Raises:
        ValueError: None of that type can be made, or not in a time that anybody waits.

    """
    if label == "ed25519":
        return ed25519.Ed25519PrivateKey.generate()
    if label in _CURVES:
        return ec.generate_private_key(_CURVES[label]())
    kind, _, bits = label.partition(":")
    if kind != "rsa" or not bits.isdecimal() or not _LEAST_BITS <= int(bits) <= _MOST_BITS:
        raise ValueError(f"no key like {label} can be made")
    return rsa.generate_private_key(65537, int(bits))


def _identity(signer: Certificate | None, subject: Name, key: PrivateKey) -> Identity:
    """A self-signed certificate; where somebody had issued the recorded one, one that nobody issued."""
    if signer is None or signer.is_self_issued:
        own = subject if signer is None else signer.subject
        return make_identity(own.for_builder(), key)
    stranger, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(signer.subject.for_builder())
        .issuer_name(Name.load(signer.issuer_der).for_builder())
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=7))
        .sign(stranger, hashes.SHA256())
    )
    return Identity(Certificate.load(certificate.public_bytes(serialization.Encoding.DER)), key)


def _payload(
    one: Recording,
    read: ReadMessage,
    asked: Asked,
    subject: Name,
    key: PrivateKey,
    roles: Roles,
    challenge_password: str,
) -> bytes:
    """What is inside the envelope, which nobody but the server of then could read."""
    if one.rule == _NOT_OPENED:
        # As good as what did not open: no server may tell the two apart.
        return secrets.token_bytes(64)
    match read.message_type:
        case MessageType.CERT_POLL:
            return writer.sequence(roles.issuer.subject_der, subject.der)
        case MessageType.GET_CERT | MessageType.GET_CRL:
            number = int(one.serial or "1", 16)
            return encode_issuer_and_serial_number(roles.issuer.subject_der, number)
    # One that nobody knows is refused as one that is spent.
    challenge = "" if asked.challenge == "absent" else challenge_password or new_challenge()
    return _make_csr(asked, subject, key, challenge)


def _make_csr(asked: Asked, subject: Name, key: PrivateKey, challenge_password: str) -> bytes:
    builder = x509.CertificateSigningRequestBuilder().subject_name(subject.for_builder())
    if asked.sans:
        names = encode_general_names(tuple(map(GeneralName.from_text, asked.sans)))
        builder = builder.add_extension(_unread(oids.SUBJECT_ALT_NAME, names), critical=False)
    for wish in asked.wishes:
        if wish.value is not None:
            extension = _unread(wish.oid, bytes.fromhex(wish.value))
            builder = builder.add_extension(extension, critical=wish.critical)
    if challenge_password:
        builder = builder.add_attribute(AttributeOID.CHALLENGE_PASSWORD, challenge_password.encode())
    digest = None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256()
    return builder.sign(key, digest).public_bytes(serialization.Encoding.DER)


def _unread(oid: str, value: bytes) -> x509.UnrecognizedExtension:
    return x509.UnrecognizedExtension(x509.ObjectIdentifier(oid), value)
