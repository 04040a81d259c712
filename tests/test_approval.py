"""Approval by hand: what waits, what a person decides, and what becomes of it."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

import pytest
from cryptography import x509
from sqlalchemy import text

from ca.algorithms.digests import SHA1
from ca.algorithms.levels import CryptoLevel
from ca.errors import DecisionImpossible, FailInfo
from ca.issuing.addresses import StatusAddresses
from ca.issuing.authority import Authority
from ca.issuing.root import make_ca_certificate
from ca.pkcs7 import SignedData
from ca.policy.queue import Queue
from ca.scep import oids
from ca.scep.messages import Failure, MessageType, Pending, Success
from ca.x509.certificate import Certificate
from ca.x509.name import Name
from tests.databases import looking_into, new_database
from tests.forging_csr import ask, challenge, csr
from tests.waiting import UNKNOWN, assert_rejected, by_hand, desk, poll, requests
from tests.world import NOW, SECRET, Device, World, certificate_of, rsa_key

pytestmark = pytest.mark.databases


@pytest.fixture
def world() -> Iterator[World]:
    """A CA where a person approves, with one challenge password of one use."""
    world = by_hand(World(uses=1))
    yield world
    world.store.close()


@pytest.mark.proves("R-2.4-h")
def test_a_request_waits_for_a_person(world: World, device: Device) -> None:
    """RFC 8894 2.4, 3.3.2.3: PENDING, and nothing is issued (R-2.4-h)."""
    outcome = world.enrol(device)

    (queued,) = requests(world, "pending")
    assert outcome == Pending()
    assert (queued.record.subject, queued.record.transaction_id) == ("CN=ipad-17", "t1")
    assert world.issued() == []


@pytest.mark.proves("R-3.3.2.3-a")
@pytest.mark.parametrize("empty", [True, False])
def test_pending_has_neither_fail_info_nor_envelope(world: World, device: Device, empty: bool) -> None:
    """RFC 8894 3.3.2.3 (R-3.3.2.3-a); its absence is written as for FAILURE, by the profile."""
    world.profile = replace(world.profile, empty_content=empty)

    signed = SignedData.load(world.respond(device.message(world.ca)))

    assert signed.attributes[oids.PKI_STATUS][0].content == b"3"
    assert oids.FAIL_INFO not in signed.attributes
    assert signed.data == b""
    assert signed.content == (b"" if empty else None)


@pytest.mark.proves("N-082")
def test_a_rejected_device_hears_the_reason(world: World, device: Device) -> None:
    """N-082: to a poll and to the same request again, badRequest with the operator's words."""
    world.enrol(device)

    desk(world).reject(1, " not one of ours ")

    refusal = Failure(FailInfo.BAD_REQUEST, "not one of ours")
    assert [poll(world, device), world.enrol(device), poll(world, device)] == [refusal] * 3
    (queued,) = requests(world, "refused")
    assert (queued.record.fail_info, queued.record.reason) == ("badRequest", "not one of ours")
    assert world.issued() == []


@pytest.mark.parametrize("own", ["", "http://of.the.settings"])
def test_the_certificate_says_where_its_status_is_told(world: World, device: Device, own: str) -> None:
    """RFC 5280 4.2.1.13: the server knew by --base-url; the settings of who approves go before it."""

    def knowing(url: str) -> Authority:
        known = StatusAddresses(f"{url}/ocsp", f"{url}/ca.cer", f"{url}/crl") if url else None
        return Authority(world.ca, world.key, known)

    world.responder = replace(world.responder, authority=knowing("http://of.the.server"))
    world.enrol(device)

    replace(desk(world), authority=knowing(own)).approve(1)

    extensions = x509.load_der_x509_certificate(certificate_of(poll(world, device)).der).extensions
    (point,) = extensions.get_extension_for_class(x509.CRLDistributionPoints).value
    assert point.full_name == [x509.UniformResourceIdentifier(f"{own or 'http://of.the.server'}/crl")]
    assert len(extensions.get_extension_for_class(x509.AuthorityInformationAccess).value) == 2


def test_a_challenge_is_spent_when_the_request_begins_to_wait(world: World, device: Device) -> None:
    """RFC 8894 7.3: nobody else can use it meanwhile, and asking again costs nothing."""
    world.enrol(device)
    again = world.enrol(device)
    other = Device("other", rsa_key(2))

    assert again == Pending()
    assert world.uses_left() == [0]
    assert_rejected(world.enrol(other, transaction_id="t2"), "challenge password not accepted")


def test_a_rejection_does_not_burn_the_challenge(world: World, device: Device) -> None:
    """Nothing was issued for it: a mistake in the request is mended without a new password."""
    world.enrol(device)

    restored = desk(world).reject(1, "the name is wrong")

    assert restored == 1
    assert world.uses_left() == [1]
    assert world.enrol(Device("right", device.key), transaction_id="t1") == Pending()


def test_a_rejection_gives_back_nothing_that_was_revoked(world: World, device: Device) -> None:
    """What it spent is gone, and the uses of the next one are its own."""
    world.enrol(device)
    world.store.transact(lambda repository: repository.revoke_challenge(1))
    number = world.add_challenge("another", uses=1)

    restored = desk(world).reject(1, "no")

    assert (number, restored) == (2, None)
    assert world.uses_left() == [1]


def test_a_rejection_gives_an_unlimited_challenge_no_more(device: Device) -> None:
    """There is nothing to give back."""
    world = by_hand(World())
    world.enrol(device)

    assert desk(world).reject(1, "no") is None
    assert world.uses_left() == [None]
    world.store.close()


@pytest.mark.proves("R-2.4-i")
def test_a_wrong_challenge_never_waits(world: World, device: Device) -> None:
    """R-2.4-i: what is not authorised is refused and not queued, and a request that waits stays."""
    world.enrol(device)

    outcome = world.enrol(Device("other", rsa_key(2)), Device("other", rsa_key(2)).csr("wrong"), "t2")

    assert_rejected(outcome, "challenge password not accepted")
    assert len(requests(world, "pending")) == 1
    assert poll(world, device) == Pending()


@pytest.mark.proves("R-2.4-h")
def test_without_challenges_everything_waits(world: World, device: Device) -> None:
    """R-2.4-c, N-055: the person is all that authorises, and the request says so."""
    by_hand(world, challenge=False)

    outcome = world.enrol(device, device.csr(None))

    (queued,) = requests(world, "pending")
    assert outcome == Pending()
    assert queued.record.challenge_id is None
    assert world.uses_left() == [1]


@pytest.mark.proves("R-2.4-g")
def test_a_self_signed_copy_of_a_client_waits_like_anybody(world: World, device: Device) -> None:
    """N-054: a self-signed certificate authenticates nobody (RFC 8894 2.4, R-2.4-g)."""
    by_hand(world, challenge=False)

    assert world.enrol(device, device.csr(None)) == Pending()
    assert ask(world, device, device.csr(None), MessageType.RENEWAL_REQ, "t2") == Pending()


def test_a_request_nobody_decides_on_times_out(world: World, device: Device) -> None:
    """Section 8: after its time it is refused, and after another it is gone and may be made anew."""
    world.enrol(device)
    world.now = NOW + timedelta(days=7)
    late = [poll(world, device), world.enrol(device)]
    listed = [one.record.reason for one in requests(world, "refused")]
    world.now = NOW + timedelta(days=14)

    for outcome in late:
        assert_rejected(outcome, "timed out")
    assert listed == ["timed out: nobody approved the request; make a new one"]
    assert poll(world, device) == UNKNOWN
    world.add_challenge("second")
    assert world.enrol(device, device.csr("second")) == Pending()
    assert [one.status for one in requests(world)][:1] == ["refused"]


@pytest.mark.proves("N-082")
def test_a_rejection_is_forgotten_in_time(device: Device) -> None:
    """Section 8, N-082: rejected, and after the retention gone."""
    world = by_hand(World())
    world.enrol(device)
    desk(world).reject(1, "no")
    world.now = NOW + timedelta(days=7)

    gone = poll(world, device)

    assert gone == UNKNOWN
    assert world.enrol(device) == Pending()
    # The poll that found nothing is history as well.
    assert [one.status for one in requests(world)] == ["refused", "refused", "pending"]
    world.store.close()


def test_what_was_forgotten_leaves_only_history(device: Device) -> None:
    """The CSR and its keys go, the lines that say what happened stay."""
    url = new_database(shared=True)
    world = by_hand(World(url))
    other = Device("other", rsa_key(2))
    world.enrol(device)
    world.enrol(device, transaction_id="again")
    world.enrol(other, transaction_id="t2")
    desk(world).approve(3)
    world.now = NOW + timedelta(days=30)
    world.enrol(Device("third", rsa_key(3)), transaction_id="t3")

    late = world.store.transact(lambda repository: repository.find_request(1, world.now))
    done = world.store.transact(lambda repository: repository.find_request(3, world.now))

    assert late is not None
    assert done is not None
    assert (late.status, late.content, done.status, done.content) == ("refused", None, "issued", None)
    assert isinstance(poll(world, other, "t2"), Success)
    with looking_into(url) as database:
        # The one that came last.
        assert database.scalar(text("SELECT count(*) FROM held")) == 1
    world.store.close()


def test_what_is_decided_stays_decided(world: World, device: Device) -> None:
    """The UPDATE itself refuses, whatever was read before it: of two processes one wins."""
    world.enrol(device)
    issued = desk(world).approve(1).certificate

    with pytest.raises(DecisionImpossible, match="decided already"):
        world.store.transact(lambda repository: repository.settle_refused(1, "no", NOW, NOW))

    assert certificate_of(poll(world, device)).der == issued.der


@pytest.mark.parametrize(
    ("decided", "why"),
    [("approve", "was issued already: certificate "), ("reject", "was refused already: no;")],
)
def test_a_decision_is_taken_once(world: World, device: Device, decided: str, why: str) -> None:
    """Section 8: only what is pending is approved or denied."""
    world.enrol(device)
    _ = desk(world).approve(1) if decided == "approve" else desk(world).reject(1, "no")

    with pytest.raises(DecisionImpossible, match=why):
        desk(world).approve(1)
    with pytest.raises(DecisionImpossible, match=why):
        desk(world).reject(1, "changed my mind")

    assert len(world.issued()) == (decided == "approve")


def test_what_timed_out_cannot_be_approved(world: World, device: Device) -> None:
    """The device was told so already, and may have asked elsewhere."""
    world.enrol(device)
    world.now = NOW + timedelta(days=7)

    with pytest.raises(DecisionImpossible, match="timed out"):
        desk(world).approve(1)


@pytest.mark.parametrize("number", [2, 3, 2**62])
def test_an_unknown_request_cannot_be_decided_on(world: World, device: Device, number: int) -> None:
    """Neither one that never was, nor the second name of another."""
    world.enrol(device)
    world.enrol(device, transaction_id="t2")

    with pytest.raises(DecisionImpossible, match="is not known"):
        desk(world).approve(number)


def test_what_never_waited_cannot_be_decided_on(device: Device) -> None:
    """It was refused at once, or issued."""
    world = World()
    world.enrol(device, device.csr("wrong"))

    with pytest.raises(DecisionImpossible, match="refused already: challenge password not accepted"):
        desk(world).reject(1, "no")
    world.store.close()


@pytest.mark.parametrize("reason", ["", "  ", "x" * 201, "two\nlines", "\x1b[2Jcleared", "zero\x00"])
def test_a_reason_is_one_line_of_text(world: World, device: Device, reason: str) -> None:
    """RFC 8894 3.2.1.4: a device shows it to people."""
    world.enrol(device)

    with pytest.raises(ValueError, match="printable"):
        desk(world).reject(1, reason)

    assert poll(world, device) == Pending()


def test_a_reason_may_be_in_any_language(world: World, device: Device) -> None:
    """RFC 8894 3.2.1.4: failInfoText is a UTF8String."""
    world.enrol(device)

    desk(world).reject(1, "Gerät unbekannt: не наш")

    assert_rejected(poll(world, device), "Gerät unbekannt: не наш")


def test_validity_begins_at_the_approval(world: World, device: Device) -> None:
    """A device that waited for six days does not lose them."""
    world.enrol(device)
    world.now = NOW + timedelta(days=6)

    issued = desk(world).approve(1).certificate

    assert issued.not_after == world.now + timedelta(days=365)


def test_a_profile_that_is_gone_approves_nothing(world: World, device: Device) -> None:
    """The settings of the day of the approval count; the request goes on waiting, to be rejected."""
    world.enrol(device)

    with pytest.raises(DecisionImpossible, match="profile default, which is not in the settings"):
        replace(desk(world), profiles={}).approve(1)

    assert poll(world, device) == Pending()


def test_a_ca_that_has_expired_approves_nothing(world: World, device: Device) -> None:
    """What would be refused at issuance is refused at approval, and said."""
    world.now = world.ca.not_valid_after - timedelta(days=1)
    world.enrol(device)
    world.now = world.ca.not_valid_after

    with pytest.raises(DecisionImpossible, match="only rejected: this CA's own certificate has expired"):
        desk(world).approve(1)

    assert [one.status for one in requests(world)] == ["pending"]


def _renewal_waits(world: World, device: Device, *extensions: x509.ExtensionType) -> Device:
    """Enrol, and then ask for a renewal that waits as request 2."""
    world.profile = replace(world.profile, manual_approval=False)
    old = certificate_of(world.enrol(device))
    by_hand(world)
    world.now = NOW + timedelta(days=340)
    renewing = Device(key=rsa_key(2), signer_key=device.key, signer=old)
    assert ask(world, renewing, renewing.csr(None, *extensions), MessageType.RENEWAL_REQ, "t1") == Pending()
    return renewing


def test_a_renewal_waits_too(world: World, device: Device) -> None:
    """Under the transactionID of old, as certmonger does: a poll is answered for the newest."""
    renewing = _renewal_waits(world, device)
    waiting = poll(world, renewing)

    issued = desk(world).approve(2).certificate

    assert waiting == Pending()
    assert issued.renewed_from == world.issued()[0].serial
    assert certificate_of(poll(world, renewing)).der == issued.der


def test_a_renewal_whose_certificate_was_revoked_meanwhile_is_refused(device: Device) -> None:
    """RFC 8894 2.3: at approval as at issuance, and nothing is issued."""
    url = new_database(shared=True)
    world = World(url)
    renewing = _renewal_waits(world, device)
    with looking_into(url) as database:
        database.execute(text("UPDATE certificate SET revoked_at = :at"), {"at": int(NOW.timestamp())})

    with pytest.raises(DecisionImpossible, match=r"only rejected: the certificate .* is revoked"):
        desk(world).approve(2)

    assert len(world.issued()) == 1
    assert poll(world, renewing) == Pending()
    world.store.close()


def test_a_renewal_asked_for_in_time_may_be_approved_late(world: World, device: Device) -> None:
    """The device did its part while the old certificate was good; a person took a month."""
    world.responder = replace(world.responder, queue=Queue(patience=timedelta(days=90)))
    renewing = _renewal_waits(world, device)
    world.now = NOW + timedelta(days=370)

    issued = desk(world).approve(2).certificate

    assert issued.not_before < world.now < issued.not_after
    assert renewing.key is not device.key


def test_a_renewal_of_another_ca_is_refused_at_approval(world: World, device: Device) -> None:
    """The CA was exchanged while the request waited."""
    _renewal_waits(world, device)
    other = Certificate.load(make_ca_certificate(Name.from_text("CN=Other CA"), rsa_key(0), 10, NOW))

    with pytest.raises(DecisionImpossible, match="not of this CA"):
        replace(desk(world), authority=Authority(other, rsa_key(0))).approve(2)


def test_what_the_profile_accepts_no_more_is_refused_at_approval(world: World, device: Device) -> None:
    """The crypto level was raised while the request waited."""
    assert world.enrol(device, csr(challenge(SECRET), digest=SHA1)) == Pending()
    world.profile = replace(world.profile, crypto=CryptoLevel.MODERN)

    with pytest.raises(DecisionImpossible, match="only rejected"):
        desk(world).approve(1)


def test_automatic_approval_never_waits(device: Device) -> None:
    """The default."""
    world = World()

    assert isinstance(world.enrol(device), Success)
    assert requests(world, "pending") == []
    world.store.close()
