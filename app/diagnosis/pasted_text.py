"""What editors, terminals and mails put around a text that is pasted: taken off again, one at a time."""

import binascii
import re

_MARKS = (b"\xff\xfe", b"\xfe\xff")
# How much is looked at for the zeros of UTF-16 where no mark is in front.
_SAMPLE = 64
# By so many lines it is told whether most are quoted.
_SAMPLE_LINES = 200
_CONTROL = re.compile(rb"[^\t\r\n\x20-\xff]")
_QUOTED = re.compile(rb"[ \t]*>[> \t]*")
# An = that is written out, or a line that goes on in the next; the padding of base64 ends a text or a block.
_ESCAPED = re.compile(rb"=3D|[^\r\n]{39}[^=\s]=\r?\n(?=[^\s=-])")
# In the head of HTTP an = with 3D behind it may be anybody's.
_ESCAPED_QUERY = re.compile(rb"operation=3D", re.IGNORECASE)


def is_text(data: bytes) -> bool:
    """Whether nothing in it is a control character that text does not have."""
    return not _CONTROL.search(data)


def from_utf16(data: bytes) -> bytes:
    """The UTF-8 of what is UTF-16, with or without its mark in front; empty where it is not."""
    encoding = "utf-16" if data.startswith(_MARKS) else _endian(data[:_SAMPLE])
    return data.decode(encoding, "replace").encode("utf-8", "replace") if encoding else b""


def take_off(text: bytes, *, is_http: bool) -> tuple[str, bytes] | None:
    """In words what a mail put around *text*, and what is inside; None where it did not.

    *is_http* says that it begins as HTTP does, which is quoted-printable only where its query is.
    """
    if not is_text(text):
        return None
    if unquoted := _unquote(text):
        return "mail quoting", unquoted
    if text.isascii() and (_ESCAPED_QUERY if is_http else _ESCAPED).search(text):
        return "quoted-printable", binascii.a2b_qp(text)
    return None


def _endian(sample: bytes) -> str:
    """Which UTF-16 it is by the zeros beside each character of ASCII, empty where it is none."""
    for name, high, low in (
        ("utf-16-le", sample[1::2], sample[::2]),
        ("utf-16-be", sample[::2], sample[1::2]),
    ):
        if len(low) >= 8 and not any(high) and not _CONTROL.search(low):
            return name
    return ""


def _unquote(text: bytes) -> bytes:
    """The quoted lines without their > where most are; what was written around them is left out."""
    lines = [line for line in text.splitlines() if line.strip()]
    sample = lines[:_SAMPLE_LINES]
    if 2 * sum(line.lstrip().startswith(b">") for line in sample) <= len(sample):
        return b""
    return b"\r\n".join(line[mark.end() :] for line in lines if (mark := _QUOTED.match(line)))
