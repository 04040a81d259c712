"""The signed attributes of a pkiMessage (RFC 8894 3.2.1): one value each, read and written."""

import re
from collections.abc import Mapping

from ca.asn1 import Asn1Error, Element, strings, tags, writer
from ca.deviations import DeviationKind
from ca.scep import oids

NONCE_OCTETS = 16
MAX_NONCE_OCTETS = 64
# Printable ASCII: wider than PrintableString, for base64 with "_" or what a person made up, and
# without the characters that break a log line or a header.
_TEXT = re.compile(r"[ -~]{1,255}")


def value(attributes: Mapping[str, list[Element]], oid: str) -> Element:
    """The one value of an attribute.

    Raises:
        Asn1Error: There is none, or there are several.

    """
    values = attributes.get(oid, [])
    if len(values) != 1:
        raise Asn1Error(f"{len(values)} values of {oids.NAMES[oid]} where one belongs")
    return values[0]


def read_text(attributes: Mapping[str, list[Element]], oid: str) -> str:
    """The text of a PrintableString attribute; other string types are let pass.

    Raises:
        Asn1Error: It is missing, repeated, no string, empty, or longer than 255 characters.

    """
    element = value(attributes, oid)
    if element.tag == tags.INTEGER:
        # Devices exist that send messageType as a number.
        element.deviate(DeviationKind.ATTRIBUTE_TYPE, oids.NAMES[oid])
        number = element.integer()
        if not 0 <= number < 1 << 31:
            raise Asn1Error(f"{oids.NAMES[oid]} is out of range")
        return str(number)
    text = strings.text(element)
    if element.tag != tags.PRINTABLE_STRING:
        element.deviate(DeviationKind.ATTRIBUTE_TYPE, oids.NAMES[oid])
    if not _TEXT.fullmatch(text):
        raise Asn1Error(f"{oids.NAMES[oid]} is not 1 to 255 printable characters")
    return text


def read_nonce(attributes: Mapping[str, list[Element]], oid: str) -> bytes:
    """The octets of a nonce. 16 belong there; iOS of old sent 8, others something else.

    Raises:
        Asn1Error: It is missing, repeated, empty, or longer than 64 octets.

    """
    element = value(attributes, oid)
    nonce = element.octets()
    if not 1 <= len(nonce) <= MAX_NONCE_OCTETS:
        raise Asn1Error(f"{oids.NAMES[oid]} is not 1 to {MAX_NONCE_OCTETS} octets")
    if len(nonce) != NONCE_OCTETS:
        element.deviate(DeviationKind.NONCE_LENGTH, f"{len(nonce)} octets")
    return nonce


def text(content: str) -> bytes:
    """A PrintableString, whose characters are echoed even where the sender had them wrong."""
    return writer.encode(tags.PRINTABLE_STRING, content.encode("ascii"))
