"""Certificates, requests and revocation lists in words, and what is wrong with them."""

from collections.abc import Sequence

from app.diagnosis.asn1_tree import note_damage, put, put_all, put_leaf
from app.diagnosis.extension_words import extension_words
from app.diagnosis.node import Node
from app.diagnosis.tlv import Tlv
from app.diagnosis.words import (
    name_of,
    oid_name,
    serial_of,
    signature_name,
    value_of,
)
from ca.algorithms.keys import is_weak, key_label, load_public_key
from ca.algorithms.levels import CryptoLevel
from ca.asn1 import Asn1Error, read, tags
from ca.deviations import Deviations
from ca.errors import BadAlgorithm, BadRequest
from ca.x509.certificate import Certificate
from ca.x509.extensions import Extension, read_extensions
from ca.x509.request import UnprovenRequest


def is_certificate(one: Tlv) -> bool:
    """Whether it has the outline of a Certificate."""
    tbs = _signed_outline(one)
    if tbs is None:
        return False
    start = 1 if tbs.child(0, tags.CONTEXT_0_CONSTRUCTED) else 0
    shape = [child.tag for child in tbs.children[start : start + 5]]
    return shape == [tags.INTEGER, *[tags.SEQUENCE] * 4]


def is_request(one: Tlv) -> bool:
    """Whether it has the outline of a PKCS #10 request."""
    tbs = _signed_outline(one)
    return (
        tbs is not None
        and [child.tag for child in tbs.children[:3]]
        == [
            tags.INTEGER,
            tags.SEQUENCE,
            tags.SEQUENCE,
        ]
        and (len(tbs.children) < 4 or tbs.children[3].tag == tags.CONTEXT_0_CONSTRUCTED)
    )


def is_revocation_list(one: Tlv) -> bool:
    """Whether it has the outline of a CertificateList."""
    tbs = _signed_outline(one)
    if tbs is None:
        return False
    start = 1 if tbs.child(0, tags.INTEGER) else 0
    shape = [child.tag for child in tbs.children[start : start + 3]]
    return shape[:2] == [tags.SEQUENCE] * 2 and shape[2:] in ([tags.UTC_TIME], [tags.GENERALIZED_TIME])


def _signed_outline(one: Tlv) -> Tlv | None:
    """The part under the signature of what is SIGNED{...}."""
    return one.child(0, tags.SEQUENCE) if one.tag == tags.SEQUENCE and one.child(1, tags.SEQUENCE) else None


def read_certificate(one: Tlv, deviations: Deviations) -> Certificate | None:
    """The certificate, None where it cannot be read."""
    try:
        return Certificate.load(one.raw, deviations)
    except Asn1Error:
        return None


def put_certificate(parent: Node, name: str, one: Tlv, place: str = "certificate") -> Node:
    """A certificate in words. What is asked of it by its part is judged apart."""
    node = put(parent, name, one, place=place)
    deviations = Deviations()
    certificate = read_certificate(one, deviations)
    tbs = _signed_outline(one)
    if tbs is None:
        put_all(node, one)
        note_damage(node, one)
        return node
    start = 1 if tbs.child(0, tags.CONTEXT_0_CONSTRUCTED) else 0
    node.value = name_of(tbs.child(start + 4))
    put(node, "serialNumber", tbs.child(start), serial_of(tbs.child(start)))
    put(node, "signature", tbs.child(start + 1), signature_name(tbs.child(start + 1)))
    put(node, "issuer", tbs.child(start + 2), name_of(tbs.child(start + 2)))
    validity = tbs.child(start + 3)
    times = [value_of(time) for time in validity.children[:2]] if validity else []
    put(node, "validity", validity, " to ".join(times))
    put(node, "subject", tbs.child(start + 4), name_of(tbs.child(start + 4)))
    _put_key(node, tbs.child(start + 5))
    if certificate is not None:
        node.children.insert(0, Node("version", str(certificate.version)))
        node.add("SHA-256", certificate.fingerprint())
        _put_extensions(node, certificate)
        node.take(deviations)
    note_damage(node, one)
    return node


def _put_key(node: Node, one: Tlv | None) -> None:
    try:
        key = load_public_key(one.raw) if one is not None else None
    except BadAlgorithm as error:
        put(node, "key", one, f"(unusable: {error})")
        return
    put(node, "key", one, key_label(key) if key else "")
    if key and is_weak(key):
        node.note("weak-key", key_label(key))


def _put_extensions(node: Node, certificate: Certificate) -> None:
    try:
        put_wishes(node, tuple(certificate.extensions.values()))
    except Asn1Error as error:
        node.note("damaged-encoding", f"extensions: {error}")


def put_wishes(node: Node, extensions: Sequence[Extension]) -> None:
    """Extensions in words."""
    for one in extensions:
        critical = "critical: " if one.critical else ""
        node.add(oid_name(one.oid), critical + extension_words(one.oid, one.value))


def put_request(parent: Node, name: str, one: Tlv) -> Node:
    """A PKCS #10 request in words. Its challenge password is never shown."""
    node = put(parent, name, one, place="csr")
    tbs = one.child(0)
    if tbs is None:
        return node
    node.value = name_of(tbs.child(1))
    put_leaf(node, "version", tbs.child(0))
    put(node, "subject", tbs.child(1), name_of(tbs.child(1)))
    _put_key(node, tbs.child(2))
    field = tbs.child(3)
    attributes = put(node, "attributes", field, "" if field else "none", "csr.attributes")
    for attribute in field.children if field else ():
        attributes.add("attribute", oid_name(_first_oid(attribute)))
    put(node, "signatureAlgorithm", one.child(1), signature_name(one.child(1)))
    _judge_request(node, attributes, one.raw)
    note_damage(node, one)
    return node


def _first_oid(one: Tlv) -> str:
    first = one.child(0)
    return value_of(first).partition(" ")[0] if first is not None else "(unreadable)"


def _judge_request(node: Node, attributes: Node, der: bytes) -> None:
    deviations = Deviations()
    try:
        unproven = UnprovenRequest(der, deviations)
        proven = unproven.is_proven()
        node.add("proof of possession", "the CSR is signed by its own key" if proven else "does not hold")
        if not proven:
            node.note("csr-signature-wrong")
        request = unproven.read(CryptoLevel.LEGACY, deviations)
    except (Asn1Error, BadAlgorithm, BadRequest) as error:
        node.note("damaged-encoding", str(error))
        node.take(deviations)
        return
    challenge = request.challenge_password
    attributes.add("challengePassword", f"{len(challenge)} characters, not shown" if challenge else "none")
    if challenge is None:
        attributes.note("csr-no-challenge")
    put_wishes(attributes, request.extensions)
    node.take(deviations)


def put_revocation_list(parent: Node, name: str, one: Tlv) -> Node:
    """A CRL in words, its entries counted."""
    node = put(parent, name, one)
    tbs = one.child(0)
    if tbs is None:
        return node
    start = 1 if tbs.child(0, tags.INTEGER) else 0
    node.value = name_of(tbs.child(start + 1))
    put(node, "signature", tbs.child(start), signature_name(tbs.child(start)))
    put(node, "issuer", tbs.child(start + 1), name_of(tbs.child(start + 1)))
    put_leaf(node, "thisUpdate", tbs.child(start + 2))
    rest = tbs.children[start + 3 :]
    if rest and rest[0].tag in (tags.UTC_TIME, tags.GENERALIZED_TIME):
        put_leaf(node, "nextUpdate", rest.pop(0))
    revoked = rest[0].children if rest and rest[0].tag == tags.SEQUENCE else []
    entries = node.add("revokedCertificates", str(len(revoked)))
    for entry in revoked[:20]:
        entries.add(serial_of(entry.child(0)), value_of(entry.children[1]) if entry.child(1) else "")
    if len(revoked) > 20:
        entries.add("...", f"{len(revoked) - 20} more")
    _put_list_extensions(node, tbs.find(tags.CONTEXT_0_CONSTRUCTED))
    note_damage(node, one)
    return node


def _put_list_extensions(node: Node, field: Tlv | None) -> None:
    inner = field.child(0) if field else None
    if inner is None:
        return
    try:
        put_wishes(node, read_extensions(read(inner.raw, "crlExtensions", Deviations())))
    except Asn1Error as error:
        node.note("damaged-encoding", f"extensions: {error}")
