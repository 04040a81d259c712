"""Writes DER (X.690 10 and 11). It reads nothing but what it normalises."""

import re
from collections.abc import Iterable
from datetime import datetime
from functools import lru_cache

from ca.asn1 import tags
from ca.asn1.reader import Element

NULL = b"\x05\x00"
TRUE = b"\x01\x01\xff"

# X.660 A.1: 40 arcs under 0 and 1 each; X.690 8.19.4 packs the first two arcs into one number.
_ARC = "(?:0|[1-9][0-9]*)"
_DOTTED = re.compile(rf"(?:[01]\.[1-3]?[0-9]|2\.{_ARC})(?:\.{_ARC})*")

_STRINGS = frozenset(
    {
        tags.OCTET_STRING,
        tags.UTF8_STRING,
        tags.PRINTABLE_STRING,
        tags.T61_STRING,
        tags.IA5_STRING,
        tags.BMP_STRING,
        tags.VISIBLE_STRING,
    }
)


def encode(tag: int, content: bytes) -> bytes:
    """One element of any tag, with the shortest definite length."""
    length = len(content)
    if length < 0x80:
        return bytes((tag, length)) + content
    if length < 0x100:
        return bytes((tag, 0x81, length)) + content
    octets = length.to_bytes((length.bit_length() + 7) // 8, "big")
    return bytes((tag, 0x80 | len(octets))) + octets + content


def sequence(*parts: bytes) -> bytes:
    """A SEQUENCE of parts that are encoded already."""
    return encode(tags.SEQUENCE, b"".join(parts))


def set_of(parts: Iterable[bytes], tag: int = tags.SET) -> bytes:
    """A SET OF in the order that DER asks for (X.690 11.6)."""
    return encode(tag, b"".join(sorted(parts)))


def explicit(number: int, content: bytes) -> bytes:
    """The EXPLICIT context tag *number* around an element."""
    return encode(tags.CONTEXT_0_CONSTRUCTED | number, content)


def integer(value: int) -> bytes:
    """An INTEGER."""
    return encode(tags.INTEGER, value.to_bytes(value.bit_length() // 8 + 1, "big", signed=True))


def octet_string(content: bytes) -> bytes:
    """An OCTET STRING."""
    return encode(tags.OCTET_STRING, content)


def bit_string(content: bytes, unused: int = 0) -> bytes:
    """A BIT STRING whose last octet has *unused* bits."""
    return encode(tags.BIT_STRING, bytes((unused,)) + content)


def printable_string(text: str) -> bytes:
    """A PrintableString; the caller knows that *text* fits."""
    return encode(tags.PRINTABLE_STRING, text.encode("ascii"))


def utf8_string(text: str) -> bytes:
    """A UTF8String."""
    return encode(tags.UTF8_STRING, text.encode())


def generalized_time(value: datetime) -> bytes:
    """A GeneralizedTime in whole seconds, whatever the year (RFC 6960 4.2.2.1)."""
    return encode(tags.GENERALIZED_TIME, f"{value.year:04}{value:%m%d%H%M%S}Z".encode())


def time(value: datetime) -> bytes:
    """A Time: UTCTime through 2049, GeneralizedTime from 2050 on (RFC 5280 4.1.2.5)."""
    # Three times as fast as strftime.
    rest = f"{value.month:02}{value.day:02}{value.hour:02}{value.minute:02}{value.second:02}Z"
    if 1950 <= value.year < 2050:
        return encode(tags.UTC_TIME, f"{value.year % 100:02}{rest}".encode())
    return encode(tags.GENERALIZED_TIME, f"{value.year:04}{rest}".encode())


@lru_cache(maxsize=1024)
def oid(dotted: str) -> bytes:
    """An OBJECT IDENTIFIER from its dotted text.

    Raises:
        ValueError: There is no such OBJECT IDENTIFIER.

    """
    if not _DOTTED.fullmatch(dotted):
        raise ValueError(f"{dotted!r} is no OBJECT IDENTIFIER")
    first, second, *rest = map(int, dotted.split("."))
    octets = bytearray()
    for arc in (40 * first + second, *rest):
        group = [arc & 0x7F]
        while arc := arc >> 7:
            group.append(arc & 0x7F | 0x80)
        octets += bytes(reversed(group))
    return encode(tags.OBJECT_IDENTIFIER, bytes(octets))


def normalise(element: Element) -> bytes:
    """The DER of something that was received as BER."""
    if not element.tag & tags.CONSTRUCTED:
        return encode(element.tag, element.content)
    primitive = element.tag & ~tags.CONSTRUCTED
    if primitive in _STRINGS:
        return encode(primitive, b"".join(piece.octets() for piece in element.children()))
    parts = map(normalise, element.children())
    return set_of(parts) if element.tag == tags.SET else encode(element.tag, b"".join(parts))
