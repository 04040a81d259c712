"""Says to a server what a device once said, under keys of its own, and compares what comes back.

No secret of the device is needed, and none is in the recording. What depends on it (the right challenge
password, the certificate that is renewed) is made up, or given.
"""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit, urlunsplit

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import AttributeOID

from app.client.client import Identity
from app.client.csr import make_identity
from app.client.raw import Sent, exchange
from app.client.transport import check_address
from app.client.trust import Roles
from app.diagnosis.attributes import Role
from app.diagnosis.inspection import inspect
from app.diagnosis.opener import Opener
from app.recorder.http_octets import HttpOctets
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


@dataclass(frozen=True, slots=True)
class Verdict:
    """How a server answered. *pki_status* to *text* are of a CertRep, and empty where there is none."""

    status: int
    media_type: str = ""
    pki_status: str = ""
    fail_info: str = ""
    text: str = ""

    @classmethod
    def read(cls, reply: bytes) -> "Verdict":
        """What the octets of an HTTP reply say. A reply is not believed by this, only read."""
        http = HttpOctets.read(reply)
        return cls.of(http.status, http.media_type, http.body)

    @classmethod
    def of(cls, status: int, media_type: str, body: bytes) -> "Verdict":
        """What an HTTP reply says that is taken apart already."""
        try:
            return cls(status, media_type, *ReadMessage.load(body).verdict)
        except MalformedMessage:
            return cls(status, media_type)

    def __str__(self) -> str:
        said = [self.pki_status, self.fail_info, self.text]
        return ", ".join([f"HTTP {self.status}" if self.status else "no answer", *filter(None, said)])


@dataclass(frozen=True, slots=True)
class Replayed:
    """A recorded verdict and that of today.

    *made_again* says that the message was not sent as it was recorded, but made under another key; *lost*
    are the findings about the recorded one that this one gives no reason for.
    """

    recorded: Verdict
    today: Verdict
    sent: Sent
    made_again: bool = False
    lost: tuple[str, ...] = ()

    @property
    def is_same(self) -> bool:
        """Whether a device would hear the same."""
        return self.recorded == self.today


def replay(one: Recording, url: str, roles: Roles | None, challenge_password: str = "") -> Replayed:
    """Send *one* to the server at *url*, whose certificates are *roles*, and compare the answers.

    Of what asks for no certificate nothing is made anew, and *roles* may be None. Where the recorded request
    had a challenge password, *challenge_password* is sent, or one that nobody knows.

    Raises:
        CannotReplay: It cannot be made again.
        ValueError: *url* is none.

    """
    if one.cut:
        raise CannotReplay("it was longer than is kept, so that the rest of it is missing")
    check_address(url)
    http = HttpOctets.read(one.request_octets)
    if not http.first:
        raise CannotReplay("the request is not in it")
    message = recorded = http.message
    if one.operation == "PKIOperation" and roles is not None and message:
        message = rekey(one, message, roles, challenge_password)
    sent = exchange(url, http.request_to(url, message), one.operation)
    answer, today = sent.answer, Verdict(0)
    if answer is not None:
        today = Verdict.of(answer.status, answer.header("Content-Type") or "", answer.body)
    lost = _findings(recorded, one.at) - _findings(message, datetime.now(UTC)) if message != recorded else ()
    then = Verdict.read(one.reply_octets)
    return Replayed(then, today, sent, message != recorded, tuple(sorted(lost)))


def _findings(message: bytes, now: datetime) -> set[str]:
    """What is odd about a message, and seen without opening it."""
    top = inspect(message, Opener(now), Role.REQUEST)
    return {note.finding for node in top.walk() for note in node.notes}


def address_for(one: Recording, url: str) -> str:
    """The address at the server of *url* that *one* goes to: with the recorded path where *url* has none."""
    parts = urlsplit(url)
    path = parts.path if parts.path.strip("/") else HttpOctets.read(one.request_octets).path.decode("latin-1")
    return urlunsplit(parts._replace(path=path))


def needs_ca(one: Recording) -> bool:
    """Whether the certificates of the server are needed to make it again."""
    try:
        ReadMessage.load(HttpOctets.read(one.request_octets).message)
    except MalformedMessage:
        # It goes as it came.
        return False
    return one.operation == "PKIOperation"


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
