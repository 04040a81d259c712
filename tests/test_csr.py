"""CSRs that are not to be certified: broken, too weak, or asking for more than a client gets."""

from dataclasses import replace

import pytest
from cryptography import x509

from ca.algorithms.levels import CryptoLevel
from ca.asn1 import tags, writer
from ca.deviations import Deviations
from ca.errors import FailInfo
from ca.scep.messages import Failure
from ca.x509 import oids
from ca.x509.extensions import Extension
from tests.conformance.marks import cases
from tests.forging_csr import (
    alternative_names,
    ask,
    assert_refused,
    attribute,
    challenge,
    csr,
    dns,
    extension_request,
    rdn,
    seal,
    signed,
    spki_of,
    subject,
)
from tests.world import SECRET, Device, World, certificate_of, rsa_key

TRUE_CA = writer.sequence(writer.TRUE)
MS_REQUEST = oids.MICROSOFT_EXTENSION_REQUEST
SAN = alternative_names(dns("a.example"))


pytestmark = pytest.mark.uses(1)


def _bits(octet: int) -> bytes:
    return writer.bit_string(bytes((octet,)))


def _purposes(*purposes: str) -> bytes:
    return writer.sequence(*map(writer.oid, purposes))


def _sid_uri() -> bytes:
    return writer.encode(0x86, b"tag:microsoft.com,2022-09-14:sid:S-1-5-21-1-2-3-500")


WISHES = {
    "N-066 cA TRUE": Extension(oids.BASIC_CONSTRAINTS, True, TRUE_CA),
    "N-066 cA TRUE, not critical": Extension(oids.BASIC_CONSTRAINTS, False, TRUE_CA),
    "N-066 cA TRUE in BER": Extension(oids.BASIC_CONSTRAINTS, True, writer.sequence(b"\x01\x01\x01")),
    "N-067 keyCertSign": Extension(oids.KEY_USAGE, True, _bits(0x04)),
    "N-067 cRLSign beside digitalSignature": Extension(oids.KEY_USAGE, True, _bits(0x82)),
    "N-067 OCSPSigning": Extension(oids.EXTENDED_KEY_USAGE, False, _purposes(oids.OCSP_SIGNING)),
    "N-067 OCSPSigning beside clientAuth": Extension(
        oids.EXTENDED_KEY_USAGE, False, _purposes(oids.CLIENT_AUTH, oids.OCSP_SIGNING)
    ),
    "N-067 anyExtendedKeyUsage": Extension(
        oids.EXTENDED_KEY_USAGE, False, _purposes(oids.ANY_EXTENDED_KEY_USAGE)
    ),
    "N-067 a Windows SID": Extension(oids.MICROSOFT_SID, False, writer.sequence()),
    "N-067 a Windows SID in a URI": alternative_names(_sid_uri()),
    "N-119 an unknown critical extension": Extension("1.2.3.4", True, writer.NULL),
    "N-119 critical nameConstraints": Extension("2.5.29.30", True, writer.sequence()),
    "N-106 ten thousand names": alternative_names(*(dns(f"{number}.example") for number in range(10_000))),
    "N-120 a NUL in a dNSName": alternative_names(dns(b"a.example\0.b.example")),
    "N-120 a newline in a dNSName": alternative_names(dns(b"a.example\nb")),
    "X-11 a dNSName outside IA5String": alternative_names(dns("\xe4.example")),
    "X-11 an iPAddress with a mask": alternative_names(writer.encode(0x87, bytes(8))),
    "X-11 an iPAddress of five octets": alternative_names(writer.encode(0x87, bytes(5))),
    "X-11 an empty dNSName": alternative_names(dns("")),
    "a registeredID": alternative_names(writer.encode(0x88, b"\x2a\x03")),
    "no names in a SAN": alternative_names(),
    "a SAN that is no SEQUENCE": Extension(oids.SUBJECT_ALT_NAME, False, writer.NULL),
    "an empty extKeyUsage": Extension(oids.EXTENDED_KEY_USAGE, False, writer.sequence()),
    "a keyUsage that is no BIT STRING": Extension(oids.KEY_USAGE, False, writer.NULL),
}


@pytest.mark.proves("P-08", "X-13")
@pytest.mark.parametrize("request_oid", [oids.EXTENSION_REQUEST, MS_REQUEST], ids=["PKCS9", "Microsoft"])
@pytest.mark.parametrize("wish", cases(WISHES))
def test_what_no_client_gets_is_refused(
    world: World, device: Device, wish: Extension, request_oid: str
) -> None:
    """RFC 5280 4.2: nobody becomes a CA, a responder, somebody else or unreadable by asking."""
    payload = csr(challenge(SECRET), extension_request(wish, oid=request_oid))

    assert_refused(world, ask(world, device, payload))


def _equal_names(oid: str) -> bytes:
    return extension_request(SAN, oid=oid)


CONTRADICTIONS = {
    "N-069 the two requests disagree": (
        _equal_names(MS_REQUEST),
        extension_request(alternative_names(dns("b.example"))),
    ),
    "N-069 one has more": (
        _equal_names(MS_REQUEST),
        extension_request(SAN, Extension(oids.KEY_USAGE, True, _bits(0x80))),
    ),
    "N-070 one extension twice": (extension_request(SAN, alternative_names(dns("b.example"))),),
    "N-070 one extension twice and equal": (extension_request(SAN, SAN),),
    "N-059 two challengePasswords": (challenge("wrong"),),
    "N-059 twice the right one": (challenge(SECRET),),
}


@pytest.mark.proves("P-04", "P-06")
@pytest.mark.parametrize("more", cases(CONTRADICTIONS))
def test_a_contradiction_is_refused(world: World, device: Device, more: tuple[bytes, ...]) -> None:
    """RFC 2985 5.4: single values; where two readers could differ, neither reading is certified."""
    assert_refused(world, ask(world, device, csr(challenge(SECRET), *more)))


@pytest.mark.proves("N-059", "P-04")
def test_two_values_of_a_challenge_are_refused(world: World, device: Device) -> None:
    """RFC 2985 5.4.1: challengePassword is SINGLE VALUE TRUE (N-059)."""
    assert_refused(world, ask(world, device, csr(challenge(SECRET, "wrong"))))


SUBJECTS = {
    "N-061 empty": writer.sequence(),
    "N-120 a NUL": subject("ipad\0-17"),
    "N-120 a newline": subject("ipad\n17"),
    "N-120 an escape sequence": subject("ipad\x1b[2J"),
    "N-120 a newline in a second attribute": writer.sequence(rdn("2.5.4.3", "a"), rdn("2.5.4.10", "b\r\nc")),
    "N-120 a right-to-left override": subject("ipad\u202e17"),
    "blank": subject("  "),
    "an empty string": subject(""),
    "an empty RDN": writer.sequence(writer.set_of([])),
    "invalid UTF-8": subject(b"\xff\xfe"),
    "an odd BMPString": subject(b"abc", tags.BMP_STRING),
    "no string": writer.sequence(rdn("2.5.4.3", b"\x01", tags.INTEGER)),
    "300 characters": subject("x" * 300),
}


@pytest.mark.parametrize("subject_der", cases(SUBJECTS))
def test_a_subject_that_names_nobody_soundly_is_refused(
    world: World, device: Device, subject_der: bytes
) -> None:
    """RFC 5280 4.1.2.6: what a reader could take for another name, or for none, is not certified."""
    assert_refused(world, ask(world, device, csr(challenge(SECRET), subject_der=subject_der)))


@pytest.mark.proves("N-062", "P-01")
@pytest.mark.parametrize("version", [1, 2, -1])
def test_a_csr_of_another_version_is_refused(world: World, device: Device, version: int) -> None:
    """RFC 2986 4.1: the version is 0, for v1 (N-062)."""
    assert_refused(world, ask(world, device, csr(challenge(SECRET), version=version)))


BAD_CHALLENGES = {
    "an odd BMPString": writer.encode(tags.BMP_STRING, b"abc"),
    "invalid UTF-8": writer.encode(tags.UTF8_STRING, b"\xff\xfe"),
    "256 characters": writer.utf8_string("x" * 256),
    "60 000 characters": writer.utf8_string("x" * 60_000),
    "no string": writer.integer(7),
}


@pytest.mark.proves("N-105")
@pytest.mark.parametrize("value", cases(BAD_CHALLENGES))
def test_an_unreadable_challenge_is_refused(world: World, device: Device, value: bytes) -> None:
    """RFC 2985 5.4.1: a DirectoryString (N-105)."""
    assert_refused(world, ask(world, device, csr(attribute(oids.CHALLENGE_PASSWORD, value))))


@pytest.mark.proves("N-106")
def test_a_csr_of_a_mebibyte_is_refused(world: World, device: Device) -> None:
    """It is bounded work, and no certificate of that size leaves (N-106)."""
    payload = csr(challenge(SECRET), subject_der=subject("x" * (1 << 20)))

    assert_refused(world, ask(world, device, payload))


@pytest.mark.proves("N-106")
def test_ten_thousand_equal_wishes_are_refused(world: World, device: Device) -> None:
    """The number of extensions is bounded before any of them is weighed (N-106)."""
    many = extension_request(*(Extension(f"1.2.3.{number}", False, writer.NULL) for number in range(10_000)))

    assert_refused(world, ask(world, device, csr(challenge(SECRET), many)))


@pytest.mark.proves("N-052", "R-2.3-b", "L-09")
@pytest.mark.parametrize("signer_name", ["another name", "Test CA"])
def test_a_signer_of_another_subject_enrols_and_is_noted(
    world: World, device: Device, signer_name: str
) -> None:
    """An iPhone signs as a random UUID; RFC 8894 2.3 only recommends the CSR's subject (N-052)."""
    device.common_name = signer_name
    deviations = Deviations()

    reply = world.respond(device.message(world.ca, csr(challenge(SECRET))), deviations)

    assert str(certificate_of(device.read(reply, world.ca)).subject) == "CN=ipad-17"
    assert "signer-subject" in deviations.kinds()


@pytest.mark.proves("N-053", "R-2.3-b", "R-3.3.1-b")
def test_a_signer_of_another_key_enrols_and_is_noted(world: World) -> None:
    """Windows signs with a throwaway key; the CSR itself proves possession (N-053)."""
    device = Device(signer_key=rsa_key(5))
    deviations = Deviations()

    reply = world.respond(device.message(world.ca), deviations)

    assert certificate_of(device.read(reply, world.ca)).spki == spki_of(rsa_key(1))
    assert "signer-key" in deviations.kinds()


@pytest.mark.proves("N-053", "S-03")
def test_a_stranger_who_signs_a_captured_envelope_gains_nothing(world: World, device: Device) -> None:
    """He causes the certificate that the rightful key asked for, and its device still gets it (N-053)."""
    envelope = seal(device.csr(), world.ca).der()
    stranger = Device("stranger", rsa_key(6))

    world.respond(signed(stranger, envelope))
    certificate = certificate_of(device.read(world.respond(signed(device, envelope)), world.ca))

    assert certificate.spki == spki_of(device.key)
    assert [one.der for one in world.issued()] == [certificate.der]


@pytest.mark.proves("N-053", "S-03")
def test_a_stranger_with_a_certificate_of_ours_gains_nothing(world: World, device: Device) -> None:
    """His own certificate must not turn the captured enrolment into a transaction of his (N-053)."""
    world.add_challenge("for the stranger")
    stranger = Device("stranger", rsa_key(6))
    stranger.signer = certificate_of(world.enrol(stranger, stranger.csr("for the stranger")))
    envelope = seal(device.csr(), world.ca).der()

    world.respond(signed(stranger, envelope, transaction_id="t2"))
    certificate = certificate_of(device.read(world.respond(signed(device, envelope)), world.ca))

    assert certificate.spki == spki_of(device.key)
    assert len(world.issued()) == 2


@pytest.mark.proves("N-054", "R-2.4-g")
@pytest.mark.parametrize("payload_secret", [None, "", "wrong"])
def test_a_self_signed_copy_of_a_client_is_nobody(
    world: World, device: Device, payload_secret: str | None
) -> None:
    """RFC 8894 2.4: a self-signed certificate, whatever stands in it, authenticates nobody (N-054)."""
    certificate_of(world.enrol(device))
    impostor = Device(key=rsa_key(6))

    outcome = ask(world, impostor, impostor.csr(payload_secret), transaction_id="t2")

    assert isinstance(outcome, Failure)
    assert outcome.fail_info is FailInfo.BAD_REQUEST
    assert len(world.issued()) == 1


@pytest.mark.proves("P-03", "P-07")
def test_a_lenient_csr_is_certified(world: World, device: Device) -> None:
    """A strongSwan sends attributes out of order, Cisco unknown ones: read, and kept as deviations."""
    unstructured = attribute("1.2.840.113549.1.9.8", writer.printable_string("10.0.0.1"))
    pair = sorted((challenge(SECRET), unstructured), reverse=True)
    deviations = Deviations()

    reply = world.respond(device.message(world.ca, csr(*pair)), deviations)

    certificate_of(device.read(reply, world.ca))
    assert "unsorted-attributes" in deviations.kinds()


@pytest.mark.proves("P-06")
def test_both_extension_requests_may_agree(world: World, device: Device) -> None:
    """Old Windows tools send the same wish under both OIDs (P-06)."""
    payload = csr(challenge(SECRET), _equal_names(MS_REQUEST), _equal_names(oids.EXTENSION_REQUEST))

    certificate = certificate_of(ask(world, device, payload))

    assert [str(one) for one in certificate.subject_alt_names] == ["dns:a.example"]


@pytest.mark.proves("N-060", "S-09")
@pytest.mark.parametrize("level", CryptoLevel)
def test_every_level_wants_the_proof_of_possession(device: Device, level: CryptoLevel) -> None:
    """RFC 8894 7.6: the CSR's signature is the only proof there is (N-060)."""
    world = World(uses=1)
    world.profile = replace(world.profile, crypto=level)

    assert_refused(world, ask(world, device, csr(challenge(SECRET), signature=bytes(256))))


def test_cryptography_reads_what_we_forge() -> None:
    """These tests mean something only while a right CSR of theirs is a right one to others."""
    request = x509.load_der_x509_csr(csr(challenge(SECRET), extension_request(SAN)))

    assert request.is_signature_valid
    assert request.extensions.get_extension_for_class(x509.SubjectAlternativeName)
