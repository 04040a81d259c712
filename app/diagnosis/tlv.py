"""A walk over ASN.1 that never gives up: what cannot be read is marked, and everything before it is kept.

It knows no structure. The reader in ``ca.asn1`` refuses what this one shows.
"""

from dataclasses import dataclass, field

from ca.asn1 import tags

MAX_DEPTH = 48
MAX_ELEMENTS = 20_000
_STRINGS = (tags.OCTET_STRING, tags.CONTEXT_0)


@dataclass(slots=True)
class Tlv:
    """One tag-length-value of *buffer*, from *start* to *end*, its content from *begin* to *stop*.

    *damage* says in words why it ends before it should, or what follows cannot be read.
    """

    buffer: bytes = field(repr=False)
    start: int
    tag: int
    begin: int
    stop: int
    end: int
    form: str = ""
    damage: str = ""
    children: list["Tlv"] = field(default_factory=list)
    # Of what was walked, and asked for again at every layer.
    _whole: bool | None = field(default=None, init=False, repr=False)

    @property
    def raw(self) -> bytes:
        """The whole of it."""
        return self.buffer[self.start : self.end]

    @property
    def content(self) -> bytes:
        """What is inside."""
        return self.buffer[self.begin : self.stop]

    def child(self, number: int, *expected: int) -> "Tlv | None":
        """The child of that number, if it is there and has one of the tags *expected*."""
        one = self.children[number] if number < len(self.children) else None
        return one if one is not None and (not expected or one.tag in expected) else None

    def find(self, tag: int) -> "Tlv | None":
        """The first child of that tag."""
        return next((one for one in self.children if one.tag == tag), None)

    def string(self) -> bytes:
        """The octets of a string, put together where it comes in pieces."""
        if self.tag & tags.CONSTRUCTED:
            return b"".join(piece.string() for piece in self.children)
        return self.content

    def is_whole(self) -> bool:
        """Whether nothing in it is damaged."""
        if self._whole is None:
            self._whole = not self.damage and all(child.is_whole() for child in self.children)
        return self._whole


class Walk:
    """One walk: what it found *at* the top, and how often which form of BER was met and where first."""

    def __init__(self, data: bytes) -> None:
        self._left = MAX_ELEMENTS
        self._data = data
        self.forms: dict[str, list[int]] = {}
        self.top = self._element(0, len(data), 0)

    def _element(self, start: int, limit: int, depth: int) -> Tlv:
        data = self._data
        self._left -= 1
        if limit - start < 2:
            return Tlv(
                data, start, data[start] if start < limit else 0, limit, limit, limit, damage="it breaks off"
            )
        one = Tlv(data, start, data[start], start + 2, limit, limit)
        if one.tag & 0x1F == 0x1F:
            one.damage = "a tag of several octets, which neither CMS nor X.509 has"
            return one
        length = data[start + 1]
        if length == 0x80:
            self._indefinite(one, limit, depth)
            return one
        if length > 0x80:
            octets = length & 0x7F
            one.begin = min(start + 2 + octets, limit)
            length = int.from_bytes(data[start + 2 : one.begin], "big")
            if octets > 4 or start + 2 + octets > limit:
                reached = start + 2 + octets <= limit
                one.damage = f"a length in {octets} octets" if reached else "it breaks off in its length"
                return one
            if length < 0x80 or length >> (8 * (octets - 1)) == 0:
                self._meet(one, "non-minimal-length")
        one.stop = one.end = min(one.begin + length, limit)
        if one.begin + length > limit:
            one.damage = f"it announces {length} octets, and {limit - one.begin} are there"
        if one.tag & tags.CONSTRUCTED:
            self._children(one, depth)
        return one

    def _children(self, one: Tlv, depth: int) -> None:
        position = one.begin
        if one.tag & ~tags.CONSTRUCTED == tags.OCTET_STRING:
            self._meet(one, "constructed-string")
        while position < one.stop and not self._stops(one, depth):
            child = self._element(position, one.stop, depth + 1)
            one.children.append(child)
            position = child.end

    def _indefinite(self, one: Tlv, limit: int, depth: int) -> None:
        self._meet(one, "indefinite-length")
        if not one.tag & tags.CONSTRUCTED:
            one.damage = "an indefinite length of something that has no parts"
            return
        if one.tag & ~tags.CONSTRUCTED == tags.OCTET_STRING:
            self._meet(one, "constructed-string")
        position = one.begin
        while self._data[position : min(position + 2, limit)] != b"\0\0":
            if position >= limit:
                one.damage = "its end is missing"
                return
            if self._stops(one, depth):
                return
            child = self._element(position, limit, depth + 1)
            one.children.append(child)
            position = child.end
        one.stop, one.end = position, position + 2

    def _stops(self, one: Tlv, depth: int) -> bool:
        if depth >= MAX_DEPTH:
            one.damage = f"it is nested deeper than {MAX_DEPTH}"
        elif self._left <= 0:
            one.damage = f"there are more than {MAX_ELEMENTS} elements"
        return bool(one.damage) and (depth >= MAX_DEPTH or self._left <= 0)

    def _meet(self, one: Tlv, form: str) -> None:
        one.form = one.form or form
        self.forms.setdefault(form, []).append(one.start)
