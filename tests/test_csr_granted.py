"""What a CSR's wishes become in the certificate: the subject, the names and the uses of its key."""

from dataclasses import replace

import pytest

from ca.asn1 import tags, writer
from ca.x509 import oids
from ca.x509.extensions import Extension, KeyUsageBit, read_key_purposes
from tests.forging_csr import (
    KEYS,
    alternative_names,
    ask,
    certified,
    challenge,
    csr,
    dns,
    extension_request,
    rdn,
    subject,
)
from tests.world import SECRET, Device, World, certificate_of

BIT = KeyUsageBit
SERVER_AUTH = "1.3.6.1.5.5.7.3.1"
ALL_USES = writer.bit_string(b"\xf8", unused=3)


KEPT_SUBJECTS = {
    "PrintableString": subject("ipad-17", tags.PRINTABLE_STRING),
    "UTF8String": subject("größer"),
    "T61String": subject("größer".encode("latin-1"), tags.T61_STRING),
    "BMPString": subject("größer".encode("utf-16-be"), tags.BMP_STRING),
    "an ideographic space": subject("株式会社\u3000例"),
    "a country and an address": writer.sequence(
        rdn("2.5.4.6", "DE", tags.PRINTABLE_STRING),
        rdn("1.2.840.113549.1.9.1", "a@b.example", tags.IA5_STRING),
        rdn("1.2.840.113549.1.9.8", "10.0.0.1", tags.PRINTABLE_STRING),
    ),
    "a multi-valued RDN": writer.sequence(
        writer.set_of(
            [
                rdn("2.5.4.3", "a")[2:],
                rdn("2.5.4.5", "7", tags.PRINTABLE_STRING)[2:],
            ]
        )
    ),
}


@pytest.mark.proves("X-03", "P-07", "R-3.3.1-a")
@pytest.mark.parametrize("subject_der", KEPT_SUBJECTS.values(), ids=KEPT_SUBJECTS.keys())
def test_a_sound_subject_keeps_its_bytes(world: World, subject_der: bytes) -> None:
    """RFC 5280 4.1.2.6: devices compare the subject they get with the one they sent (X-03)."""
    payload = csr(challenge(SECRET), subject_der=subject_der)

    assert certificate_of(ask(world, Device(), payload)).subject_der == subject_der


@pytest.mark.proves("X-03")
@pytest.mark.parametrize("text", ["ipad_17", "a@b", "größer"])
def test_what_is_no_printable_string_becomes_utf8(world: World, text: str) -> None:
    """Clients such as certmonger write any character into it; strict readers would refuse it (X-03)."""
    payload = csr(challenge(SECRET), subject_der=subject(text, tags.PRINTABLE_STRING))

    assert certificate_of(ask(world, Device(), payload)).subject_der == subject(text)


SIGNING = frozenset({BIT.digitalSignature})
BOTH = SIGNING | {BIT.nonRepudiation}
USAGES = {
    "RSA": (SIGNING | {BIT.keyEncipherment}, BOTH | {BIT.keyEncipherment, BIT.dataEncipherment}),
    "P-256": (SIGNING, BOTH | {BIT.keyAgreement}),
    "P-521": (SIGNING, BOTH | {BIT.keyAgreement}),
    "Ed25519": (SIGNING, BOTH),
}


@pytest.mark.proves("X-09")
@pytest.mark.parametrize("kind", USAGES)
def test_a_key_usage_fits_its_key(world: World, kind: str) -> None:
    """RFC 4055 1.2, RFC 8813 3, RFC 8410 5: no keyEncipherment for keys that encrypt nothing (X-09)."""
    key = KEYS[kind]()
    default, most = USAGES[kind]

    plain = certified(world, key=key)
    asked = certified(world, Extension(oids.KEY_USAGE, True, ALL_USES), key=key, transaction_id="t2")

    assert plain.key_usage == default
    assert asked.key_usage == most
    assert asked.extensions[oids.KEY_USAGE].critical


def test_a_key_usage_is_granted_no_wider_than_asked(world: World) -> None:
    """A key for signatures alone stays one; what does not fit the key is dropped, not refused."""
    signing = Extension(oids.KEY_USAGE, True, writer.bit_string(b"\x80", unused=7))

    certificate = certified(world, signing)

    assert certificate.key_usage == SIGNING
    assert certificate.extensions[oids.KEY_USAGE].value == signing.value


@pytest.mark.proves("P-08")
@pytest.mark.parametrize(
    ("asked", "granted"),
    [
        (None, (oids.CLIENT_AUTH, SERVER_AUTH)),
        ((SERVER_AUTH,), (SERVER_AUTH,)),
        (("1.2.3.4",), (oids.CLIENT_AUTH, SERVER_AUTH)),
        (("1.2.3.4", oids.CLIENT_AUTH), (oids.CLIENT_AUTH,)),
    ],
    ids=["none", "one", "an unknown one", "both"],
)
def test_the_profile_is_the_ceiling_of_ext_key_usage(
    world: World, asked: tuple[str, ...] | None, granted: tuple[str, ...]
) -> None:
    """A client may ask for less than its profile allows, and never gets more (P-08)."""
    world.profile = replace(world.profile, key_purposes=(oids.CLIENT_AUTH, SERVER_AUTH))
    wishes = (
        ()
        if asked is None
        else (Extension(oids.EXTENDED_KEY_USAGE, False, writer.sequence(*map(writer.oid, asked))),)
    )

    certificate = certified(world, *wishes)

    assert read_key_purposes(certificate.extensions[oids.EXTENDED_KEY_USAGE].value) == granted


@pytest.mark.proves("P-05", "P-06", "X-10")
@pytest.mark.parametrize("oid", [oids.EXTENSION_REQUEST, oids.MICROSOFT_EXTENSION_REQUEST])
@pytest.mark.parametrize("empty_subject", [False, True])
def test_a_san_is_critical_where_it_is_all_there_is(world: World, oid: str, empty_subject: bool) -> None:
    """RFC 5280 4.2.1.6, from either request attribute (P-05, P-06, X-10)."""
    names = (dns("a.example"), writer.encode(0x87, bytes((192, 0, 2, 1))), writer.encode(0x86, b"urn:x:1"))
    wish = extension_request(alternative_names(*names), oid=oid)
    payload = csr(challenge(SECRET), wish, subject_der=writer.sequence() if empty_subject else None)

    extension = certificate_of(ask(world, Device(), payload)).extensions[oids.SUBJECT_ALT_NAME]

    assert extension.value == writer.sequence(*names)
    assert extension.critical is empty_subject


@pytest.mark.proves("P-08")
def test_an_unknown_wish_is_dropped_and_told_to_the_log(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    """RFC 2986: a request's extensions are wishes; what is not critical may be left out (P-08)."""
    policies = Extension("2.5.29.32", False, writer.sequence())

    with caplog.at_level("INFO", "ca.responder"):
        certificate = certified(world, policies)

    assert "2.5.29.32" not in certificate.extensions
    assert "dropped=2.5.29.32" in caplog.messages[-1]
