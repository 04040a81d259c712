"""The same answer, written as standards allow and few servers do."""

from ca.asn1 import Asn1Error, Element, read, tags
from ca.deviations import Deviations

_PIECE = 200
# RFC 8894 3.5.2: clients ignore keywords that they do not know.
_UNKNOWN_KEYWORDS = ("X-SCEPBOX-CHAOS",)


def loosen(message: bytes) -> bytes:
    """A CMS message in BER, as it may be (RFC 5652 1): outer layers without lengths, content in pieces.

    What is signed stays octet by octet. What is no such message stays as it is.
    """
    try:
        kind, content = read(message, "reply", Deviations()).sequence(2, 2)
        version, digests, encapsulated, *rest = content.only_child().sequence(4, 6)
        content_type, *octets = encapsulated.sequence(1, 2)
        inner = [_in_pieces(one.only_child()) for one in octets]
    except Asn1Error:
        return message
    inside = [_open(tags.CONTEXT_0_CONSTRUCTED, *inner)] if inner else []
    signed = _open(
        tags.SEQUENCE,
        version.raw,
        digests.raw,
        _open(tags.SEQUENCE, content_type.raw, *inside),
        *(one.raw for one in rest),
    )
    return _open(tags.SEQUENCE, kind.raw, _open(tags.CONTEXT_0_CONSTRUCTED, signed))


def respell(capabilities: bytes) -> bytes:
    """The keywords in another order, with one that nobody knows, and CR LF (RFC 8894 3.5.2 allows either)."""
    words = capabilities.decode("ascii").split()
    return "".join(f"{word}\r\n" for word in (*_UNKNOWN_KEYWORDS, *reversed(words))).encode("ascii")


def _open(tag: int, *parts: bytes) -> bytes:
    """An element of indefinite length (X.690 8.1.3.6)."""
    return bytes((tag, 0x80)) + b"".join(parts) + b"\0\0"


def _in_pieces(string: Element) -> bytes:
    """An OCTET STRING in several (X.690 8.7.3)."""
    octets = string.octets()
    pieces = (octets[start : start + _PIECE] for start in range(0, len(octets), _PIECE))
    return _open(tags.OCTET_STRING | tags.CONSTRUCTED, *(_piece(one) for one in pieces))


def _piece(octets: bytes) -> bytes:
    # A length of one octet more than it needs, which BER lets pass.
    return bytes((tags.OCTET_STRING, 0x82)) + len(octets).to_bytes(2, "big") + octets
