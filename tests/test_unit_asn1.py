"""The reader of BER: what is no value of its type is refused, what is merely not DER is kept in mind."""

from collections.abc import Callable

import pytest

from ca.asn1 import Asn1Error, Element, read, split, strings, tags, writer
from ca.deviations import REFERENCES, Deviation, DeviationKind, Deviations


def element(der: bytes, deviations: Deviations | None = None) -> Element:
    return read(der, "test", Deviations() if deviations is None else deviations)


def _in_pieces(depth: int) -> bytes:
    """An OCTET STRING of one piece, which is of one piece, and so on."""
    der = writer.encode(tags.OCTET_STRING, b"x")
    for _ in range(depth):
        der = writer.encode(tags.OCTET_STRING | tags.CONSTRUCTED, der)
    return der


@pytest.mark.parametrize(
    ("der", "use"),
    [
        pytest.param(_in_pieces(65), Element.octets, id="CVE-2018-0739: pieces of pieces without end"),
        pytest.param(b"\x17\x0d261301000000Z", Element.time, id="RFC 5280 4.1.2.5.1: a thirteenth month"),
        pytest.param(b"\x02\x00", Element.integer, id="X.690 8.3.1: an INTEGER without octets"),
        pytest.param(b"\x01\x02\xff\xff", Element.boolean, id="X.690 8.2.1: a BOOLEAN of two octets"),
        pytest.param(b"\x01\x00", Element.boolean, id="X.690 8.2.1: a BOOLEAN without octets"),
        pytest.param(b"\x03\x00", Element.bits, id="X.690 8.6.2.2: a BIT STRING without its first octet"),
        pytest.param(b"\x03\x02\x04\xf0", Element.bits, id="a key or signature that ends inside an octet"),
        pytest.param(b"\x06\x00", Element.oid, id="X.690 8.19.2: an OBJECT IDENTIFIER without octets"),
        pytest.param(b"\x06\x01\x88", Element.oid, id="X.690 8.19.2: an arc that never ends"),
        pytest.param(b"\x17\x03abc", Element.time, id="X.680 47.3: a UTCTime of letters"),
        pytest.param(b"\x04\x01a", Element.children, id="X.690 8.1.2.5: the parts of a primitive"),
    ],
)
def test_what_is_no_value_of_its_type_is_refused(der: bytes, use: Callable[[Element], object]) -> None:
    """The octets are a stranger's: whatever cannot be read ends in one error, and in no other."""
    with pytest.raises(Asn1Error):
        use(element(der))


@pytest.mark.parametrize(
    ("der", "value"),
    [(b"\x02\x02\x00\x7f", 127), (b"\x02\x02\xff\x80", -128), (b"\x02\x03\x00\x00\x01", 1)],
)
def test_an_integer_longer_than_needed_is_read(der: bytes, value: int) -> None:
    """X.690 8.3.2 forbids it; the number is plain all the same."""
    deviations = Deviations()

    assert element(der, deviations).integer() == value
    assert deviations.kinds() == [DeviationKind.NON_MINIMAL_INTEGER]


@pytest.mark.parametrize(
    ("dotted", "der"),
    [
        ("0.0", b"\x06\x01\x00"),
        ("1.39.1", b"\x06\x02\x4f\x01"),
        ("2.999.0", b"\x06\x03\x88\x37\x00"),
        ("1.2.840", b"\x06\x03\x2a\x86\x48"),
    ],
)
def test_an_object_identifier_is_written_and_read(dotted: str, der: bytes) -> None:
    """X.690 8.19.4: the first two arcs share a number, which under 2 has no bound."""
    assert writer.oid(dotted) == der
    assert element(der).oid() == dotted


@pytest.mark.parametrize("dotted", ["3.0", "0.40", "1.40", "1", "", "1.02", "01.2", "1.2.", "1.٢", "1.2\n"])
def test_what_is_no_object_identifier_is_not_written(dotted: str) -> None:
    """X.660 A.1: there are three roots, with 40 arcs under the first two."""
    with pytest.raises(ValueError, match="no OBJECT IDENTIFIER"):
        writer.oid(dotted)


@pytest.mark.parametrize(("value", "der"), [(128, b"\x02\x02\x00\x80"), (-129, b"\x02\x02\xff\x7f")])
def test_a_needed_sign_octet_is_no_deviation(value: int, der: bytes) -> None:
    """X.690 8.3.2: nine equal bits are one too many, and eight are not."""
    deviations = Deviations()

    assert writer.integer(value) == der
    assert element(der, deviations).integer() == value
    assert len(deviations) == 0


@pytest.mark.parametrize(
    ("octet", "value", "kinds"),
    [(0x00, False, []), (0xFF, True, []), (0x01, True, [DeviationKind.NON_DER_BOOLEAN])],
)
def test_any_octet_but_zero_is_true(octet: int, value: bool, kinds: list[DeviationKind]) -> None:
    """X.690 8.2.2 lets BER write TRUE in 255 ways, 11.1 leaves DER one."""
    deviations = Deviations()

    assert element(bytes((tags.BOOLEAN, 1, octet)), deviations).boolean() is value
    assert deviations.kinds() == kinds


def test_a_line_end_behind_a_message_is_let_pass() -> None:
    """RFC 5652 3: a ContentInfo ends where it ends; scripts put a line end behind it."""
    deviations = Deviations()

    assert read(b"\x05\x00\r\n", "test", deviations, slack=b"\r\n\0").tag == tags.NULL
    assert deviations.kinds() == [DeviationKind.TRAILING_BYTES]


@pytest.mark.parametrize("rest", [b"\r\n\r", b"ab", b"\x05\x00"])
def test_more_behind_a_message_is_refused(rest: bytes) -> None:
    """RFC 5652 3: what nobody signed and nobody reads has no place in a message."""
    with pytest.raises(Asn1Error, match="after the end"):
        read(b"\x05\x00" + rest, "test", Deviations(), slack=b"\r\n\0")


def test_a_string_of_no_encoding_is_refused() -> None:
    """X.680 41.4: not PrintableString, and not the UTF-8 that certmonger puts there either."""
    with pytest.raises(Asn1Error, match="do not decode"):
        strings.text(element(writer.encode(tags.PRINTABLE_STRING, b"caf\xe9")))


def test_a_bmp_string_of_half_a_character_is_refused() -> None:
    """X.690 8.23.7: two octets each, so that an odd number of them is no text."""
    with pytest.raises(Asn1Error, match="do not decode"):
        strings.text(element(writer.encode(tags.BMP_STRING, b"\x00a\x00")))


def test_utf_8_in_a_printable_string_is_read() -> None:
    """X.680 41.4: certmonger and node-forge write it, and the text is plain."""
    deviations = Deviations()

    text = strings.text(element(writer.encode(tags.PRINTABLE_STRING, "café".encode()), deviations))

    assert text == "café"
    assert deviations.kinds() == [DeviationKind.STRING_OUTSIDE_TYPE]


def test_a_deviation_is_kept_once_a_place_and_names_its_clause() -> None:
    """A message of a thousand elements must not fill the log with one habit of its writer."""
    deviations = Deviations()
    deviations.add(DeviationKind.INDEFINITE_LENGTH, "csr", "the first")
    deviations.add(DeviationKind.INDEFINITE_LENGTH, "csr", "the second")
    deviations.add(DeviationKind.INDEFINITE_LENGTH, "pkiMessage")

    assert list(deviations) == [
        Deviation(DeviationKind.INDEFINITE_LENGTH, "csr", "the first"),
        Deviation(DeviationKind.INDEFINITE_LENGTH, "pkiMessage"),
    ]
    assert {one.reference for one in deviations} == {"X.690 10.1"}
    assert len(deviations) == 2


def test_every_kind_of_deviation_has_its_clause() -> None:
    """Whoever reads a log must be able to look up what was departed from."""
    assert set(REFERENCES) == set(DeviationKind)


def test_elements_that_follow_one_another_are_taken_apart() -> None:
    """A CRL has tens of thousands of them; none is looked into, whatever its length."""
    parts = [writer.octet_string(bytes(length)) for length in (0, 1, 127, 128, 300)]

    assert list(split(b"".join(parts))) == parts
    assert list(split(b"")) == []


@pytest.mark.parametrize("rest", [b"\x30", b"\x30\x01", b"\x30\x81", b"\x30\x82\x01\x00", b"\x1f\x01\x00"])
def test_what_is_no_element_is_not_split(rest: bytes) -> None:
    """What was cut off is not an entry of a CRL."""
    with pytest.raises(Asn1Error):
        list(split(writer.NULL + rest))
