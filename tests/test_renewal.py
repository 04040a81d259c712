"""Renewal by the old certificate: when it is enough, and every way in which it is not."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import TypeAlias

import pytest
from cryptography import x509
from sqlalchemy import text

from ca.algorithms.digests import SHA1
from ca.algorithms.levels import CryptoLevel
from ca.deviations import Deviations
from ca.errors import FailInfo
from ca.issuing.authority import Authority
from ca.issuing.content import certificate_content
from ca.scep.messages import Failure, MessageType, Outcome
from ca.x509.certificate import Certificate
from ca.x509.request import UnprovenRequest
from tests.conformance.marks import cases
from tests.databases import looking_into, new_database
from tests.forging_csr import ask, issue, spki_of
from tests.world import NOW, SECRET, Device, World, certificate_of, name, rsa_key, self_signed

pytestmark = [pytest.mark.databases, pytest.mark.uses(1)]

RENEWAL, ENROLMENT = MessageType.RENEWAL_REQ, MessageType.PKCS_REQ
DUE = NOW + timedelta(days=340)
SAN = x509.SubjectAlternativeName([x509.DNSName("a.example"), x509.DNSName("b.example")])
CA_NAME = name("Test CA")
Forge: TypeAlias = Callable[[World, Certificate], Device]


def _enrolled(world: World, *extensions: x509.ExtensionType) -> Certificate:
    device = Device()
    return certificate_of(world.enrol(device, device.csr(SECRET, *extensions)))


def _renewing(old: Certificate, *, key: int = 2, common_name: str = "ipad-17") -> Device:
    """The enrolled device with a new key, signing with its old certificate."""
    return Device(common_name, rsa_key(key), signer_key=rsa_key(1), signer=old)


def _renew(
    world: World,
    device: Device,
    *extensions: x509.ExtensionType,
    challenge: str | None = None,
    message_type: MessageType = RENEWAL,
) -> Outcome:
    return ask(world, device, device.csr(challenge, *extensions), message_type, "t2")


def _assert_refused(world: World, outcome: Outcome, fail_info: FailInfo = FailInfo.BAD_REQUEST) -> None:
    assert isinstance(outcome, Failure), outcome
    assert outcome.fail_info is fail_info
    assert outcome.text
    assert len(world.issued()) == 1


@pytest.mark.proves("R-2.4-d", "R-2.5-b", "R-2.5-c", "R-3.5.2-f", "L-06")
@pytest.mark.parametrize("message_type", [RENEWAL, ENROLMENT])
@pytest.mark.parametrize("key", [1, 2])
def test_the_old_certificate_is_enough(world: World, message_type: MessageType, key: int) -> None:
    """RFC 8894 2.3: no challenge; macOS, certmonger and sscep renew by PKCSReq, with either key."""
    old = _enrolled(world, SAN)
    world.now = DUE

    new = certificate_of(_renew(world, _renewing(old, key=key), SAN, message_type=message_type))

    assert new.spki == spki_of(rsa_key(key))
    assert new.serial_number != old.serial_number
    assert new.subject_der == old.subject_der
    assert new.not_valid_after == DUE + timedelta(days=365)
    assert [one.renewed_from for one in world.issued()] == [None, f"{old.serial_number:x}"]


@pytest.mark.proves("R-2.4-e")
@pytest.mark.parametrize("challenge", ["", SECRET, "never heard of"])
def test_a_challenge_on_a_renewal_does_no_harm(world: World, challenge: str) -> None:
    """RFC 8894 2.4: a client may send its old one along; it is spent, wrong or empty by then."""
    old = _enrolled(world)
    world.now = DUE

    certificate_of(_renew(world, _renewing(old), challenge=challenge))


@pytest.mark.proves("R-2.4-e")
def test_a_good_challenge_on_a_renewal_is_not_spent(world: World) -> None:
    """The old certificate authorises, so the password stays good for who needs it."""
    old = _enrolled(world)
    world.add_challenge("another")
    world.now = DUE

    certificate_of(_renew(world, _renewing(old), challenge="another"))

    assert world.uses_left() == [0, 1]


@pytest.mark.proves("N-081", "S-14")
def test_a_replayed_renewal_gets_the_same_certificate(world: World) -> None:
    """RFC 8894 7.4: the reply may be lost; a second certificate would be nobody's (N-081)."""
    old = _enrolled(world)
    world.now = DUE
    device = _renewing(old)
    message = device.message(world.ca, device.csr(None), message_type=RENEWAL, transaction_id="t2")

    certificates = {certificate_of(device.read(world.respond(message), world.ca, "t2")).der for _ in range(3)}

    assert len(certificates) == 1
    assert len(world.issued()) == 2


@pytest.mark.parametrize("renewal_days", [30, 0])
def test_a_device_renews_under_its_old_transaction_id(world: World, renewal_days: int) -> None:
    """What certmonger does: it keeps its transactionID for life, and its first request is no obstacle."""
    world.profile = replace(world.profile, renewal_days=renewal_days)
    old = _enrolled(world)
    world.now = DUE
    device = _renewing(old, key=1)

    new = certificate_of(ask(world, device, device.csr(None), RENEWAL, "t1"))

    assert new.serial_number != old.serial_number


def test_a_certificate_that_our_key_did_not_sign_renews_nothing(world: World) -> None:
    """Though it lies in the database, name and number and all: whoever may write there is not the CA."""
    forger = Authority(world.ca, rsa_key(3))
    device = Device()
    request = UnprovenRequest(device.csr(None), Deviations()).read(CryptoLevel.MODERN, Deviations())
    content = certificate_content(request, world.profile)
    forged = forger.sign_certificate(request, content, world.profile, "t0", NOW)
    world.store.transact(lambda repository: repository.add_certificate(forged))
    world.now = DUE

    outcome = _renew(world, _renewing(Certificate.load(forged.der)))

    assert isinstance(outcome, Failure)
    assert outcome.text == "the certificate that signed this renewal does not verify"


def test_a_renewed_certificate_renews_again(world: World) -> None:
    """Devices live longer than certificates."""
    old = _enrolled(world)
    world.now = DUE
    new = certificate_of(_renew(world, _renewing(old, key=1)))
    world.now = DUE + timedelta(days=340)

    newest = certificate_of(_renew(world, _renewing(new, key=1)))

    assert len({old.serial_number, new.serial_number, newest.serial_number}) == 3


@pytest.mark.proves("N-072", "R-2.4-g")
def test_a_renewal_by_the_self_signed_needs_a_challenge(world: World, device: Device) -> None:
    """RFC 8894 2.4: self-signed is no authentication, so type 17 is an ordinary enrolment (N-072)."""
    refused = ask(world, device, device.csr(None), RENEWAL)

    assert isinstance(refused, Failure)
    assert refused.fail_info is FailInfo.BAD_REQUEST
    assert world.issued() == []
    certificate_of(ask(world, device, device.csr(SECRET), RENEWAL))
    assert world.uses_left() == [0]


@pytest.mark.proves("N-073", "R-2.5-b")
@pytest.mark.parametrize("days", [0, 300, 334])
def test_a_renewal_too_early_is_refused(world: World, days: int) -> None:
    """Policy: from thirty days before the end on (N-073)."""
    old = _enrolled(world)
    world.now = NOW + timedelta(days=days)

    _assert_refused(world, _renew(world, _renewing(old)))


@pytest.mark.proves("R-2.5-b")
def test_a_profile_may_let_renew_at_any_time(world: World) -> None:
    """``renewal_days`` 0 is for fleets that rotate keys when they please."""
    world.profile = replace(world.profile, renewal_days=0)
    old = _enrolled(world)

    certificate_of(_renew(world, _renewing(old)))


@pytest.mark.proves("N-074", "S-16")
def test_a_key_of_another_subject_renews(world: World) -> None:
    """Devices are renamed and restored, and the CSR proves possession of the key (N-074)."""
    old = _enrolled(world)
    world.add_challenge("second")
    other = Device("ipad-18", rsa_key(2))
    certificate_of(world.enrol(other, other.csr("second"), "t9"))
    world.now = DUE

    new = certificate_of(_renew(world, _renewing(old, key=2)))

    assert new.spki == spki_of(other.key)
    assert new.subject_der == old.subject_der


@pytest.mark.proves("N-075")
@pytest.mark.parametrize("message_type", [RENEWAL, ENROLMENT])
@pytest.mark.parametrize("days", [-1, 366, 4000])
def test_a_certificate_out_of_date_renews_nothing(world: World, days: int, message_type: MessageType) -> None:
    """RFC 8894 2.3 speaks of a certificate that is valid (N-075)."""
    old = _enrolled(world)
    world.now = NOW + timedelta(days=days)

    _assert_refused(world, _renew(world, _renewing(old), message_type=message_type))


@pytest.mark.proves("N-075")
@pytest.mark.parametrize("message_type", [RENEWAL, ENROLMENT])
def test_a_revoked_certificate_renews_nothing(message_type: MessageType) -> None:
    """Whoever stole the key would renew himself out of the revocation (N-075)."""
    url = new_database(shared=True)
    world = World(url, uses=1)
    old = _enrolled(world)
    with looking_into(url) as database:
        database.execute(text("UPDATE certificate SET revoked_at = :at"), {"at": int(NOW.timestamp())})
    world.now = DUE

    _assert_refused(world, _renew(world, _renewing(old), message_type=message_type))
    world.store.close()


@pytest.mark.proves("L-06")
def test_an_expired_certificate_may_sign_an_ordinary_enrolment(world: World) -> None:
    """A device that slept too long comes back with a challenge, and signs with what it has."""
    old = _enrolled(world)
    world.add_challenge("again")
    world.now = NOW + timedelta(days=400)

    certificate_of(_renew(world, _renewing(old), challenge="again", message_type=ENROLMENT))


OTHER_NAMES: dict[str, tuple[str, tuple[x509.ExtensionType, ...]]] = {
    "another subject": ("ipad-18", (SAN,)),
    "no SAN": ("ipad-17", ()),
    "a SAN fewer": ("ipad-17", (x509.SubjectAlternativeName([x509.DNSName("a.example")]),)),
    "a SAN more": ("ipad-17", (x509.SubjectAlternativeName([*SAN, x509.DNSName("c.example")]),)),
    "another SAN": ("ipad-17", (x509.SubjectAlternativeName([x509.DNSName("boss.example")]),)),
}


@pytest.mark.proves("N-076")
@pytest.mark.parametrize("message_type", [RENEWAL, ENROLMENT])
@pytest.mark.parametrize(("common_name", "extensions"), OTHER_NAMES.values(), ids=OTHER_NAMES.keys())
def test_a_renewal_keeps_its_names(
    world: World, common_name: str, extensions: tuple[x509.ExtensionType, ...], message_type: MessageType
) -> None:
    """A certificate for one name authorises no other (RFC 8894 2.5, N-076)."""
    old = _enrolled(world, SAN)
    world.now = DUE
    device = _renewing(old, common_name=common_name)

    _assert_refused(world, _renew(world, device, *extensions, message_type=message_type))


def test_a_renewal_may_order_its_names_anew(world: World) -> None:
    """GeneralNames are a set to everybody who reads them."""
    old = _enrolled(world, SAN)
    world.now = DUE

    certificate_of(_renew(world, _renewing(old), x509.SubjectAlternativeName(list(SAN)[::-1])))


def test_a_certificate_of_another_profile_renews_nothing(world: World) -> None:
    """What a profile certifies is decided there; a renewal must not carry it over."""
    old = _enrolled(world)
    world.now = DUE
    world.profile = replace(world.profile, name="phones")

    _assert_refused(world, _renew(world, _renewing(old)))


@pytest.mark.proves("N-044", "S-12")
def test_a_renewal_over_sha1_is_refused(world: World) -> None:
    """RFC 8894 7.9 excuses SHA-1 by the challenge, which a renewal does not have (N-044)."""
    old = _enrolled(world)
    world.now = DUE
    device = replace(_renewing(old), digest=SHA1)

    _assert_refused(world, _renew(world, device), FailInfo.BAD_ALG)
    world.profile = replace(world.profile, crypto=CryptoLevel.LEGACY)
    certificate_of(_renew(world, device))


def _impostor(signer: Certificate, key: int = 6) -> Device:
    return Device("ipad-17", rsa_key(2), signer_key=rsa_key(key), signer=signer)


OCSP_SIGNING = x509.ExtendedKeyUsage([x509.OID_OCSP_SIGNING])
SUB_CA = x509.BasicConstraints(ca=True, path_length=0)
FORGED: dict[str, Forge] = {
    "N-071 of another CA": lambda _, __: _impostor(
        issue(name("Other CA"), rsa_key(7), "ipad-17", rsa_key(6))
    ),
    "N-071 of another CA of our name": lambda _, __: _impostor(
        issue(CA_NAME, rsa_key(7), "ipad-17", rsa_key(6))
    ),
    "N-072 self-signed": lambda _, __: _impostor(self_signed("ipad-17", rsa_key(6))),
    "N-072 self-signed in the CA's name": lambda _, __: _impostor(self_signed("Test CA", rsa_key(6))),
    "N-121 an OCSP responder of ours": lambda world, _: _impostor(
        issue(CA_NAME, world.key, "ipad-17", rsa_key(6), extensions=[OCSP_SIGNING])
    ),
    "N-121 a CA below us": lambda world, _: _impostor(
        issue(CA_NAME, world.key, "ipad-17", rsa_key(6), extensions=[SUB_CA])
    ),
    "N-121 the CA itself": lambda world, _: _impostor(world.ca, 0),
    "N-122 issuer and serial of the real one": lambda _, old: _impostor(
        issue(CA_NAME, rsa_key(6), "ipad-17", rsa_key(6), serial=old.serial_number)
    ),
    "N-122 self-signed with the real serial": lambda _, old: _impostor(
        issue(name("ipad-17"), rsa_key(6), "ipad-17", rsa_key(6), serial=old.serial_number)
    ),
}


@pytest.mark.proves("R-2.3-d")
@pytest.mark.parametrize("message_type", [RENEWAL, ENROLMENT])
@pytest.mark.parametrize("forge", cases(FORGED))
def test_a_certificate_that_we_did_not_give_a_client_renews_nothing(
    world: World, forge: Forge, message_type: MessageType
) -> None:
    """RFC 8894 2.3: the old certificate is compared whole, for names and numbers can be copied."""
    old = _enrolled(world)
    world.now = DUE

    _assert_refused(world, _renew(world, forge(world, old), message_type=message_type))


@pytest.mark.proves("N-122", "R-2.3-f")
def test_the_real_certificate_with_another_key_is_a_bad_signature(world: World) -> None:
    """It may be sent along by anybody; what counts is who signed (N-122)."""
    old = _enrolled(world)
    world.now = DUE

    _assert_refused(world, _renew(world, _impostor(old)), FailInfo.BAD_MESSAGE_CHECK)


@pytest.mark.proves("R-2.3-h")
def test_a_reply_to_a_renewal_opens_with_the_old_key(world: World) -> None:
    """RFC 8894 2.3: the reply is for the certificate that signed, not for the new key."""
    old = _enrolled(world)
    world.now = DUE
    device = _renewing(old, key=2)

    new = certificate_of(_renew(world, device))

    assert new.spki == spki_of(device.key) != old.spki
