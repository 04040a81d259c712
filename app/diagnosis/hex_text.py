"""Octets written in hexadecimal: digits in a row, with what is put between them, or the dump of some tool."""

import re

# Fewer octets than this hold nothing of SCEP.
_LEAST = 16
_BETWEEN = re.compile(rb"0x|\\x|[\s:,;{}\[\]-]", re.IGNORECASE)
_DIGITS = re.compile(rb"[0-9A-Fa-f]+")
# The offset of a row, perhaps with a colon, and the rest of the line.
_ROW = re.compile(rb"[ \t]*(?:0x)?([0-9A-Fa-f]{4,16})(:?)(?:[ \t]+(\S.*))?")
_GROUP = re.compile(rb"[ \t]{0,2}((?:[0-9A-Fa-f]{2}){1,16})(?=[ \t|]|$)")
_MOST_IN_ROW = 64
# Lines of somebody's words before the first row.
_MOST_BEFORE = 64


def read_hex(text: bytes) -> tuple[str, bytes] | None:
    """What *text* writes in hexadecimal, and in words how; None where it is something else.

    Dumps are those of xxd, hexdump, od, certutil, Wireshark and Format-Hex: what stands beside the octets
    is left, and what hexdump and od turn round is turned back.
    """
    if dumped := _read_dump(text):
        return dumped
    digits = _BETWEEN.sub(b"", text)
    if len(digits) < 2 * _LEAST or not _DIGITS.fullmatch(digits):
        return None
    whole = len(digits) - len(digits) % 2
    return "hexadecimal" + (", its last digit is missing" if len(digits) % 2 else ""), _octets(digits[:whole])


def _read_dump(text: bytes) -> tuple[str, bytes] | None:
    lines = text.splitlines()
    if not any(_ROW.fullmatch(line.rstrip()) for line in lines[:_MOST_BEFORE]):
        return None
    rows = [row for line in lines if (row := _ROW.fullmatch(line.rstrip()))]
    filled = [row for row in rows if row[3]]
    if not filled:
        return None
    width = _width(rows)
    pieces = [_octets_of(row, width) for row in filled]
    if len(pieces[0]) != width or sum(map(len, pieces)) < _LEAST:
        return None
    octets = b"".join(pieces)
    # What ends with an offset alone says how long it is: words of two octets fill up the last.
    if not rows[-1][3] and len(octets) % 2 == 0 and _offset(rows[-1]) - _offset(rows[0]) == len(octets) - 1:
        octets = octets[:-1]
    missing = any(len(piece) != width for piece in pieces[:-1]) or b"\n*" in text
    return "a hex dump" + (", rows of it are missing or cut" if missing else ""), octets


def _width(rows: list[re.Match[bytes]]) -> int:
    """How many octets a full row has; offsets are hexadecimal, or, where that cannot be, octal."""
    if len(rows) == 1:
        return len(_octets_of(rows[0], _MOST_IN_ROW)) if _offset(rows[0]) == 0 else 0
    apart = _offset(rows[1]) - _offset(rows[0])
    if apart == 0x20 and len(_octets_of(rows[0], 0x20)) == 16:
        return 16
    return apart if 0 < apart <= _MOST_IN_ROW else 0


def _offset(row: re.Match[bytes]) -> int:
    return int(row[1], 16)


def _octets_of(row: re.Match[bytes], most: int) -> bytes:
    """The octets of a row up to the gap, the bar or the number where the characters begin."""
    found, position, rest = b"", 0, row[3] or b""
    while len(found) < most and (group := _GROUP.match(rest, position)):
        octets = _octets(group[1])
        # Without a colon behind the offset, groups of four digits are words, the lower octet first.
        found += octets[::-1] if len(octets) == 2 and not row[2] else octets
        position = group.end()
    return found[:most]


def _octets(digits: bytes) -> bytes:
    return bytes.fromhex(digits.decode("ascii"))
