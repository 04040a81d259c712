"""Base64 and PEM, with the damage that mails, chats and terminals do to them."""

import base64
import re

_ARMOUR = re.compile(
    rb"-----BEGIN ([A-Z0-9 ]{1,40})-----(.*?)(?:-----END [A-Z0-9 ]{1,40}-----|\Z)", re.DOTALL
)
_HEADER = re.compile(rb"(?m)^[A-Za-z][A-Za-z-]*: .*$")
_ALPHABET = re.compile(rb"[^A-Za-z0-9+/]")
_PERCENT = re.compile(rb"%([0-9A-Fa-f]{2})")
_MOST_BLOCKS = 64
# What less than this share of is base64 is some other text.
_SHARE = 0.9
# What has a blank more often than this is a sentence: a + that became a blank is one character in 64.
_LETTERS_A_BLANK = 16


def find_blocks(data: bytes) -> list[tuple[str, bytes]]:
    """The blocks of PEM: the label and the base64 of each."""
    blocks = _ARMOUR.findall(data)[:_MOST_BLOCKS]
    return [(label.decode("ascii"), _HEADER.sub(b"", body)) for label, body in blocks]


def is_base64(data: bytes) -> bool:
    """Whether it is text that is base64 for the most part, and long enough to hold something."""
    sample = b"".join(data[:8192].split())
    if len(sample) < 16 or data[:8192].count(b" ") * _LETTERS_A_BLANK > len(sample):
        return False
    strange = len(_ALPHABET.findall(sample.rstrip(b"=").translate(bytes.maketrans(b"-_", b"+/"))))
    return data[:8192].isascii() and strange <= (1 - _SHARE) * len(sample)


def decode_loosely(data: bytes) -> tuple[bytes, str]:
    """What can be decoded, and in words what had to be mended; line breaks and spaces are no damage."""
    mended: list[str] = []
    if _PERCENT.search(data):
        data = _PERCENT.sub(lambda found: bytes((int(found[1], 16),)), data)
        mended.append("percent-encoding")
    if _lost_plus(data):
        data = data.strip().replace(b" ", b"+")
        mended.append("blanks where a + was")
    text = b"".join(data.split()).translate(bytes.maketrans(b"-_", b"+/"))
    body = text.rstrip(b"=")
    clean = _ALPHABET.sub(b"", body)
    if len(clean) != len(body):
        mended.append(f"{len(body) - len(clean)} characters that are not of base64")
    if len(clean) % 4 == 1:
        clean = clean[:-1]
        mended.append("one character too many, or three too few")
    elif (len(text) - len(body)) != -len(clean) % 4:
        mended.append("the = at the end")
    return base64.b64decode(clean + b"=" * (-len(clean) % 4)), ", ".join(mended)


def _lost_plus(data: bytes) -> bool:
    """Whether the blanks in it were a +, as forms and queries make of it, and not line breaks or a gap."""
    pieces = data.strip().split(b" ")
    if len(pieces) == 1 or any(piece.endswith((b"\n", b"\r")) for piece in pieces[:-1]):
        return False
    octets = len(b"".join(data.split()))
    # Of whole quadruples one alone can be right; a line that was broken evenly has pieces of one length.
    whole, with_plus = octets % 4 == 0, (octets + len(pieces) - 1) % 4 == 0
    is_even = len(pieces) > 2 and len({len(piece) for piece in pieces[:-1]}) == 1
    return not is_even and (with_plus or not whole)
