"""Reads the character string types into text. It knows nothing of where they stand."""

import re

from ca.asn1 import tags
from ca.asn1.reader import Asn1Error, Element
from ca.deviations import DeviationKind

_CODECS = {
    tags.UTF8_STRING: "utf-8",
    tags.NUMERIC_STRING: "ascii",
    tags.PRINTABLE_STRING: "ascii",
    # T.61 itself is all but extinct: what devices write under its tag is Latin-1.
    tags.T61_STRING: "latin-1",
    tags.IA5_STRING: "ascii",
    tags.VISIBLE_STRING: "ascii",
    tags.UNIVERSAL_STRING: "utf-32-be",
    tags.BMP_STRING: "utf-16-be",
}
_PRINTABLE = re.compile(r"[A-Za-z0-9 '()+,\-./:=?]*")


def is_printable(text: str) -> bool:
    """Whether *text* fits a PrintableString (X.680 41.4)."""
    return _PRINTABLE.fullmatch(text) is not None


def text(element: Element) -> str:
    """The text of a string of any type.

    certmonger and node-forge write characters into a PrintableString that do not belong there;
    they are read as UTF-8, and the deviation is kept.

    Raises:
        Asn1Error: It is no string, or not one of its own encoding.

    """
    codec = _CODECS.get(element.tag & ~tags.CONSTRUCTED)
    if codec is None:
        raise Asn1Error(f"tag {element.tag:#04x} is no character string")
    octets = element.octets(element.tag & ~tags.CONSTRUCTED)
    try:
        value = octets.decode(codec)
    except UnicodeDecodeError:
        value = _text_outside_type(element, octets)
    if element.tag == tags.PRINTABLE_STRING and not is_printable(value):
        element.deviate(DeviationKind.STRING_OUTSIDE_TYPE, "PrintableString")
    return value


def _text_outside_type(element: Element, octets: bytes) -> str:
    if element.tag not in (tags.PRINTABLE_STRING, tags.IA5_STRING, tags.VISIBLE_STRING):
        raise Asn1Error("characters that do not decode")
    try:
        value = octets.decode()
    except UnicodeDecodeError as error:
        raise Asn1Error("characters that do not decode") from error
    element.deviate(DeviationKind.STRING_OUTSIDE_TYPE, f"tag {element.tag:#04x}")
    return value
