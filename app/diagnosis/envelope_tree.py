"""Envelopes in words: for whom, under what, and what is inside where there is a key."""

from collections.abc import Callable

from app.diagnosis.asn1_tree import put, put_leaf
from app.diagnosis.attributes import Role
from app.diagnosis.node import Node
from app.diagnosis.opener import Closed, Opener
from app.diagnosis.tlv import Tlv
from app.diagnosis.words import (
    DATA,
    algorithm_oid,
    has_parameters,
    hexadecimal,
    name_of,
    oid_name,
    oid_of,
    serial_of,
)
from ca.algorithms import ciphers
from ca.algorithms.ciphers import DES_CBC, DES_EDE3_CBC
from ca.algorithms.key_transport import RSAES_OAEP
from ca.algorithms.keys import RSA_ENCRYPTION
from ca.asn1 import tags

# Takes apart what is found inside: the parent, the octets, and whose message it is in.
Inside = Callable[[Node, bytes, Role], None]
_WHOSE = {Role.REQUEST: "the request", Role.REPLY: "the reply"}
_RECIPIENTS = {
    0xA1: "key agreement",
    0xA2: "a key-encryption key",
    0xA3: "a password",
    0xA4: "another kind",
}


def put_envelope(parent: Node, one: Tlv, content: Tlv, opener: Opener, inside: Inside, role: Role) -> Node:
    """EnvelopedData or AuthEnvelopedData, opened where *opener* can."""
    node = put(parent, "pkcsPKIEnvelope", one, oid_name(oid_of(one.child(0))), "pkcsPKIEnvelope")
    put_leaf(node, "version", content.child(0))
    recipients = content.find(tags.SET)
    field = put(node, "recipientInfos", recipients, place="recipientInfos")
    for recipient in recipients.children[:16] if recipients else ():
        _put_recipient(field, recipient, role)
    by_key = any(one.tag == tags.SEQUENCE for one in recipients.children) if recipients else False
    if recipients and one.is_whole() and not by_key:
        field.note("recipient-other")
    if by_key:
        _judge_recipient(field, recipients, opener, role)
    after = content.children[content.children.index(recipients) + 1 :] if recipients else []
    _put_encrypted(node, after[0] if after else None, role)
    if opener.can_try:
        opened = opener.open(one.raw)
        if isinstance(opened, Closed):
            _put_closed(node, field, opened, opener, role if one.is_whole() else None)
        else:
            inside(node.add("opened", f"{len(opened)} octets"), opened, role)
    return node


def _put_closed(node: Node, field: Node, closed: Closed, opener: Opener, role: Role | None) -> None:
    """Why it did not open, where nothing that is noted already says so.

    *field* has the recipients; *role* is None where the envelope is not whole.
    """
    if role is None:
        node.add("opened", "no: it is not whole")
    elif _explains(node, "encrypted-type-not-data") or (
        opener.password is None and _explains(field, "recipient-other")
    ):
        node.add("opened", f"no: {closed.why}")
    else:
        whom = "" if opener.password else f"for {', '.join(one.value for one in field.children)}"
        if opener.guessed and closed.by_key:
            node.note("key-other", f"{_WHOSE.get(role, 'it')} is {whom}" if whom else closed.why)
        else:
            node.note("envelope-not-opened", f"{closed.why}: it is {whom}" if whom else closed.why)


def _explains(node: Node, finding: str) -> bool:
    """Whether what is noted already is also why the envelope does not open."""
    return any(note.finding == finding for note in node.notes)


def _put_recipient(field: Node, one: Tlv, role: Role) -> None:
    if one.tag != tags.SEQUENCE:
        put(field, "recipient", one, f"by {_RECIPIENTS.get(one.tag, 'another kind')}")
        return
    named, algorithm = one.child(1), one.child(2)
    if named is not None and named.tag == tags.SEQUENCE:
        whom = f"serial {serial_of(named.child(1))} of {name_of(named.child(0))}"
    else:
        whom = f"subjectKeyIdentifier {hexadecimal(named.string()) if named else ''}"
    node = put(field, "recipient", one, whom)
    oid = algorithm_oid(algorithm)
    how = f" {_oaep(algorithm)}" if oid == RSAES_OAEP and algorithm is not None else ""
    put(node, "keyEncryptionAlgorithm", algorithm, oid_name(oid) + how)
    if oid == RSAES_OAEP and role is Role.REPLY:
        field.note("oaep-reply")
    if oid == RSA_ENCRYPTION and algorithm is not None and len(algorithm.children) == 1:
        field.note("absent-parameters", "keyEncryptionAlgorithm")
    key = one.child(3)
    put(node, "encryptedKey", key, f"{len(key.string())} octets" if key else "")


def _judge_recipient(field: Node, recipients: Tlv | None, opener: Opener, role: Role) -> None:
    """Whether somebody is named who was to be."""
    if opener.certificate is None or recipients is None:
        return
    wanted = opener.certificate.issuer_der + opener.certificate.serial_der
    named = [one.child(1) for one in recipients.children if one.tag == tags.SEQUENCE]
    if not any(one is not None and one.content == wanted for one in named):
        field.note("recipient-not-signer" if role is Role.REPLY else "recipient-refound")


def _put_encrypted(node: Node, one: Tlv | None, role: Role) -> None:
    kind = oid_of(one.child(0)) if one else ""
    field = put(node, "encryptedContentInfo", one, oid_name(kind))
    if kind not in ("", DATA):
        node.note("encrypted-type-not-data", oid_name(kind))
    algorithm = one.child(1) if one else None
    oid = algorithm_oid(algorithm)
    put(field, "contentEncryptionAlgorithm", algorithm, oid_name(oid))
    cipher = ciphers.BY_OID.get(oid)
    if role is Role.REPLY and cipher is DES_CBC:
        node.note("des-reply")
    elif cipher in (DES_CBC, DES_EDE3_CBC):
        node.note("weak-cipher", oid_name(oid))
    content = one.child(2) if one else None
    put(field, "encryptedContent", content, f"{len(content.string())} octets" if content else "")


def _oaep(one: Tlv) -> str:
    """Whether an AlgorithmIdentifier writes its parameters out."""
    return "with parameters" if has_parameters(one) else "with default parameters (SHA-1)"
