"""Names (RFC 4514): what we write as text is read back as the same name, and what else is read."""

import pytest
from cryptography import x509
from hypothesis import given, settings
from hypothesis import strategies as st

from ca.asn1 import tags, writer
from ca.issuing.root import CaUnusable, make_ca_certificate
from ca.x509 import oids
from ca.x509.certificate import Certificate
from ca.x509.name import Attribute, Name, _load
from tests.forging_csr import ask, challenge, csr, rdn
from tests.world import NOW, Device, World, certificate_of, rsa_key

briefly = settings(max_examples=150, deadline=None, database=None, derandomize=True)
arcs = st.integers(0, 1 << 40)
unknown_oids = st.one_of(
    st.tuples(st.integers(0, 1), st.integers(0, 39), arcs), st.tuples(st.just(2), arcs, arcs)
).map(lambda numbers: ".".join(map(str, numbers)))
types = st.sampled_from(sorted(oids.ATTRIBUTE_NAMES)) | unknown_oids
# What RFC 4514 has a rule for, and otherwise all of Unicode.
special = st.sampled_from(' "#+,;<=>\\\0\x01\x1f\x7f\x85\u00a0\u00ad\u2028éß日😀')
characters = special | st.characters(codec="utf-8")
values = st.text(characters, min_size=1, max_size=20)
rdns = st.lists(st.tuples(types, values), min_size=1, max_size=4)


def encoded(*parts: list[tuple[str, str]]) -> bytes:
    """A Name of UTF8Strings, with as many attributes in each RDN as are given."""
    return writer.sequence(
        *(
            writer.set_of(writer.sequence(writer.oid(oid), writer.utf8_string(text)) for oid, text in part)
            for part in parts
        )
    )


@briefly
@given(st.lists(rdns, max_size=5))
def test_a_name_is_read_back_from_its_text(parts: list[list[tuple[str, str]]]) -> None:
    """A challenge is bound to the text of a name, and must match the very name."""
    name = Name.load(encoded(*parts))

    again = Name.from_text(str(name))

    assert again.matches(name)
    assert [set(rdn) for rdn in again.rdns] == [set(rdn) for rdn in name.rdns]


@pytest.mark.parametrize("oid", oids.ATTRIBUTE_NAMES)
def test_every_attribute_type_can_be_bound(world: World, oid: str) -> None:
    """RFC 8894 7.3: a challenge made for a subject certifies it, whatever it is made of."""
    wanted = writer.sequence(rdn(oid, "a@example"), rdn("2.5.4.3", "ipad-17"))
    world.add_challenge("bound", subject=str(Name.load(wanted)))

    certificate = certificate_of(ask(world, Device(), csr(challenge("bound"), subject_der=wanted)))

    assert certificate.subject_der == wanted


@pytest.mark.parametrize(
    ("text", "attributes"),
    [
        ("CN=ipad-17,O=Example", [("2.5.4.10", "Example"), ("2.5.4.3", "ipad-17")]),
        ("CN = ipad-17 , O=Example Ltd ", [("2.5.4.10", "Example Ltd"), ("2.5.4.3", "ipad-17")]),
        ("cn=a,EMAILADDRESS=b@c", [("1.2.840.113549.1.9.1", "b@c"), ("2.5.4.3", "a")]),
        ("CN=a+serialNumber=7", [("2.5.4.3", "a"), ("2.5.4.5", "7")]),
        ("1.2.3.4=x", [("1.2.3.4", "x")]),
        ("2.5.4.3=x", [("2.5.4.3", "x")]),
        (r"CN=\ a\,b\+c\ ", [("2.5.4.3", " a,b+c ")]),
        (r"CN=L\C3\BCtt", [("2.5.4.3", "Lütt")]),
        ("CN=a=b", [("2.5.4.3", "a=b")]),
        ("1.3.6.1=#0c026869", [("1.3.6.1", "hi")]),
        (r"CN=\#0c", [("2.5.4.3", "#0c")]),
        ("", []),
    ],
)
def test_text_of_every_form_is_read(text: str, attributes: list[tuple[str, str]]) -> None:
    """RFC 4514 2.3, 2.4, 3; spaces around separators are what people write."""
    assert Name.from_text(text).attributes() == [Attribute(*one) for one in attributes]


@pytest.mark.parametrize(
    "text",
    [
        *("ipad-17", "CN", "=a", "CN=", "CN= ", "CN=a,", ",CN=a", "CN=a,,O=b", "CN=a+", " "),
        *("NN=a", "CN=a;O=b", 'CN="a"', "CN=a\\", r"CN=\0", r"CN=\xy", r"CN=\C3", r"CN=\FF", "CN=a\udce9"),
        *("CN=#", "CN=#0c", "CN=#0c0", "CN=#zz", "CN=#05 00", "CN=#0500", "3.1=a", "1=a", "1.02=a"),
        ",".join(["CN=a"] * 33),
    ],
)
def test_text_that_is_no_name_is_refused(text: str) -> None:
    """RFC 4514 3: a name that was meant otherwise would match no device, and nobody would see why."""
    with pytest.raises(ValueError):
        Name.from_text(text)


@pytest.mark.parametrize(
    ("text", "tag"),
    [
        ("C=DE", tags.PRINTABLE_STRING),
        ("serialNumber=A-7", tags.PRINTABLE_STRING),
        ("dnQualifier=A_7", tags.UTF8_STRING),
        ("CN=ipad-17", tags.UTF8_STRING),
        ("DC=example", tags.IA5_STRING),
        ("emailAddress=a@example.com", tags.IA5_STRING),
        ("emailAddress=ü@example.com", tags.UTF8_STRING),
    ],
)
def test_an_attribute_gets_the_string_type_of_its_kind(text: str, tag: int) -> None:
    """RFC 5280 appendix A.1; what does not fit the type is UTF8String."""
    (attribute,) = Name.from_text(text).attributes()

    assert Name.from_text(text).der == writer.sequence(rdn(attribute.oid, attribute.value, tag))


@pytest.mark.parametrize(
    "text", [f"{name}=ab,CN=CA" for name in oids.ATTRIBUTE_NAMES.values()] + ["CN=a+OU=b,O=c", "1.2.3.4=x"]
)
def test_a_ca_has_the_subject_it_was_given(text: str) -> None:
    """RFC 5280 4.1.2.4: subject and issuer of a root are one name, byte for byte."""
    subject = Name.from_text(text)

    made = Certificate.load(make_ca_certificate(subject, rsa_key(0), 10, NOW))

    assert made.subject_der == made.issuer_der == subject.der
    assert x509.load_der_x509_certificate(made.der).subject == subject.for_builder()


@pytest.mark.parametrize("text", ["C=Germany,CN=CA", f"CN={'x' * 65}", "CN=a+CN=a"])
def test_a_subject_that_a_ca_cannot_have_is_refused(text: str) -> None:
    """RFC 5280 appendix A.1: upper bounds that clients of the CA would trip over for its whole life."""
    with pytest.raises(CaUnusable, match="cannot be the subject of a CA"):
        make_ca_certificate(Name.from_text(text), rsa_key(0), 10, NOW)


def test_long_names_are_not_remembered() -> None:
    """A signer's issuer is a stranger's word, and 256 of a quarter of a mebibyte are the whole memory."""
    before = _load.cache_info().currsize
    for number in range(3):
        long = Name.of([[Attribute("2.5.4.3", f"{number}" * 2000)]])
        assert Name.load(long.der).matches(long)

    assert _load.cache_info().currsize == before
