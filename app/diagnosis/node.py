"""What ``inspect`` shows: a tree of places, each with words, where it lies, and what is wrong there."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from ca.deviations import Deviations

# Every place that a finding can point at, by the name that the tree has for it.
PLACES = frozenset(
    {
        *("asn1", "base64", "http", "http.request", "http.response", "http.headers", "http.query.message"),
        *("GetCACaps", "certificate", "key", "pkiMessage", "CertRep", "SignedData", "encapContentInfo"),
        *("text", "certificates", "signerInfos", "digestAlgorithm", "signatureAlgorithm", "signedAttrs"),
        *("signedAttrs.contentType", "signedAttrs.messageDigest", "signedAttrs.signingTime"),
        *("signedAttrs.messageType", "signedAttrs.pkiStatus", "signedAttrs.transactionID"),
        *("signedAttrs.senderNonce", "signedAttrs.recipientNonce", "signedAttrs.failInfo"),
        *("pkcsPKIEnvelope", "recipientInfos", "csr", "csr.attributes"),
    }
)
MAX_VALUE = 400


@dataclass(frozen=True, slots=True)
class Note:
    """A finding at a place; *detail* is what it is there."""

    finding: str
    detail: str = ""


@dataclass(slots=True)
class Node:
    """One place of what is inspected.

    *place* is the name that findings know it by, empty where none points here. *offset* and *octets* say
    where it lies in its layer, None where it is not one piece; the octets of a *secret* one are not shown.
    """

    name: str
    value: str = ""
    place: str = ""
    offset: int | None = None
    octets: bytes | memoryview | None = field(default=None, repr=False)
    secret: bool = False
    children: list["Node"] = field(default_factory=list)
    notes: list[Note] = field(default_factory=list)

    def add(self, name: str, value: str = "", place: str = "") -> "Node":
        """A new place inside this one."""
        node = Node(name, cut(value), place)
        self.children.append(node)
        return node

    def note(self, finding: str, detail: str = "") -> None:
        """Say what is wrong here, each finding once."""
        if finding not in {one.finding for one in self.notes}:
            self.notes.append(Note(finding, cut(detail)))

    def walk(self) -> Iterator["Node"]:
        """Itself and all places inside, in order."""
        yield self
        for child in self.children:
            yield from child.walk()

    def take(self, deviations: Deviations) -> None:
        """Note what a reader noticed, each at the place inside here that it names, or else here."""
        places = {node.place: node for node in reversed(list(self.walk())) if node.place}
        noted = {note.finding for node in self.walk() for note in node.notes}
        for one in deviations:
            if one.kind.value not in noted:
                last = one.place.rpartition(".")[2]
                node = places.get(one.place) or places.get(f"signedAttrs.{one.detail}") or places.get(last)
                (node or self).note(one.kind.value, one.detail)


def cut(text: str) -> str:
    """No more of *text* than a person reads."""
    return text if len(text) <= MAX_VALUE else f"{text[:MAX_VALUE]}... ({len(text)} characters)"
