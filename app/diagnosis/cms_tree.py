"""ContentInfo and SignedData in words: the signer, what he signed, and whether it holds."""

from dataclasses import replace

from app.diagnosis.asn1_tree import note_damage, note_forms, put, put_all, put_leaf
from app.diagnosis.attributes import Role, find_role, has_scep_attributes, judge_attributes, put_attributes
from app.diagnosis.ca_judgement import is_authority, judge_bundle
from app.diagnosis.envelope_tree import Inside, put_envelope
from app.diagnosis.node import Node
from app.diagnosis.opener import Opener
from app.diagnosis.tlv import Tlv, Walk
from app.diagnosis.words import (
    AUTH_ENVELOPED_DATA,
    DATA,
    ENVELOPED_DATA,
    SIGNED_DATA,
    algorithm_oid,
    hexadecimal,
    is_signature_algorithm,
    name_of,
    oid_name,
    oid_of,
    serial_of,
    signature_name,
)
from app.diagnosis.x509_tree import (
    put_certificate,
    put_revocation_list,
    read_certificate,
)
from ca.algorithms import digests
from ca.algorithms.digests import MD5, SHA1
from ca.algorithms.keys import RSA_ENCRYPTION
from ca.algorithms.levels import CryptoLevel
from ca.asn1 import Asn1Error, tags, writer
from ca.deviations import Deviations
from ca.errors import BadAlgorithm, BadMessageCheck, MalformedMessage
from ca.scep.codec import SignedData

_MOST = 64
_MOST_SIGNERS = 8
_SIGNED_DATA_OID = writer.oid(SIGNED_DATA)
# What a finding is called where it is in a reply.
_OF_REPLIES = {"weak-digest": "reply-weak-digest", "absent-parameters": "reply-absent-parameters"}
# Where one of them is noted, that the signature does not hold is no news.
EXPLAIN_IT = {
    "content-type-attribute-missing",
    "message-digest-wrong",
    "signed-attributes-missing",
    "signer-certificate-missing",
    "digest-is-signature-algorithm",
    "damaged-encoding",
    "attribute-repeated",
}


def put_content_info(parent: Node, walk: Walk, opener: Opener, inside: Inside, role: Role) -> None:
    """A ContentInfo, by the type that it says."""
    one = walk.top
    kind = oid_of(one.child(0))
    wrapper = one.child(1, tags.CONTEXT_0_CONSTRUCTED)
    content = wrapper.child(0) if wrapper else None
    if kind == SIGNED_DATA and content is not None:
        node = _put_signed(parent, one, content, opener, inside, role)
    elif kind in (ENVELOPED_DATA, AUTH_ENVELOPED_DATA) and content is not None:
        node = put_envelope(parent, one, content, opener, inside, role)
    else:
        node = put(parent, "ContentInfo", one, oid_name(kind) or "(no type)", "asn1")
        put_all(node, one)
    note_forms(node, walk)
    note_damage(node, one)


def _put_signed(parent: Node, one: Tlv, content: Tlv, opener: Opener, inside: Inside, role: Role) -> Node:
    encapsulated = content.child(2, tags.SEQUENCE)
    certificates = content.find(tags.CONTEXT_0_CONSTRUCTED)
    lists = content.find(tags.CONTEXT_1_CONSTRUCTED)
    bag = certificates.children[:_MOST] if certificates else []
    signers = [part for part in content.children[3:] if part.tag == tags.SET]
    infos = signers[-1].children[:_MOST] if signers else []
    if not infos and one.is_whole() and encapsulated is not None and len(encapsulated.children) < 2:
        return _put_degenerate(parent, one, bag, lists, opener, role)
    role = find_role(infos[0] if infos else None, role)
    place = "CertRep" if role is Role.REPLY else "pkiMessage"
    node = put(parent, place, one, "SignedData, signed" if infos else "SignedData", place)
    put_leaf(node, "version", content.child(0))
    data, octets = _put_encapsulated(node, encapsulated)
    # Behind them the signers are: who got as far has seen that there are none.
    none = "" if bag or not (one.is_whole() or signers) else "none"
    field = put(node, "certificates", certificates, none, "certificates")
    for certificate in bag:
        _put_signer_certificate(field, certificate)
    last, count = (signers[-1], str(len(infos))) if signers else (None, "")
    signer_field = put(node, "signerInfos", last, count, "signerInfos")
    for info in infos[:_MOST_SIGNERS]:
        _put_signer(signer_field, info, octets or b"", role, bag if one.is_whole() else None)
    if one.is_whole():
        # Of what breaks off, nothing can be said to be missing.
        _judge_signed(node, signer_field, one.raw, infos, data, octets, role)
    if octets and len(octets) > 1:
        inside(data, octets, role)
    if role is Role.REPLY:
        _tell_the_server(node)
    return node


def _tell_the_server(node: Node) -> None:
    """Of a reply, say what the server is to mend: what is noted of requests speaks to clients."""
    for one in node.walk():
        one.notes[:] = [
            replace(note, finding=_OF_REPLIES.get(note.finding, note.finding)) for note in one.notes
        ]


def _judge_signed(
    node: Node, field: Node, raw: bytes, infos: list[Tlv], data: Node, octets: bytes | None, role: Role
) -> None:
    if len(infos) != 1:
        field.note("several-signers", f"{len(infos)} SignerInfos")
    if infos and not has_scep_attributes(infos[0]) and _SIGNED_DATA_OID in (octets or b"")[:40]:
        node.name, node.place = "next CA", "SignedData"
        node.value = "SignedData, signed: the answer to GetNextCACert"
    elif infos:
        judge_attributes(node, data, octets, role)
    _judge_signature(node, field, raw)


def _put_degenerate(
    parent: Node, one: Tlv, found: list[Tlv], lists: Tlv | None, opener: Opener, role: Role
) -> Node:
    """Certificates or a CRL without a signature (RFC 8894 3.4)."""
    said = f"SignedData without signature: {len(found)} certificates"
    node = put(parent, "certificates", one, said, "certificates")
    for certificate in found:
        put_certificate(node, "certificate", certificate)
    for crl in lists.children[:_MOST_SIGNERS] if lists else ():
        put_revocation_list(node, "CRL", crl)
    if role is Role.REPLY:
        _judge_issued(node, found, lists, opener)
    elif role is Role.ANSWER or any(map(is_authority, found)):
        judge_bundle(node, found, opener)
    return node


def _judge_issued(node: Node, found: list[Tlv], lists: Tlv | None, opener: Opener) -> None:
    """What the envelope of a SUCCESS holds: one certificate, for the key that the CSR named."""
    if not found and not lists:
        node.note("success-without-certificate")
    elif len(found) > 1:
        node.note("reply-not-leaf-alone", f"{len(found)} certificates, the first is {_subject(found[0])}")
    if not found or opener.certified is None:
        return
    certificates = [read_certificate(one, Deviations()) for one in found]
    if not any(one is not None and one.spki == opener.certified for one in certificates):
        node.note("leaf-other-key", f"it is for {_subject(found[0])}")


def _subject(one: Tlv) -> str:
    certificate = read_certificate(one, Deviations())
    try:
        return str(certificate.subject) if certificate else "(unreadable)"
    except Asn1Error:
        return "(unreadable)"


def _put_encapsulated(node: Node, one: Tlv | None) -> tuple[Node, bytes | None]:
    kind = oid_of(one.child(0)) if one else ""
    wrapper = one.child(1, tags.CONTEXT_0_CONSTRUCTED) if one else None
    content = wrapper.child(0) if wrapper else None
    octets = content.string() if content is not None else None
    said = f"{oid_name(kind)}, content {'absent' if octets is None else f'{len(octets)} octets'}"
    found = put(node, "encapContentInfo", one, said if one else "", "encapContentInfo")
    if kind not in ("", DATA):
        found.note("content-type", oid_name(kind))
    return found, octets


def _put_signer_certificate(bag: Node, one: Tlv) -> None:
    node = put_certificate(bag, "certificate", one)
    certificate = read_certificate(one, Deviations())
    if certificate is not None:
        deviations = Deviations()
        certificate.note_oddities(deviations)
        node.take(deviations)


def _put_signer(field: Node, info: Tlv, octets: bytes, role: Role, bag: list[Tlv] | None) -> None:
    """One SignerInfo; *bag* is None where the message is not whole."""
    node = put(field, "signerInfo", info)
    put_leaf(node, "version", info.child(0))
    named = info.child(1)
    if named is not None and named.tag == tags.SEQUENCE:
        sid = put(node, "signer", named, f"serial {serial_of(named.child(1))} of {name_of(named.child(0))}")
        if bag is not None and not any(_is_named(one, named) for one in bag):
            sid.note("signer-certificate-missing")
    else:
        put(node, "signer", named, f"subjectKeyIdentifier {hexadecimal(named.string()) if named else ''}")
    oid = algorithm_oid(info.child(2))
    digest = put(node, "digestAlgorithm", info.child(2), oid_name(oid), "digestAlgorithm")
    if is_signature_algorithm(oid):
        digest.note("digest-is-signature-algorithm", oid_name(oid))
    known = digests.BY_OID.get(oid)
    if known in (MD5, SHA1):
        field.note("weak-digest", oid_name(oid))
    signed = info.child(3, tags.CONTEXT_0_CONSTRUCTED)
    if signed is not None:
        put_attributes(node, signed, known.of(octets) if known and bag is not None else None)
    elif bag is not None:
        field.note("signed-attributes-missing")
    algorithm = info.child(3 if signed is None else 4, tags.SEQUENCE)
    name = signature_name(algorithm)
    used = put(node, "signatureAlgorithm", algorithm, name, "signatureAlgorithm")
    if role is Role.REPLY and algorithm_oid(algorithm) not in ("", RSA_ENCRYPTION):
        used.note("signature-algorithm-unusual", name)
    signature = info.child(4 if signed is None else 5)
    put(node, "signature", signature, f"{len(signature.string())} octets" if signature else "")


def _is_named(certificate: Tlv, named: Tlv) -> bool:
    """Whether it has issuer and serial number of an IssuerAndSerialNumber, however they are encoded."""
    found = read_certificate(certificate, Deviations())
    if found is None or serial_of(named.child(1)) != serial_of(Walk(found.serial_der).top):
        return False
    return name_of(named.child(0)) == name_of(Walk(found.issuer_der).top)


def _judge_signature(node: Node, field: Node, raw: bytes) -> None:
    """Ask the strict reader, and keep what it notices on the way."""
    deviations = Deviations()
    try:
        signed = SignedData.load(raw, node.place, deviations)
        signed.verify(CryptoLevel.LEGACY)
        field.add("verdict", "the signature holds")
        _ = signed.signing_time
    except (Asn1Error, BadAlgorithm, MalformedMessage) as error:
        field.add("verdict", f"not checked: {error}")
    except BadMessageCheck as error:
        field.add("verdict", str(error))
        if EXPLAIN_IT.isdisjoint(note.finding for inner in node.walk() for note in inner.notes):
            field.note("signature-wrong", str(error))
    node.take(deviations)
