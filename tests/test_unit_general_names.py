"""GeneralNames (RFC 5280 4.2.1.6): every kind from text and DER, and back where we write it."""

import pytest

from ca.asn1 import Asn1Error, tags, writer
from ca.x509 import oids
from ca.x509.extensions import KeyUsageBit, encode_key_usage, read_key_usage
from ca.x509.general_names import GeneralName, encode_general_names, read_general_names
from tests.forging_csr import subject

UPN = writer.explicit(0, writer.utf8_string("jürgen@example.com"))
WRITTEN = {
    "dns:ipad-17.example.com": writer.encode(0x82, b"ipad-17.example.com"),
    "email:jo@example.com": writer.encode(0x81, b"jo@example.com"),
    "uri:https://example.com/x": writer.encode(0x86, b"https://example.com/x"),
    "ip:192.0.2.7": writer.encode(0x87, bytes((192, 0, 2, 7))),
    "ip:2001:db8::7": writer.encode(0x87, bytes.fromhex("20010db8000000000000000000000007")),
    "upn:jürgen@example.com": writer.encode(0xA0, writer.oid(oids.USER_PRINCIPAL_NAME) + UPN),
}


@pytest.mark.parametrize("text", WRITTEN)
def test_every_kind_that_is_written_is_read_again(text: str) -> None:
    """RFC 5280 4.2.1.6: each kind has its tag; a challenge bound to the text means the same name."""
    name = GeneralName.from_text(text)

    assert name.encode() == WRITTEN[text]
    assert str(name) == text
    assert read_general_names(encode_general_names((name,))) == (name,)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("ipad-17.example.com", GeneralName("dns", "ipad-17.example.com")),
        ("192.0.2.7", GeneralName("ip", "192.0.2.7")),
        ("2001:DB8::0:7", GeneralName("ip", "2001:db8::7")),
        ("jo@example.com", GeneralName("email", "jo@example.com")),
        ("https://example.com/x", GeneralName("uri", "https://example.com/x")),
        ("urn://a:b", GeneralName("uri", "urn://a:b")),
        ("DNS:ipad-17", GeneralName("dns", "ipad-17")),
        ("IP:2001:DB8::0:7", GeneralName("ip", "2001:db8::7")),
    ],
)
def test_a_bare_word_is_what_it_reads_as(text: str, name: GeneralName) -> None:
    """Administrators leave the kind out, and write an address in many ways; it is one address."""
    assert GeneralName.from_text(text) == name


@pytest.mark.parametrize("text", ["", "dns:", "upn:", "ip:ipad-17", "ip:192.0.2.0/24", "dns:bücher.de"])
def test_text_that_is_no_name_is_refused(text: str) -> None:
    """RFC 5280 4.2.1.6: not empty, IA5String but for the UPN, and an address without a mask."""
    with pytest.raises(ValueError):
        GeneralName.from_text(text)


@pytest.mark.parametrize(
    "text", ["dsn:x", "urn:a:b", "other:00", "dirname:CN=a", "host:8080", "mailto:jo@example.com", ":x"]
)
def test_an_unknown_kind_is_refused_with_the_known_ones(text: str) -> None:
    """A mistyped kind would make a challenge for a DNS name that no device asks for."""
    with pytest.raises(ValueError, match="one of dns, email, uri, ip, upn"):
        GeneralName.from_text(text)


@pytest.mark.parametrize("text", ["ip:fe80::1%eth0", "fe80::1%eth0", "IP:fe80::1%1"])
def test_an_address_with_a_scope_is_refused(text: str) -> None:
    """RFC 5280 4.2.1.6: sixteen octets and nothing else; the scope would be lost in silence."""
    with pytest.raises(ValueError, match="scope"):
        GeneralName.from_text(text)


@pytest.mark.parametrize(
    ("der", "name"),
    [
        (writer.encode(0xA4, subject("ipad-17")), GeneralName("dirname", "CN=ipad-17")),
        (writer.encode(0x88, b"\x2a\x03"), GeneralName("other", "88022a03")),
        (
            writer.encode(0xA0, writer.oid("1.2.3") + writer.explicit(0, writer.NULL)),
            GeneralName("other", "a00806022a03a0020500"),
        ),
        (
            writer.encode(0xA0, writer.oid(oids.USER_PRINCIPAL_NAME) + writer.utf8_string("jo")),
            GeneralName("other", "a010060a2b060104018237140203" + "0c026a6f"),
        ),
    ],
)
def test_other_kinds_are_read_and_never_written(der: bytes, name: GeneralName) -> None:
    """What no client is given can still be named in the words of the refusal."""
    assert read_general_names(writer.sequence(der)) == (name,)
    with pytest.raises(ValueError, match=f"kind {name.kind} cannot be written"):
        name.encode()


@pytest.mark.parametrize(
    "value",
    [
        writer.sequence(),
        writer.set_of([WRITTEN["ip:192.0.2.7"]]),
        writer.sequence(writer.encode(0x87, bytes(8))),
        writer.sequence(writer.encode(0x87, b"")),
        writer.sequence(writer.encode(0x82, "bücher.de".encode())),
        writer.sequence(writer.encode(0xA0, writer.oid(oids.USER_PRINCIPAL_NAME))),
        writer.sequence(writer.encode(0xA4, b"")),
    ],
    ids=["none", "a SET", "with a mask", "no address", "not IA5", "otherName without value", "no Name"],
)
def test_what_is_no_general_names_is_refused(value: bytes) -> None:
    """RFC 5280 4.2.1.6: at least one name, addresses of 4 or 16 octets, IA5String."""
    with pytest.raises(Asn1Error):
        read_general_names(value)


@pytest.mark.parametrize(
    ("usage", "value"),
    [
        (frozenset({KeyUsageBit.digitalSignature}), b"\x03\x02\x07\x80"),
        (frozenset({KeyUsageBit.digitalSignature, KeyUsageBit.keyEncipherment}), b"\x03\x02\x05\xa0"),
        (frozenset({KeyUsageBit.keyAgreement, KeyUsageBit.decipherOnly}), b"\x03\x03\x07\x08\x80"),
    ],
)
def test_a_key_usage_is_written_without_trailing_zeros(usage: frozenset[KeyUsageBit], value: bytes) -> None:
    """X.690 11.2.2; decipherOnly is the one bit in a second octet (RFC 5280 4.2.1.3)."""
    assert encode_key_usage(usage) == value
    assert read_key_usage(value) == usage


def test_a_key_usage_without_octets_is_refused() -> None:
    """X.690 8.6.2.2: a BIT STRING has at least the octet that counts its unused bits."""
    with pytest.raises(Asn1Error, match="empty keyUsage"):
        read_key_usage(writer.encode(tags.BIT_STRING, b""))
