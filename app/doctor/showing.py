"""What stands where ``inspect`` notes something: a person wants to see it, and not its place alone."""

import re

from app.diagnosis.node import Node
from app.words import printable

_TAGS = re.compile(r"<[^>]*>")
_MOST = 200
# The part of a place that tells why, by finding.
_PARTS = {
    "ca-eku": "extKeyUsage",
    "ca-expired": "validity",
    "ca-key-usage": "keyUsage",
    "ca-not-ca": "basicConstraints",
    "ca-not-rsa": "key",
    "ca-pss": "signature",
    "des-reply": "contentEncryptionAlgorithm",
    "http-chunked-reply": "Transfer-Encoding",
    "oaep-reply": "keyEncryptionAlgorithm",
    "recipient-not-signer": "recipient",
    "recipient-other": "recipient",
}
# What the place itself does not say.
_WORDS = {
    "fail-info-missing": "it is a FAILURE, and there is no failInfo",
    "indefinite-length": "a length of BER, which leaves the end open",
    "nonce-echoed": "it is the request's",
    "signed-attributes-missing": "the SignerInfo has none",
    "signed-unsorted": "the signature holds over the attributes in the order in which they stand",
}
# What goes before it.
_BEFORE = {"signer-certificate-missing": "signed by ", "unsorted-attributes": "in the order "}
# What a place is made of, where nothing else is said.
_MEMBERS = {"GetCACaps", "certificates", "signedAttrs"}


def show(tree: Node, finding: str, where: str, detail: str) -> str:
    """What was seen of *finding* in *tree*: its *detail*, and what stands there where that says little.

    *where* ends with the place, which counts if the finding is noted at several.
    """
    places = [node for node in tree.walk() if finding in {note.finding for note in node.notes}]
    places.sort(key=lambda node: not (node.place and where.endswith(node.place)))
    place = next(iter(places), None)
    if place is None:
        return detail or _WORDS.get(finding, "")
    part = next((node for node in place.walk() if node.name == _PARTS.get(finding)), None)
    if part is not None:
        return "; ".join(filter(None, (f"{part.name} {part.value}", detail)))
    if detail or finding in _WORDS:
        return detail or _WORDS[finding]
    members = _members(place)
    usual = f"there {'are' if len(members) > 1 else 'is'} " if members else ""
    return _BEFORE.get(finding, usual) + (", ".join(members) or in_line(place.value))


def _members(place: Node) -> list[str]:
    """The names of attributes, the values of everything else."""
    if place.place not in _MEMBERS:
        return []
    return [one.name if place.place == "signedAttrs" else one.value for one in place.children]


def in_line(text: str) -> str:
    """*text* of others in one line, without the tags of a page."""
    plain = _TAGS.sub(" ", text) if text.lstrip().startswith("<") else text
    return " ".join(printable(plain).split())[:_MOST]
