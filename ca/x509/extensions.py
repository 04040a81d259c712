"""Certificate extensions (RFC 5280 4.2): reading a list of them, and the values this CA writes."""

from dataclasses import dataclass
from enum import IntEnum

from ca.asn1 import Asn1Error, Element, read, writer
from ca.deviations import Deviations

MAX_EXTENSIONS = 64


@dataclass(frozen=True, slots=True)
class Extension:
    """One extension; *value* is the DER inside its OCTET STRING."""

    oid: str
    critical: bool
    value: bytes

    def encode(self) -> bytes:
        """The DER of the Extension; the default ``critical FALSE`` is left out (X.690 11.5)."""
        critical = writer.TRUE if self.critical else b""
        return writer.sequence(writer.oid(self.oid), critical, writer.octet_string(self.value))


class KeyUsageBit(IntEnum):
    """The bits of keyUsage, by their numbers (RFC 5280 4.2.1.3)."""

    digitalSignature = 0
    nonRepudiation = 1
    keyEncipherment = 2
    dataEncipherment = 3
    keyAgreement = 4
    keyCertSign = 5
    cRLSign = 6
    encipherOnly = 7
    decipherOnly = 8


def read_extensions(element: Element) -> tuple[Extension, ...]:
    """Read an Extensions SEQUENCE.

    Raises:
        Asn1Error: It is none, or holds too many.

    """
    parts = element.sequence()
    if len(parts) > MAX_EXTENSIONS:
        raise Asn1Error("too many extensions")
    return tuple(map(_read_extension, parts))


def _read_extension(element: Element) -> Extension:
    parts = element.sequence(2, 3)
    critical = parts[1].boolean() if len(parts) == 3 else False
    return Extension(parts[0].oid(), critical, parts[-1].octets())


def read_key_usage(value: bytes) -> frozenset[KeyUsageBit]:
    """The bits that are set in a keyUsage value."""
    content = read(value, "keyUsage", Deviations()).expect(0x03).content
    if not content:
        raise Asn1Error("empty keyUsage")
    bits = "".join(f"{octet:08b}" for octet in content[1:3])
    return frozenset(bit for bit in KeyUsageBit if bits[bit : bit + 1] == "1")


def encode_key_usage(usage: frozenset[KeyUsageBit]) -> bytes:
    """The value of a keyUsage extension, without trailing zero bits (X.690 11.2.2)."""
    last = max(usage)
    octets = bytearray(last // 8 + 1)
    for bit in usage:
        octets[bit // 8] |= 0x80 >> bit % 8
    return writer.bit_string(bytes(octets), unused=7 - last % 8)


def read_key_purposes(value: bytes) -> tuple[str, ...]:
    """The OIDs in an extKeyUsage value."""
    parts = read(value, "extKeyUsage", Deviations()).sequence(1)
    return tuple(part.oid() for part in parts)


def read_ca_flag(value: bytes) -> bool:
    """Whether a basicConstraints value says cA TRUE."""
    parts = read(value, "basicConstraints", Deviations()).sequence()
    return bool(parts) and parts[0].tag == 0x01 and parts[0].boolean()
