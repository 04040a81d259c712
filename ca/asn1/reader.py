"""A reader of BER (X.690 8) that is tolerant, bounded and lazy. It writes nothing.

It takes indefinite lengths, lengths longer than needed and strings in pieces, because jscep,
macOS and many toolkits send them, and tells the message's deviations of each.
"""

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import lru_cache

from ca.asn1 import tags
from ca.deviations import DeviationKind, Deviations

# Deeper than any SCEP message that was ever seen, far less than Python's own stack.
MAX_DEPTH = 64
MAX_LENGTH_OCTETS = 4
MAX_OID_OCTETS = 64
# The seconds are missing in UTCTimes that are older than RFC 5280.
_TIME = re.compile(rb"(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)?Z")


class Asn1Error(ValueError):
    """The bytes are not an encoding of what was expected there."""


class _Source:
    """What the elements of one encoding share."""

    __slots__ = ("buffer", "deviations", "place")

    def __init__(self, buffer: bytes, place: str, deviations: Deviations) -> None:
        self.buffer = buffer
        self.place = place
        self.deviations = deviations


class Element:
    """One tag-length-value, with its children read only when asked for.

    *tag* is the identifier octet as received. An indefinite length is resolved on reading, so
    *content* never holds the end-of-contents octets.
    """

    __slots__ = ("_children", "_content_end", "_content_start", "_depth", "_source", "_start", "end", "tag")

    def __init__(self, source: _Source, start: int, limit: int, depth: int) -> None:
        buffer = source.buffer
        if start + 2 > limit:
            raise Asn1Error("truncated")
        self.tag = tag = buffer[start]
        # No SCEP, CMS or X.509 structure has a tag number above 30.
        if tag & 0x1F == 0x1F:
            raise Asn1Error("long-form tag")
        self._source = source
        self._start = start
        self._depth = depth
        self._children: list[Element] | None = None
        length = buffer[start + 1]
        if length < 0x80:
            self._content_start = start = start + 2
            self._content_end = self.end = start + length
        elif length == 0x80:
            self._read_indefinite(limit)
        else:
            self._read_long(length & 0x7F, limit)
        if self.end > limit:
            raise Asn1Error("length runs past the end")

    def _read_long(self, octets: int, limit: int) -> None:
        start = self._start + 2
        if octets > MAX_LENGTH_OCTETS or start + octets > limit:
            raise Asn1Error("length of the length")
        length = int.from_bytes(self._source.buffer[start : start + octets], "big")
        if length < 0x80 or length >> (8 * (octets - 1)) == 0:
            self.deviate(DeviationKind.NON_MINIMAL_LENGTH)
        self._content_start = start + octets
        self._content_end = self.end = self._content_start + length

    def _read_indefinite(self, limit: int) -> None:
        """Read the children up to the end-of-contents octets, which only they can find."""
        if not self.tag & tags.CONSTRUCTED:
            raise Asn1Error("indefinite length of a primitive")
        self.deviate(DeviationKind.INDEFINITE_LENGTH)
        buffer = self._source.buffer
        self._content_start = position = self._start + 2
        children = []
        while buffer[position : position + 2] != b"\x00\x00":
            child = self._child(position, limit)
            children.append(child)
            position = child.end
        self._content_end = position
        self.end = position + 2
        self._children = children

    def _child(self, position: int, limit: int) -> "Element":
        if self._depth >= MAX_DEPTH:
            raise Asn1Error("nested too deep")
        return Element(self._source, position, limit, self._depth + 1)

    @property
    def raw(self) -> bytes:
        """The whole encoding as received."""
        return self._source.buffer[self._start : self.end]

    @property
    def content(self) -> bytes:
        """The content octets as received."""
        return self._source.buffer[self._content_start : self._content_end]

    def children(self) -> list["Element"]:
        """The elements inside a constructed one.

        Raises:
            Asn1Error: It is primitive, or a child is not an element.

        """
        if self._children is None:
            if not self.tag & tags.CONSTRUCTED:
                raise Asn1Error(f"tag {self.tag:#04x} has no parts")
            self._children = self._read_children()
        return self._children

    def _read_children(self) -> list["Element"]:
        """Every message comes through here a hundred times, hence no detour."""
        children = []
        source, depth = self._source, self._depth + 1
        position, end = self._content_start, self._content_end
        if depth > MAX_DEPTH and position < end:
            raise Asn1Error("nested too deep")
        while position < end:
            child = Element(source, position, end, depth)
            children.append(child)
            position = child.end
        return children

    def expect(self, *expected: int) -> "Element":
        """Return this element if its tag is one of *expected*.

        Raises:
            Asn1Error: It is not.

        """
        if self.tag not in expected:
            raise Asn1Error(f"tag {self.tag:#04x} where {expected[0]:#04x} belongs")
        return self

    def sequence(self, least: int = 0, most: int | None = None) -> list["Element"]:
        """The children of a SEQUENCE of *least* to *most* elements; by default no limit above."""
        if self.tag != tags.SEQUENCE:
            self.expect(tags.SEQUENCE)
        return self.parts(least, most)

    def parts(self, least: int, most: int | None = None) -> list["Element"]:
        """The children, *least* to *most* of them."""
        children = self._children
        if children is None:
            children = self.children()
        if len(children) < least or (most is not None and len(children) > most):
            raise Asn1Error(f"{len(children)} elements where {least} belong")
        return children

    def only_child(self) -> "Element":
        """The one element inside, as in EXPLICIT tagging or a SET of one value."""
        return self.parts(1, 1)[0]

    def integer(self) -> int:
        """The value of an INTEGER, of any size."""
        content = self.expect(tags.INTEGER).content
        if not content:
            raise Asn1Error("empty INTEGER")
        if len(content) > 1 and (content[0], content[1] >> 7) in ((0, 0), (0xFF, 1)):
            self.deviate(DeviationKind.NON_MINIMAL_INTEGER)
        return int.from_bytes(content, "big", signed=True)

    def boolean(self) -> bool:
        """The value of a BOOLEAN; BER allows any octet but zero for TRUE."""
        content = self.expect(tags.BOOLEAN).content
        if len(content) != 1:
            raise Asn1Error("BOOLEAN of the wrong size")
        if content not in (b"\x00", b"\xff"):
            self.deviate(DeviationKind.NON_DER_BOOLEAN)
        return content != b"\x00"

    def oid(self) -> str:
        """The dotted text of an OBJECT IDENTIFIER."""
        return _dotted(self.expect(tags.OBJECT_IDENTIFIER).content)

    def octets(self, primitive: int = tags.OCTET_STRING) -> bytes:
        """The octets of a string type, whole or in pieces.

        *primitive* is the tag of the undivided form: OCTET STRING, or the context tag that stands
        for it. The pieces of a divided one are OCTET STRINGs, nested or not (X.690 8.7.3).
        """
        if self.tag == primitive:
            return self.content
        self.expect(primitive | tags.CONSTRUCTED)
        self.deviate(DeviationKind.CONSTRUCTED_STRING)
        return b"".join(piece.octets() for piece in self.children())

    def bits(self) -> bytes:
        """The octets of a BIT STRING that ends on a whole octet, as keys and signatures do."""
        content = self.expect(tags.BIT_STRING).content
        if not content or content[0] != 0:
            raise Asn1Error("BIT STRING of broken octets")
        return content[1:]

    def time(self) -> datetime:
        """The UTC time of a UTCTime or GeneralizedTime.

        RFC 5280 4.1.2.5.1: a two-digit year from 50 on is of the last century.
        """
        content = self.expect(tags.UTC_TIME, tags.GENERALIZED_TIME).content
        if self.tag == tags.UTC_TIME:
            content = (b"19" if content[:2] >= b"50" else b"20") + content
        parts = _TIME.fullmatch(content)
        if parts is None:
            raise Asn1Error("bad time: not of the form YYMMDDhhmmssZ")
        year, month, day, hour, minute, second = map(int, parts.groups(b"0"))
        try:
            return datetime(year, month, day, hour, minute, second, tzinfo=UTC)
        except ValueError as error:
            raise Asn1Error(f"bad time: {error}") from error

    def deviate(self, kind: DeviationKind, detail: str = "", *, part: str = "") -> None:
        """Tell the message's deviations of *kind* at this encoding's place, or at a *part* of it."""
        place = self._source.place
        self._source.deviations.add(kind, f"{place}.{part}" if part else place, detail)


def read(data: bytes, place: str, deviations: Deviations, *, slack: bytes = b"") -> Element:
    """Read the one element that *data* is.

    *place* names it for *deviations*. Up to two trailing octets out of *slack* are let pass.

    Raises:
        Asn1Error: It is not one element, or more follows.

    """
    element = Element(_Source(data, place, deviations), 0, len(data), 0)
    rest = data[element.end :]
    if rest:
        if len(rest) > 2 or rest.strip(slack):
            raise Asn1Error("bytes after the end")
        element.deviate(DeviationKind.TRAILING_BYTES)
    return element


def split(data: bytes) -> Iterator[bytes]:
    """The encodings of the elements that stand one after another in *data*, none of them looked into.

    Raises:
        Asn1Error: Something else stands there.

    """
    source, position, limit = _Source(data, "list", Deviations()), 0, len(data)
    while position < limit:
        # A CRL has tens of thousands that are short; what else there is, an element judges.
        end = position + 2 + data[position + 1] if position + 1 < limit else limit + 1
        if end > limit or end - position >= 0x82 or data[position] & 0x1F == 0x1F:
            end = Element(source, position, limit, 0).end
        yield data[position:end]
        position = end


@lru_cache(maxsize=1024)
def _dotted(content: bytes) -> str:
    if not content or len(content) > MAX_OID_OCTETS or content[-1] & 0x80:
        raise Asn1Error("bad OBJECT IDENTIFIER")
    arcs: list[int] = []
    value = 0
    for octet in content:
        value = value << 7 | octet & 0x7F
        if not octet & 0x80:
            arcs.append(value)
            value = 0
    first = min(arcs[0] // 40, 2)
    return ".".join(map(str, (first, arcs[0] - 40 * first, *arcs[1:])))
