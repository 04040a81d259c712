"""The signed attributes of a pkiMessage in words, and what their reader misses (RFC 8894 3.2.1)."""

from enum import Enum, auto

from app.diagnosis.asn1_tree import put
from app.diagnosis.node import Node
from app.diagnosis.tlv import Tlv
from app.diagnosis.words import (
    AUTH_ENVELOPED_DATA,
    CONTENT_TYPE,
    ENVELOPED_DATA,
    MESSAGE_DIGEST,
    hexadecimal,
    oid_name,
    oid_of,
    type_name,
    value_of,
)
from ca.asn1 import tags, writer
from ca.errors import FailInfo
from ca.scep import oids
from ca.scep.messages import MessageType, PkiStatus

_ENVELOPES = (writer.oid(ENVELOPED_DATA), writer.oid(AUTH_ENVELOPED_DATA))
_TEXTS = {oids.MESSAGE_TYPE, oids.PKI_STATUS, oids.FAIL_INFO, oids.TRANSACTION_ID}
_NONCES = {oids.SENDER_NONCE, oids.RECIPIENT_NONCE}
_VALUES = {
    oids.MESSAGE_TYPE: {one.value: one.label for one in MessageType},
    oids.PKI_STATUS: {one.value: one.name for one in PkiStatus},
    oids.FAIL_INFO: {one.value: one.label for one in FailInfo},
}
_NEEDED = {
    "messageType": "message-type-missing",
    "transactionID": "transaction-id-missing",
}
_NEEDED_IN_REPLY = {
    **_NEEDED,
    "pkiStatus": "pki-status-missing",
    "recipientNonce": "recipient-nonce-missing",
    "senderNonce": "sender-nonce-missing",
}
_NEEDED_IN_REQUEST = {**_NEEDED, "senderNonce": "nonce-missing"}


class Role(Enum):
    """Whose it is: a request's, a CertRep's, of another answer over HTTP, or nobody knows yet."""

    REQUEST = auto()
    REPLY = auto()
    ANSWER = auto()
    UNKNOWN = auto()


def find_role(signer_info: Tlv | None, told: Role) -> Role:
    """Who sent it: as its messageType says, else as was *told*, else as its attributes let guess.

    What a server answered is a reply, whatever its messageType.
    A message without any attribute of SCEP is taken for a reply: servers that were ported from a plain
    PKCS7.sign send such ones, clients do not.
    """
    if signer_info is None:
        return told
    if told is Role.ANSWER:
        return Role.REPLY
    attributes = _by_oid(signer_info.find(tags.CONTEXT_0_CONSTRUCTED))
    if (kind := _text(attributes, oids.MESSAGE_TYPE)) is not None:
        return Role.REPLY if kind == MessageType.CERT_REP else Role.REQUEST
    if told is Role.REQUEST:
        return told
    is_asked = oids.SENDER_NONCE in attributes and oids.PKI_STATUS not in attributes
    return Role.REQUEST if is_asked and told is Role.UNKNOWN else Role.REPLY


def has_scep_attributes(signer_info: Tlv) -> bool:
    """Whether any attribute of SCEP is among the signed ones."""
    return not oids.NAMES.keys().isdisjoint(_by_oid(signer_info.find(tags.CONTEXT_0_CONSTRUCTED)))


def _by_oid(field: Tlv | None) -> dict[str, Tlv]:
    return {oid_of(one.child(0)): one for one in field.children} if field else {}


def _text(attributes: dict[str, Tlv], oid: str) -> str | None:
    values = attributes[oid].child(1) if oid in attributes else None
    value = values.child(0) if values else None
    return value_of(value) if value is not None else None


def put_attributes(parent: Node, field: Tlv, digest: bytes | None) -> None:
    """All of them; *digest* is that of the content, None where it is of no known kind."""
    node = put(parent, "signedAttrs", field, place="signedAttrs")
    found: set[str] = set()
    for one in field.children[:64]:
        oid = oid_of(one.child(0))
        if oid in found:
            node.note("attribute-repeated", oid_name(oid))
        found.add(oid)
        _put_attribute(node, one, oid, digest)
    encodings = [one.raw for one in field.children]
    if encodings != sorted(encodings):
        node.note("unsorted-attributes")
    if not field.is_whole():
        return
    if CONTENT_TYPE not in found:
        node.note("content-type-attribute-missing")
    if MESSAGE_DIGEST not in found:
        node.note("message-digest-wrong", "there is none")


def _put_attribute(node: Node, one: Tlv, oid: str, digest: bytes | None) -> None:
    values = one.child(1, tags.SET)
    value = values.child(0) if values else None
    name = oid_name(oid) or "(unreadable)"
    place = f"signedAttrs.{name}" if oid in _PLACED else ""
    found = put(node, name, one, place=place)
    if value is None or values is None or len(values.children) != 1:
        if one.is_whole():
            node.note("attribute-repeated", f"{name} has {len(values.children) if values else 0} values")
        return
    found.value = _in_words(oid, value)
    text = value_of(value)
    if oid in _TEXTS and value.tag != tags.PRINTABLE_STRING:
        found.note("attribute-type", f"{name} is of type {type_name(value.tag)}")
    if oid in _NONCES and len(value.string()) != 16:
        found.note("nonce-length", f"{len(value.string())} octets")
    if oid in _VALUES and text not in _VALUES[oid]:
        found.note("undefined-value", f"{name} {text}")
    if oid == MESSAGE_DIGEST and digest is not None and value.string() != digest:
        found.note("message-digest-wrong", f"the content's is {digest.hex()}")


_PLACED = {CONTENT_TYPE, MESSAGE_DIGEST, "1.2.840.113549.1.9.5", *_TEXTS, *_NONCES}


def _in_words(oid: str, value: Tlv) -> str:
    if value.tag & ~tags.CONSTRUCTED == tags.OCTET_STRING:
        return hexadecimal(value.string())
    text = value_of(value)
    meaning = _VALUES.get(oid, {}).get(text)
    return f"{text} ({meaning})" if meaning else text


def judge_attributes(message: Node, content: Node, octets: bytes | None, role: Role) -> None:
    """What is missing from the side of who reads it, and whether the content goes with the status."""
    field = next((node for node in message.walk() if node.place == "signedAttrs"), None)
    if field is None:
        return
    there = {child.name: child for child in field.children}
    needed = _NEEDED_IN_REPLY if role is Role.REPLY else _NEEDED_IN_REQUEST
    for name, finding in needed.items():
        if name not in there:
            field.note(finding, f"there are {', '.join(there) or 'none'}")
    if role is Role.REPLY:
        _judge_reply(there, content, octets)
    elif not _is_envelope(octets):
        content.note("envelope-missing", _length(octets))


def _is_envelope(octets: bytes | None) -> bool:
    """Whether content begins as an envelope does."""
    return any(oid in (octets or b"")[:40] for oid in _ENVELOPES)


def _length(octets: bytes | None) -> str:
    return "there is no content" if octets is None else f"{len(octets)} octets of something else"


def _judge_reply(there: dict[str, Node], content: Node, octets: bytes | None) -> None:
    kind = there["messageType"].value if "messageType" in there else ""
    if kind.partition(" ")[0] in set(MessageType) - {MessageType.CERT_REP}:
        there["messageType"].note("message-type-not-cert-rep", f"it is {kind}")
    status = there["pkiStatus"].value[:1] if "pkiStatus" in there else ""
    nonces = [there[name].value for name in ("senderNonce", "recipientNonce") if name in there]
    if len(nonces) == 2 and nonces[0] == nonces[1]:
        there["senderNonce"].note("nonce-echoed")
    if status == PkiStatus.SUCCESS:
        if not _is_envelope(octets):
            content.note("envelope-missing", _length(octets))
        return
    if status == PkiStatus.FAILURE:
        why = [there[name].value for name in ("failInfo", "failInfoText") if name in there]
        there["pkiStatus"].note("refused", ": ".join(why))
        if "failInfo" not in there:
            there["pkiStatus"].note("fail-info-missing")
    elif status == PkiStatus.PENDING:
        there["pkiStatus"].note("pending")
    else:
        # Of no status, and of one that there is not, nobody knows what goes with it.
        return
    if octets is None:
        content.note("failure-without-content")
    elif octets:
        content.note("content-without-envelope", f"{len(octets)} octets")
