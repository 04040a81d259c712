"""ContentInfo (RFC 5652 3): the outermost layer of every CMS structure, read and written."""

from ca.asn1 import Element, read, tags, writer
from ca.deviations import Deviations


def read_content_info(data: bytes, place: str, deviations: Deviations) -> tuple[str, Element]:
    """The content type and the content.

    Raises:
        Asn1Error: It is no ContentInfo.

    """
    # A line end or a NUL behind a message is what scripts and C programs leave there.
    kind, content = read(data, place, deviations, slack=b"\r\n\0").sequence(2, 2)
    return kind.oid(), content.expect(tags.CONTEXT_0_CONSTRUCTED).only_child()


def content_info(oid: str, content: bytes) -> bytes:
    """The DER of a ContentInfo around encoded content."""
    return writer.sequence(writer.oid(oid), writer.explicit(0, content))
