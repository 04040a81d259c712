"""subjectAltName (RFC 5280 4.2.1.6): GeneralNames in bytes and in text."""

import ipaddress
from dataclasses import dataclass
from urllib.parse import unquote

from ca.asn1 import Asn1Error, Element, read, strings, tags, writer
from ca.deviations import Deviations
from ca.x509 import oids
from ca.x509.name import Name

_OTHER_NAME = 0xA0
_EMAIL = 0x81
_DNS = 0x82
_DIRECTORY_NAME = 0xA4
_URI = 0x86
_IP = 0x87
_TEXT_KINDS = {_EMAIL: "email", _DNS: "dns", _URI: "uri"}
_TEXT_TAGS = {kind: tag for tag, kind in _TEXT_KINDS.items()}
_WRITTEN = ("dns", "email", "uri", "ip", "upn")
# What Intune writes into the subjectAltName of certificates for Windows accounts.
SID_URI_HEAD = "tag:microsoft.com,2022-09-14:sid:"


@dataclass(frozen=True, slots=True)
class GeneralName:
    """One alternative name.

    *kind* is ``dns``, ``email``, ``uri``, ``ip``, ``upn`` (Microsoft's otherName), ``dirname`` or
    ``other``; *value* is its text, for ``other`` a hexadecimal one.
    """

    kind: str
    value: str

    def __str__(self) -> str:
        return f"{self.kind}:{self.value}"

    @classmethod
    def from_text(cls, text: str) -> "GeneralName":
        """Parse ``dns:host``, ``email:a@b``, ``uri:...``, ``ip:...`` or ``upn:...``.

        A bare word is a DNS name, or an address if it reads as one; what has ``://`` in it is a URI.

        Raises:
            ValueError: The kind is unknown, or the value does not fit it.

        """
        kind, value = _split(text)
        if kind == "ip":
            value = str(_address(value))
        elif not value or (kind != "upn" and not value.isascii()):
            raise ValueError(f"{text!r} is no subjectAltName of kind {kind}")
        return cls(kind, value)

    def encode(self) -> bytes:
        """The DER of the GeneralName.

        Raises:
            ValueError: It is of a kind that is never written.

        """
        if self.kind in _TEXT_TAGS:
            return writer.encode(_TEXT_TAGS[self.kind], self.value.encode("ascii"))
        if self.kind == "ip":
            return writer.encode(_IP, ipaddress.ip_address(self.value).packed)
        if self.kind == "upn":
            value = writer.explicit(0, writer.utf8_string(self.value))
            return writer.encode(_OTHER_NAME, writer.oid(oids.USER_PRINCIPAL_NAME) + value)
        raise ValueError(f"a subjectAltName of kind {self.kind} cannot be written")


def is_sid_uri(name: GeneralName) -> bool:
    """Whether it is a Windows security identifier in the form of a URI (KB5014754)."""
    # However it is written: who reads it may take a comma for what %2C says.
    return name.kind == "uri" and unquote(name.value).lower().startswith(SID_URI_HEAD)


def sid_uri(sid: str) -> GeneralName:
    """The alternative name that says *sid*."""
    return GeneralName("uri", SID_URI_HEAD + sid)


def _split(text: str) -> tuple[str, str]:
    kind, colon, value = text.partition(":")
    if colon and kind.lower() in _WRITTEN:
        return kind.lower(), value
    if "://" in text:
        return "uri", text
    if _is_address(text):
        return "ip", text
    if colon:
        known = ", ".join(_WRITTEN)
        raise ValueError(f"{text!r} has no kind of subjectAltName in front, which is one of {known}")
    return ("email" if "@" in text else "dns"), text


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    # RFC 5280 4.2.1.6 has no room for a scope, which means something to one host alone (RFC 4007 11).
    if "%" in text:
        raise ValueError(f"{text!r} has a scope, which no certificate can hold")
    return ipaddress.ip_address(text)


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def read_general_names(value: bytes) -> tuple[GeneralName, ...]:
    """The names in a subjectAltName extension's value.

    Raises:
        Asn1Error: It is no GeneralNames, or a name breaks RFC 5280 4.2.1.6.

    """
    return tuple(map(_read, read(value, "subjectAltName", Deviations()).sequence(1)))


def encode_general_names(names: tuple[GeneralName, ...]) -> bytes:
    """The value of a subjectAltName extension."""
    return writer.sequence(*(name.encode() for name in names))


def _read(element: Element) -> GeneralName:
    if element.tag in _TEXT_KINDS:
        try:
            return GeneralName(_TEXT_KINDS[element.tag], element.content.decode("ascii"))
        except UnicodeDecodeError as error:
            raise Asn1Error("a subjectAltName outside of IA5String") from error
    if element.tag == _IP:
        # RFC 5280 4.2.1.6: four or sixteen octets, without a mask.
        if len(element.content) not in (4, 16):
            raise Asn1Error("an iPAddress of neither 4 nor 16 octets")
        return GeneralName("ip", str(ipaddress.ip_address(element.content)))
    if element.tag == _DIRECTORY_NAME:
        return GeneralName("dirname", str(Name.read(element.only_child())))
    if element.tag == _OTHER_NAME:
        kind, value = element.parts(2, 2)
        if kind.oid() == oids.USER_PRINCIPAL_NAME and value.tag == tags.CONTEXT_0_CONSTRUCTED:
            return GeneralName("upn", strings.text(value.only_child()))
    return GeneralName("other", element.raw.hex())
