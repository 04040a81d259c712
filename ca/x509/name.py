"""Distinguished names (RFC 5280 4.1.2.4): their bytes, their text and when two are the same."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property, lru_cache
from string import ascii_lowercase, ascii_uppercase

from cryptography import x509

from ca.asn1 import Asn1Error, Element, read, strings, tags, writer
from ca.deviations import Deviations
from ca.x509 import oids

MAX_RDNS = 32
_CONTROLS = {number: f"\\{number:02X}" for number in (*range(32), 127)}
# Strangers' names are remembered too, so that they have to be small.
MAX_REMEMBERED_OCTETS = 1024
# RFC 5280 appendix A.1, ub-common-name.
MAX_COMMON_NAME = 64
_ESCAPED = re.compile(r'([,+"\\<>;=]|^[ #]| $)')
_SPACES = re.compile(" +")
_LOWER = str.maketrans(ascii_uppercase, ascii_lowercase)

# RFC 4514 3, with the spaces around separators that people write.
_UNIT = r'(?:[^ \\,+"<>;]|\\[ "#+,;<=>\\]|\\[0-9A-Fa-f]{2})'
_ATTRIBUTE = re.compile(
    rf" *([A-Za-z][A-Za-z0-9-]*|[0-9]+(?:\.[0-9]+)+) *= *({_UNIT}(?: *{_UNIT})*) *([,+]|\Z)"
)
_PAIR = re.compile(rb"\\(?:([0-9A-Fa-f]{2})|(.))", re.DOTALL)
# RFC 5280 appendix A.1: PrintableString alone, and IA5String alone.
_PRINTABLE = frozenset({"2.5.4.5", "2.5.4.6", "2.5.4.46"})
_IA5 = frozenset({"0.9.2342.19200300.100.1.25", "1.2.840.113549.1.9.1"})


@dataclass(frozen=True, slots=True)
class Attribute:
    """One type and value of a name."""

    oid: str
    value: str

    @property
    def label(self) -> str:
        """Its short name, or the OID where it has none."""
        return oids.ATTRIBUTE_NAMES.get(self.oid, self.oid)

    def __str__(self) -> str:
        return f"{self.label}={_escape(self.value)}"


@dataclass(frozen=True)
class Name:
    """A distinguished name.

    *der* is what goes into a certificate: the bytes as received wherever they are sound DER.
    """

    der: bytes
    rdns: tuple[tuple[Attribute, ...], ...]

    @classmethod
    def read(cls, element: Element) -> "Name":
        """Read a Name.

        A string that does not fit its type (an underscore in a PrintableString) is written anew
        as UTF8String; everything else keeps its bytes (RFC 5280 4.1.2.6).

        Raises:
            Asn1Error: It is no Name.

        """
        sets = element.sequence()
        if len(sets) > MAX_RDNS:
            raise Asn1Error("Name of too many parts")
        rdns, encodings = [], []
        for rdn in sets:
            pairs = [_read_attribute(pair) for pair in rdn.expect(tags.SET).children()]
            if not pairs:
                raise Asn1Error("empty RelativeDistinguishedName")
            rdns.append(tuple(attribute for attribute, _ in pairs))
            encodings.append(writer.set_of(der for _, der in pairs))
        return cls(writer.sequence(*encodings), tuple(rdns))

    @classmethod
    def load(cls, der: bytes) -> "Name":
        """Read a Name that is met again and again, such as the subject of a CA; a long one is not kept.

        Raises:
            Asn1Error: It is no Name.

        """
        return _load(der) if len(der) <= MAX_REMEMBERED_OCTETS else Name.read(read(der, "Name", Deviations()))

    @classmethod
    def from_text(cls, text: str) -> "Name":
        """Parse RFC 4514 text such as ``CN=ipad-17,O=Example``: whatever ``str`` writes, and more.

        Raises:
            ValueError: It is not such text, or names an attribute of an unknown type or of no value.

        """
        rdns: list[list[bytes]] = []
        position, separator = 0, "," if text else ""
        while separator:
            found = _ATTRIBUTE.match(text, position)
            if found is None:
                raise ValueError(
                    f"no name such as CN=ipad-17,O=Example at {text[position : position + 20]!r}"
                )
            attribute = _encode_attribute(found[1], found[2])
            if separator == "+":
                rdns[-1].append(attribute)
            else:
                rdns.append([attribute])
            position, separator = found.end(), found[3]
        return cls.load(writer.sequence(*map(writer.set_of, reversed(rdns))))

    @classmethod
    def of(cls, rdns: Iterable[Iterable[Attribute]]) -> "Name":
        """A name put together of attributes, the first RDN first.

        Raises:
            ValueError: An attribute type is no OID.

        """
        encoded = ((_encode(one.oid, one.value) for one in rdn) for rdn in rdns)
        return cls.load(writer.sequence(*map(writer.set_of, encoded)))

    def for_builder(self) -> x509.Name:
        """The same name for the builders of ``cryptography``.

        Raises:
            ValueError: They refuse it: RFC 5280 appendix A.1 limits the length of some attributes.

        """
        return x509.Name(
            x509.RelativeDistinguishedName(
                x509.NameAttribute(x509.ObjectIdentifier(part.oid), part.value) for part in rdn
            )
            for rdn in self.rdns
        )

    def __str__(self) -> str:
        """RFC 4514 text: the last RDN first."""
        return self._text

    @cached_property
    def _text(self) -> str:
        return ",".join("+".join(map(str, rdn)) for rdn in reversed(self.rdns))

    def __bool__(self) -> bool:
        return bool(self.rdns)

    def attributes(self) -> list[Attribute]:
        """All attributes, in order."""
        return [attribute for rdn in self.rdns for attribute in rdn]

    def matches(self, other: "Name") -> bool:
        """Whether both name the same (RFC 5280 7.1: case and repeated space do not count).

        That is of ASCII. Of everything else each character counts: what folds a long s to an s, or drops
        a space that nobody sees, would have a device get another name than it was given.
        """
        return self.der == other.der or self._folded() == other._folded()

    def folded_text(self) -> str:
        """Text that is the same for all names that :meth:`matches` takes for one, and for no other."""
        # No certified value has a line or a NUL in it.
        return "\n".join("\0".join(sorted(f"{oid}={value}" for oid, value in rdn)) for rdn in self._folded())

    def _folded(self) -> list[frozenset[tuple[str, str]]]:
        return [frozenset((part.oid, _fold(part.value)) for part in rdn) for rdn in self.rdns]


def _encode_attribute(kind: str, text: str) -> bytes:
    oid = kind if kind[0].isdigit() else oids.ATTRIBUTE_OIDS.get(kind.casefold())
    if oid is None:
        raise ValueError(f"{kind!r} is no attribute type that is known here")
    return _encode(oid, _unescape(text))


def _encode(oid: str, value: str) -> bytes:
    if oid in _PRINTABLE and strings.is_printable(value):
        encoded = writer.printable_string(value)
    elif oid in _IA5 and value.isascii():
        encoded = writer.encode(tags.IA5_STRING, value.encode())
    else:
        encoded = writer.utf8_string(value)
    return writer.sequence(writer.oid(oid), encoded)


def _unescape(text: str) -> str:
    if text.startswith("#"):
        # RFC 4514 2.4: the encoding itself, in hexadecimal.
        return strings.text(read(bytes.fromhex(text[1:]), "Name", Deviations()))
    octets = _PAIR.sub(lambda pair: bytes.fromhex(pair[1].decode()) if pair[1] else pair[2], text.encode())
    return octets.decode()


def _read_attribute(element: Element) -> tuple[Attribute, bytes]:
    kind, value = element.sequence(2, 2)
    attribute = Attribute(kind.oid(), strings.text(value))
    return attribute, writer.sequence(writer.oid(attribute.oid), _clean(value, attribute.value))


def _clean(value: Element, text: str) -> bytes:
    fits = (
        text.isascii()
        if value.tag in (tags.IA5_STRING, tags.VISIBLE_STRING)
        else value.tag != tags.PRINTABLE_STRING or strings.is_printable(text)
    )
    return writer.normalise(value) if fits else writer.utf8_string(text)


def fold_case(text: str) -> str:
    """*text* with the letters of ASCII in lower case."""
    return text.translate(_LOWER)


def _fold(value: str) -> str:
    return fold_case(_SPACES.sub(" ", value.strip(" ")))


def _escape(value: str) -> str:
    """RFC 4514 2.4, with control characters as hexadecimal pairs so that no log line breaks."""
    escaped = _ESCAPED.sub(r"\\\1", value).translate(_CONTROLS)
    if escaped.isprintable():
        return escaped
    return "".join(
        character if character.isprintable() else "".join(f"\\{octet:02X}" for octet in character.encode())
        for character in escaped
    )


@lru_cache(maxsize=256)
def _load(der: bytes) -> Name:
    return Name.read(read(der, "Name", Deviations()))
