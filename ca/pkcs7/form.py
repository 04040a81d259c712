"""CMS as libraries of others write it, made out of DER: for trying out who has to read it."""

from enum import StrEnum

from ca.asn1 import Element, read, tags, writer
from ca.deviations import Deviations

# BouncyCastle's buffer.
_PIECE_OCTETS = 1000
_END = b"\0\0"


class Form(StrEnum):
    """How a ContentInfo is written down.

    STREAMED is BouncyCastle's: BER on the way down to the content, which is in pieces, DER elsewhere.
    NESTED is that of Go's old pkcs7 library and of node-forge: encryptedContent is a constructed string
    of definite length around one OCTET STRING, and algorithms that have no parameters lack the NULL.
    """

    DER = "der"
    STREAMED = "streamed"
    NESTED = "nested"


def rewrite(der: bytes, form: Form) -> bytes:
    """A ContentInfo of SignedData or EnvelopedData in another *form*.

    Certificates, signed attributes and content are copied, so that every signature still holds.
    """
    if form is Form.DER:
        return der
    info = read(der, "ContentInfo", Deviations())
    kind, wrapper = info.children()
    (content,) = wrapper.children()
    version, heads, holder, *rest = content.children()
    if form is Form.NESTED:
        changed = [*(_bare(one) for one in (version, heads)), _nested(holder), *map(_bare, rest)]
        return writer.sequence(kind.raw, writer.encode(wrapper.tag, writer.sequence(*changed)))
    parts = (version.raw, heads.raw, _streamed(holder), *(one.raw for one in rest))
    return _indefinite(info.tag, kind.raw, _indefinite(wrapper.tag, _indefinite(content.tag, *parts)))


def _indefinite(tag: int, *parts: bytes) -> bytes:
    return bytes((tag, 0x80)) + b"".join(parts) + _END


def _streamed(holder: Element) -> bytes:
    """The content in pieces: [0] EXPLICIT around a string in SignedData, [0] IMPLICIT in an envelope."""
    *labels, last = holder.children()
    if last.tag == tags.CONTEXT_0_CONSTRUCTED:
        (string,) = last.children()
        pieces = _indefinite(last.tag, _indefinite(string.tag | tags.CONSTRUCTED, *_pieces(string.content)))
    elif last.tag == tags.CONTEXT_0:
        pieces = _indefinite(last.tag | tags.CONSTRUCTED, *_pieces(last.content))
    else:
        # There is no content.
        pieces = last.raw
    return _indefinite(holder.tag, *(one.raw for one in labels), pieces)


def _pieces(content: bytes) -> list[bytes]:
    starts = range(0, len(content), _PIECE_OCTETS)
    return [writer.octet_string(content[start : start + _PIECE_OCTETS]) for start in starts]


def _nested(holder: Element) -> bytes:
    *labels, last = holder.children()
    if last.tag != tags.CONTEXT_0:
        return holder.raw
    string = writer.encode(last.tag | tags.CONSTRUCTED, writer.octet_string(last.content))
    return writer.sequence(*(one.raw for one in labels), string)


def _bare(element: Element) -> bytes:
    """The same without the NULL of algorithms; what stands under [0] is copied."""
    if element.tag not in (tags.SEQUENCE, tags.SET):
        return element.raw
    parts = element.children()
    if [one.tag for one in parts] == [tags.OBJECT_IDENTIFIER, tags.NULL]:
        parts = parts[:1]
    return writer.encode(element.tag, b"".join(map(_bare, parts)))
