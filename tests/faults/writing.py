"""DER put together by hand: a fault is seldom what a library lets one write."""

from collections.abc import Iterable
from typing import Any

from asn1crypto import core, parser

DATA = "1.2.840.113549.1.7.1"
SIGNED_DATA = "1.2.840.113549.1.7.2"
ENVELOPED_DATA = "1.2.840.113549.1.7.3"
RSA = "1.2.840.113549.1.1."
NULL = core.Null().dump()


def sequence(*parts: bytes) -> bytes:
    """A SEQUENCE of what is encoded already."""
    return bytes(parser.emit(0, 1, 16, b"".join(parts)))


def set_of(parts: Iterable[bytes]) -> bytes:
    """A SET in the order given."""
    return bytes(parser.emit(0, 1, 17, b"".join(parts)))


def tagged(number: int, content: bytes, *, constructed: bool = True) -> bytes:
    """A context-specific tag around *content*."""
    return bytes(parser.emit(2, int(constructed), number, content))


def oid(dotted: str) -> bytes:
    """An OBJECT IDENTIFIER."""
    return dump(core.ObjectIdentifier(dotted))


def integer(value: int) -> bytes:
    """An INTEGER."""
    return dump(core.Integer(value))


def octets(value: bytes) -> bytes:
    """An OCTET STRING."""
    return dump(core.OctetString(value))


def dump(value: Any) -> bytes:
    """The encoding of a value of asn1crypto, that which it came in if it came over the line."""
    return bytes(value.dump())


def content_info(kind: str, content: bytes) -> bytes:
    """A ContentInfo around what is encoded already (RFC 5652 3)."""
    return sequence(oid(kind), tagged(0, content))


def degenerate(certificates: Iterable[bytes], lists: Iterable[bytes] = ()) -> bytes:
    """A SignedData without signature, its certificates in the order given (RFC 8894 3.4)."""
    crls = b"".join(lists)
    return content_info(
        SIGNED_DATA,
        sequence(
            integer(1),
            set_of([]),
            sequence(oid(DATA)),
            tagged(0, b"".join(certificates)),
            tagged(1, crls) if crls else b"",
            set_of([]),
        ),
    )
