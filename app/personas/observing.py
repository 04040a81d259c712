"""What can be wrong with an answer, whoever asked: what ``inspect`` notes, and what only who asked can see.

Nobody's opinion is in here. What a client makes of it stands in its file.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from hmac import compare_digest

from cryptography.hazmat.primitives.asymmetric import rsa

from app.client.raw import RawAnswer, Sent
from app.diagnosis.attributes import Role
from app.diagnosis.capabilities_text import names_digest
from app.diagnosis.cms_tree import EXPLAIN_IT
from app.diagnosis.inspection import inspect
from app.diagnosis.node import Node, Note
from app.diagnosis.opener import Opener
from app.personas.material import Material
from app.words import printable
from ca.algorithms.ciphers import Cipher
from ca.algorithms.levels import CryptoLevel
from ca.asn1 import Asn1Error
from ca.errors import BadAlgorithm, BadMessageCheck, BadRequest, InvalidReply, MalformedMessage
from ca.scep import oids
from ca.scep.codec import SignedData, decode_ca_certificates, envelope_cipher, open_envelope
from ca.scep.codec.attributes import read_nonce, read_text
from ca.scep.messages import MessageType, PkiStatus
from ca.x509.certificate import Certificate

# Of the body of an HTTP error they would only say that it is one.
_BESIDE_AN_ERROR = {"nothing-of-scep", "damaged-encoding"}
_UNTRUSTED = "TLS: the server's certificate is not trusted"


@dataclass(frozen=True, slots=True)
class Observation:
    """A finding of the knowledge, where it was seen, and what was seen in words."""

    finding: str
    where: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Expected:
    """What a reply is held to: what was sent, and the certificates that GetCACert gave."""

    material: Material
    nonce: bytes
    cipher: Cipher
    certificates: tuple[Certificate, ...]
    takes_first: bool


@dataclass(slots=True)
class Reply:
    """What a CertRep says. *certificate* is the one that the client takes, in DER."""

    observations: list[Observation]
    status: str = ""
    certificate: bytes | None = None


def observe_wire(sent: Sent) -> list[Observation]:
    """What went wrong before there was an answer, or within it."""
    where = sent.operation
    if sent.answer is None:
        finding = "tls-untrusted" if sent.trouble.startswith(_UNTRUSTED) else "unreachable"
        return [Observation(finding, where, sent.trouble)]
    found = [Observation("http-answer-broken", where, sent.trouble)] if sent.trouble else []
    if 300 <= sent.answer.status < 400:
        location = printable(sent.answer.header("Location") or "")
        found.append(Observation("http-redirect", where, location))
    return found


def observe_capabilities(answer: RawAnswer) -> list[Observation]:
    """What there is to say about GetCACaps."""
    found = _inspected("GetCACaps", answer, Opener(datetime.now(UTC)))
    if _is_good(answer) and not answer.body.strip():
        found.append(Observation("caps-empty", "GetCACaps", "the body is empty"))
    # What comes of how they are written is told where it matters: to who compares whole lines.
    if {one.finding for one in found} & {"caps-blanks", "caps-case"} and not names_digest(answer.body):
        found.append(Observation("caps-no-digest", "GetCACaps", "none in a line of its own, as written"))
    return found


def observe_ca(answer: RawAnswer) -> tuple[list[Observation], tuple[Certificate, ...]]:
    """What there is to say about GetCACert, and the certificates that it gave."""
    found = _inspected("GetCACert", answer, Opener(datetime.now(UTC)))
    try:
        return found, decode_ca_certificates(answer.body)
    except InvalidReply as error:
        if _is_good(answer):
            found.append(Observation("ca-not-der", "GetCACert", str(error)))
        return found, ()


def observe_reply(answer: RawAnswer, asked: Expected) -> Reply:
    """What there is to say about a CertRep to the request in *asked*."""
    identity = asked.material.identity
    opener = Opener(datetime.now(UTC), identity.key, identity.certificate)
    reply = Reply(_inspected("CertRep", answer, opener))
    try:
        signed = SignedData.load(answer.body, "CertRep")
        attributes = signed.attributes
    except MalformedMessage:
        # That has been noted; there is nothing to hold to anything.
        return reply
    seen = {one.finding for one in reply.observations}
    if seen & EXPLAIN_IT:
        seen.add("signature-wrong")
    reply.observations += [one for one in _held_to(signed, asked) if one.finding not in seen]
    try:
        reply.status = read_text(attributes, oids.PKI_STATUS)
    except Asn1Error:
        return reply
    if reply.status == PkiStatus.SUCCESS:
        _take(reply, signed.data, asked)
    return reply


def _inspected(operation: str, answer: RawAnswer, opener: Opener) -> list[Observation]:
    """The notes of ``inspect``, each with its place on this road."""
    top = inspect(answer.raw, opener, Role.ANSWER)
    return [
        Observation(note.finding, _where(operation, node), _detail(note, answer))
        for node in top.walk()
        for note in node.notes
        if _is_good(answer) or note.finding not in _BESIDE_AN_ERROR
    ]


def _detail(note: Note, answer: RawAnswer) -> str:
    """What was seen: of an HTTP error in the server's own words."""
    return answer.said if note.finding == "http-error" else note.detail


def _is_good(answer: RawAnswer) -> bool:
    return 200 <= answer.status < 300


def _where(operation: str, node: Node) -> str:
    return operation if node.place in ("", operation) else f"{operation}.{node.place}"


def _held_to(signed: SignedData, asked: Expected) -> Iterator[Observation]:
    """Compare a reply with its request, each attribute by itself."""
    expected = (
        (oids.MESSAGE_TYPE, MessageType.CERT_REP.value, "message-type-not-cert-rep"),
        (oids.TRANSACTION_ID, asked.material.transaction_id, "transaction-id-wrong"),
    )
    for oid, wanted, finding in expected:
        try:
            text = read_text(signed.attributes, oid)
        except Asn1Error:
            continue
        if text != wanted:
            yield Observation(finding, f"CertRep.signedAttrs.{oids.NAMES[oid]}", f"{text}, not {wanted}")
    try:
        nonce = read_nonce(signed.attributes, oids.RECIPIENT_NONCE)
        if not compare_digest(nonce, asked.nonce):
            detail = f"{nonce.hex()}, and {asked.nonce.hex()} was sent"
            yield Observation("recipient-nonce-wrong", "CertRep.signedAttrs.recipientNonce", detail)
    except Asn1Error:
        pass
    yield from _judge_signer(signed, asked.certificates)


def _judge_signer(signed: SignedData, certificates: tuple[Certificate, ...]) -> Iterator[Observation]:
    """Whether one of GetCACert's certificates signed, octet by octet the same where the reply has it too."""
    where = "CertRep.signerInfos"
    try:
        carried = [one for one in signed.certificates if signed.signer_info.names(one)]
        given = [one for one in certificates if signed.signer_info.names(one)]
        if not given or any(one.der not in {other.der for other in given} for one in carried):
            whose = carried[0].subject if carried else "a certificate that is not there"
            yield Observation("signer-not-ca", where, f"signed by {whose}")
        elif not carried:
            # ``inspect`` had nothing to check the signature with.
            signed.verify(CryptoLevel.LEGACY, tuple(given))
    except (Asn1Error, BadAlgorithm, BadMessageCheck) as error:
        yield Observation("signature-wrong", where, str(error))


def _take(reply: Reply, envelope: bytes, asked: Expected) -> None:
    """Open the envelope, and take what this client takes for its certificate."""
    where = "CertRep.pkcsPKIEnvelope"
    key = asked.material.identity.key
    try:
        cipher = envelope_cipher(envelope)
        if cipher is not asked.cipher:
            detail = f"{cipher.name}, and the request was under {asked.cipher.name}"
            reply.observations.append(Observation("reply-cipher-not-mirrored", where, detail))
        opened = open_envelope(envelope, key if isinstance(key, rsa.RSAPrivateKey) else None, None)
        certificates = SignedData.load(opened, "certificates").certificates
        first = f"the first certificate is {certificates[0].subject}" if certificates else ""
    except (Asn1Error, BadAlgorithm, BadMessageCheck, BadRequest, MalformedMessage) as error:
        if not any(one.finding == "envelope-not-opened" for one in reply.observations):
            reply.observations.append(Observation("envelope-not-opened", where, str(error)))
        return
    own = [one for one in certificates if one.spki == asked.material.spki]
    taken = certificates[:1] if asked.takes_first else own[:1]
    if not certificates:
        return
    if taken and taken[0] in own:
        reply.certificate = taken[0].der
    else:
        reply.observations.append(Observation("leaf-other-key", "CertRep.certificates", first))
