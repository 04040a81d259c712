"""GetCACaps in words, and what each client makes of it (RFC 8894 3.5.2)."""

from app.diagnosis.node import Node

KNOWN = (
    *("AES", "DES3", "GetNextCACert", "POSTPKIOperation", "Renewal", "SHA-1"),
    *("SHA-256", "SHA-384", "SHA-512", "SCEPStandard", "Update"),
)
_FOLDED = {word.casefold(): word for word in KNOWN}
# What iOS looks for, a whole line each.
_DIGESTS = {"SHA-1", "SHA-256", "SHA-512"}
# What Windows puts in front of text in UTF-8.
_MARK = b"\xef\xbb\xbf"
_MOST_OCTETS = 1024
_MOST_LINES = 100


def is_capabilities(data: bytes) -> bool:
    """Whether it is a list of words of which one at least is a capability."""
    data = data.removeprefix(_MARK)
    if len(data) > 4 * _MOST_OCTETS or not data.isascii():
        return False
    lines = _lines(data)
    return any(line.strip().casefold() in _FOLDED for line in lines) and all(
        len(line) < 100 for line in lines
    )


def names_digest(data: bytes) -> bool:
    """Whether there is a digest for who compares whole lines, as iOS does."""
    return bool(set(_lines(data)) & _DIGESTS)


def put_capabilities(parent: Node, data: bytes) -> Node:
    """Each line, and what is missing or not written as clients compare it."""
    lines = _lines(data.removeprefix(_MARK))
    node = parent.add("GetCACaps", f"{len(lines)} lines", "GetCACaps")
    node.octets = data
    if data.startswith(_MARK):
        node.note("caps-blanks", "a UTF-8 byte order mark (EF BB BF) is in front of the first line")
    for line in lines[:_MOST_LINES]:
        word = _FOLDED.get(line.strip().casefold())
        node.add("capability", line if word else f"{line} (not of the RFC)")
        if line != line.strip():
            node.note("caps-blanks", f"{line!r}")
        elif word and word != line:
            node.note("caps-case", line)
    _judge(node, set(lines), {line.strip().casefold() for line in lines})
    if len(data) > _MOST_OCTETS:
        node.note("caps-too-long", f"{len(data)} octets")
    return node


def _lines(data: bytes) -> list[str]:
    text = data.decode("ascii", "replace").replace("\r\n", "\n").replace("\r", "\n")
    return [line for line in text.split("\n") if line]


def _judge(node: Node, exactly: set[str], folded: set[str]) -> None:
    if not folded:
        node.note("caps-empty")
        return
    # Where one is there with blanks or in small letters, that is what is wrong, and is said already.
    if not exactly & _DIGESTS and not folded & {word.casefold() for word in _DIGESTS}:
        node.note("caps-no-digest")
    for word, finding in (
        ("aes", "caps-no-aes"),
        ("postpkioperation", "caps-no-post"),
        ("sha-384", "caps-no-sha384"),
        ("renewal", "caps-no-renewal"),
    ):
        if word not in folded:
            node.note(finding)
