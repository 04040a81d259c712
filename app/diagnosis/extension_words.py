"""Extensions of certificates, requests and revocation lists in words. Nothing is judged here."""

from collections.abc import Callable, Mapping

from app.diagnosis.words import hexadecimal, oid_name
from ca.asn1 import Asn1Error, Element, read, tags, writer
from ca.deviations import Deviations
from ca.x509 import oids
from ca.x509.extensions import read_key_purposes, read_key_usage
from ca.x509.general_names import read_general_names

_KEY_IDENTIFIER, _ISSUER, _SERIAL = 0x80, 0xA1, 0x82  # RFC 5280 4.2.1.1


def extension_words(oid: str, value: bytes) -> str:
    """What an extension says, *value* being the DER in it; hexadecimal where it is of no kind known here."""
    try:
        return _words(oid, value) or "(empty)"
    except Asn1Error as error:
        return f"(unreadable: {error})"


def _words(oid: str, value: bytes) -> str:
    match oid:
        case oids.KEY_USAGE:
            return ", ".join(bit.name for bit in sorted(read_key_usage(value)))
        case oids.EXTENDED_KEY_USAGE:
            return ", ".join(map(oid_name, read_key_purposes(value)))
        case oids.SUBJECT_ALT_NAME:
            return ", ".join(map(str, read_general_names(value)))
    if oid in _TELLING:
        return _TELLING[oid](read(value, oid_name(oid), Deviations()))
    return hexadecimal(value)


def _constraints(element: Element) -> str:
    flag, length = "no CA", ""
    for part in element.sequence(0, 2):
        if part.tag == tags.INTEGER:
            length = f", path length {part.integer()}"
        elif part.boolean():
            flag = "CA"
    return flag + length


def _authority(element: Element) -> str:
    """The identifier of the issuer's key, and which certificate of the issuer it is, where that is said."""
    parts = {part.tag: part for part in element.sequence()}
    said = [hexadecimal(parts[_KEY_IDENTIFIER].content)] if _KEY_IDENTIFIER in parts else []
    if _SERIAL in parts:
        said.append(f"serial {parts[_SERIAL].content.hex().lstrip('0') or '0'}")
    if _ISSUER in parts:
        said.append(f"of {_general_names(parts[_ISSUER])}")
    return ", ".join(said)


def _general_names(element: Element) -> str:
    """GeneralNames behind a tag of their own."""
    return ", ".join(map(str, read_general_names(writer.sequence(element.content))))


def _distribution(element: Element) -> str:
    return ", ".join(where for point in element.sequence() for where in _places(point))


def _places(point: Element) -> list[str]:
    """Where a DistributionPoint says that the list is (RFC 5280 4.2.1.13)."""
    named = [part for part in point.sequence() if part.tag == tags.CONTEXT_0_CONSTRUCTED]
    full = [part for name in named for part in name.children() if part.tag == tags.CONTEXT_0_CONSTRUCTED]
    return [_general_names(part) for part in full] or ["(no address)"]


def _access(element: Element) -> str:
    method, where = element.sequence(2, 2)
    return f"{oid_name(method.oid())} {_general_name(where)}"


def _general_name(element: Element) -> str:
    (name,) = read_general_names(writer.sequence(element.raw))
    return str(name)


_TELLING: Mapping[str, Callable[[Element], str]] = {
    oids.BASIC_CONSTRAINTS: _constraints,
    oids.SUBJECT_KEY_IDENTIFIER: lambda element: hexadecimal(element.octets()),
    oids.AUTHORITY_KEY_IDENTIFIER: _authority,
    oids.CRL_NUMBER: lambda element: str(element.integer()),
    oids.CRL_DISTRIBUTION_POINTS: _distribution,
    oids.AUTHORITY_INFORMATION_ACCESS: lambda element: ", ".join(map(_access, element.sequence())),
}
