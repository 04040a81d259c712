"""Takes apart whatever it is given: finds out what it is, and shows it layer by layer. Runs nothing."""

from dataclasses import dataclass

from app.diagnosis.asn1_tree import note_damage, note_forms, put, put_all
from app.diagnosis.attributes import Role
from app.diagnosis.base64_text import decode_loosely, find_blocks, is_base64
from app.diagnosis.ca_judgement import is_authority, judge_ca
from app.diagnosis.capabilities_text import is_capabilities, put_capabilities
from app.diagnosis.cms_tree import put_content_info
from app.diagnosis.compressed import decompress, is_gzip
from app.diagnosis.finding import Finding, Severity
from app.diagnosis.hex_text import read_hex
from app.diagnosis.http_message import is_http, put_http, put_request_line
from app.diagnosis.knowledge import Knowledge
from app.diagnosis.log_line import find_requests
from app.diagnosis.node import Node, Note
from app.diagnosis.opener import Opener
from app.diagnosis.pasted_text import from_utf16, is_text, take_off
from app.diagnosis.recorded import put_recording, put_recordings, recorded_lines
from app.diagnosis.tlv import Tlv, Walk
from app.diagnosis.words import name_of, serial_of
from app.diagnosis.x509_tree import (
    is_certificate,
    is_request,
    is_revocation_list,
    put_certificate,
    put_request,
    put_revocation_list,
)
from app.recorder.recording import is_recording
from ca.asn1 import tags

MAX_OCTETS = 4 * 1024 * 1024
# An HTTP request around base64 around a message around an envelope around a bundle, and some to spare.
MAX_LAYERS = 12
_SEVERITIES = list(Severity)
# White space, NULs and the mark that Windows puts in front of text.
_SPACE = b"\xef\xbb\xbf \t\r\n\0"


@dataclass(frozen=True, slots=True)
class Verdict:
    """A finding that was noted, with what it is there and where."""

    finding: Finding
    note: Note
    node: Node


def inspect(data: bytes, opener: Opener, role: Role = Role.UNKNOWN) -> Node:
    """What *data* is, as a tree. Of more than 4 MiB the first are looked at."""
    top = Node("input", f"{len(data)} octets")
    _Inspection(opener).inside(top, data[:MAX_OCTETS], role)
    return top


def verdicts(top: Node, known: Knowledge) -> list[Verdict]:
    """What is wrong, each finding once: the worst first, else in the order of the knowledge."""
    found: dict[str, Verdict] = {}
    for node in top.walk():
        for note in node.notes:
            found.setdefault(note.finding, Verdict(known.findings[note.finding], note, node))
    in_order = [found[one] for one in known.findings if one in found]
    return sorted(in_order, key=lambda one: _SEVERITIES.index(one.finding.severity))


class _Inspection:
    """One inspection, which counts how many layers deep it is."""

    def __init__(self, opener: Opener) -> None:
        self._opener = opener
        self._depth = 0
        # Of a recording: whether what was given to open with is for the request, and so not for the reply.
        self._is_for_request = False

    def inside(self, parent: Node, data: bytes, role: Role) -> None:
        """Put what *data* is into *parent*."""
        if self._depth >= MAX_LAYERS:
            parent.add("...", "more layers than anything has")
            return
        self._depth += 1
        self._put(parent, data, role)
        self._depth -= 1

    def _put(self, parent: Node, data: bytes, role: Role) -> None:
        text = data.strip(_SPACE)
        if not text:
            parent.add("nothing", "empty", "asn1").note("nothing-of-scep")
        elif is_text(text) and (hexadecimal := read_hex(text)):
            # Before a mail: what stands beside the octets of a dump may look like anything.
            self._put_inside(parent, *hexadecimal, "base64", role)
        elif role is Role.UNKNOWN and self._put_pasted(parent, data, text):
            pass
        elif is_http(data.lstrip(_SPACE)):
            put_http(parent, data.lstrip(_SPACE), self.inside)
        elif len(lines := recorded_lines(text)) > 1:
            put_recordings(parent, lines)
        elif lines or is_recording(text):
            put_recording(parent, lines[0] if lines else text, self._inside_recorded)
        elif b"-----BEGIN " in text and (blocks := find_blocks(text)):
            for label, body in blocks:
                self._put_base64(parent, f"PEM {label}", body, role)
        elif is_capabilities(data):
            put_capabilities(parent, data)
        elif role is Role.UNKNOWN and is_text(text) and (found := find_requests(text)):
            self._put_requests(parent, found)
        elif text[:1] in (b"<", b"{", b"["):
            page = parent.add("text", text[:200].decode("utf-8", "replace"), "http.response")
            page.note("html-body", "" if text.startswith(b"<") else "it is JSON")
        elif is_gzip(data):
            self._put_gzip(parent, data, role)
        elif is_base64(text):
            self._put_base64(parent, "base64", text, role)
        elif data[0] in (tags.SEQUENCE, tags.SET) or (data[0] & tags.CONSTRUCTED and not text.isascii()):
            self._put_asn1(parent, data, role)
        else:
            shown = text[:200].decode("utf-8", "replace") if text.isascii() else data[:64].hex()
            what = f"neither ASN.1 nor anything else that SCEP has: {shown}"
            unknown = parent.add("unknown", what, "asn1")
            unknown.note("nothing-of-scep")

    def _inside_recorded(self, parent: Node, data: bytes, role: Role) -> None:
        """The request or the reply of one exchange: what opens the one is not meant for the other."""
        if role is Role.REQUEST:
            trial = Node("trial")
            self.inside(trial, data, role)
            self._is_for_request = _is_for(trial, self._opener)
        is_meant = self._is_for_request == (role is Role.REQUEST)
        meant = self._opener
        self._opener = meant if is_meant else meant.for_another()
        self.inside(parent, data, role)
        self._opener = meant

    def _put_pasted(self, parent: Node, data: bytes, text: bytes) -> bool:
        """Put what is inside the form that an editor or a mail gave it; False where it has none."""
        if plain := from_utf16(data):
            taken = "UTF-16", plain
        elif is_recording(text) or not (mailed := take_off(text, is_http=is_http(text))):
            return False
        else:
            taken = mailed
        self._put_inside(parent, *taken, "text", Role.UNKNOWN)
        return True

    def _put_inside(self, parent: Node, form: str, octets: bytes, place: str, role: Role) -> None:
        node = parent.add(form, f"{len(octets)} octets", place)
        if role is Role.UNKNOWN:
            node.note("pasted-form", f"read as {form}")
        self.inside(node, octets, role)

    def _put_requests(self, parent: Node, found: list[bytes]) -> None:
        node = parent.add("request lines", str(len(found)), "text")
        node.note("pasted-form", "read as an address or the lines of a log: headers and bodies are not in it")
        for line in found:
            put_request_line(node, line, self.inside)

    def _put_gzip(self, parent: Node, data: bytes, role: Role) -> None:
        octets, trouble = decompress(data)
        node = parent.add("gzip", ", ".join(filter(None, (f"{len(octets)} octets", trouble))), "text")
        if role is Role.ANSWER:
            node.note("http-compressed", "gzip, and no header says so")
        else:
            node.note("pasted-form", "read as gzip")
        self.inside(node, octets, role)

    def _put_base64(self, parent: Node, name: str, text: bytes, role: Role) -> None:
        octets, damage = decode_loosely(text)
        node = parent.add(name, f"{len(octets)} octets", "base64")
        if damage:
            node.note("base64-damaged", damage)
        self.inside(node, octets, role)

    def _put_asn1(self, parent: Node, data: bytes, role: Role) -> None:
        walk = Walk(data)
        one = walk.top
        if one.child(0, tags.OBJECT_IDENTIFIER):
            put_content_info(parent, walk, self._opener, self.inside, role)
        elif _is_private_key(one):
            parent.add("private key", "nothing of it is shown", "key").note("private-key")
        else:
            node = self._put_signed(parent, one, role)
            note_forms(node, walk)
            note_damage(node, one)
        rest = data[one.end :]
        if rest:
            parent.children[-1].note("trailing-bytes", f"{len(rest)} octets, the first are {rest[:8].hex()}")

    def _put_signed(self, parent: Node, one: Tlv, role: Role) -> Node:
        if is_certificate(one):
            node = put_certificate(parent, "certificate", one)
            if role is Role.ANSWER or is_authority(one):
                judge_ca(node, one, self._opener)
            return node
        if is_revocation_list(one):
            return put_revocation_list(parent, "CRL", one)
        if is_request(one):
            return put_request(parent, "CSR", one)
        if [child.tag for child in one.children] == [tags.SEQUENCE, tags.INTEGER]:
            named = f"serial {serial_of(one.child(1))} of {name_of(one.child(0))}"
            return put(parent, "IssuerAndSerialNumber", one, named)
        if [child.tag for child in one.children] == [tags.SEQUENCE, tags.SEQUENCE]:
            named = f"{name_of(one.child(1))}, to be issued by {name_of(one.child(0))}"
            return put(parent, "IssuerAndSubject", one, named)
        node = put(parent, "ASN.1", one, "of no structure that SCEP has", "asn1")
        put_all(node, one)
        return node


def _is_for(top: Node, opener: Opener) -> bool:
    """Whether an envelope in *top* opened, or where that was not tried, names whom it should."""
    envelopes = [node for node in top.walk() if node.place == "pkcsPKIEnvelope"]
    if opener.can_try:
        return any(child.name == "opened" and child.children for node in envelopes for child in node.children)
    refound = any(note.finding == "recipient-refound" for node in top.walk() for note in node.notes)
    return opener.certificate is not None and bool(envelopes) and not refound


def _is_private_key(one: Tlv) -> bool:
    """PKCS #8, PKCS #1 and SEC 1, sealed or not."""
    shape = [child.tag for child in one.children[:4]]
    if shape[:3] == [tags.INTEGER, tags.SEQUENCE, tags.OCTET_STRING]:
        return True
    if shape[:2] == [tags.INTEGER, tags.OCTET_STRING]:
        return True
    return len(one.children) >= 9 and all(child.tag == tags.INTEGER for child in one.children[:9])
