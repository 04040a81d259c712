"""Polling: a transaction from its device's side, while a person takes his time and after it."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

import pytest

from ca.asn1 import writer
from ca.deviations import DeviationKind, Deviations
from ca.scep.messages import MessageType, Pending
from ca.x509.name import Name
from tests.databases import new_database
from tests.waiting import UNKNOWN, assert_rejected, by_hand, desk, names, poll, requests
from tests.world import NOW, Device, World, captured_log, certificate_of, rsa_key

pytestmark = pytest.mark.databases


@pytest.fixture
def world() -> Iterator[World]:
    """A CA where a person approves, with one challenge password of one use."""
    world = by_hand(World(uses=1))
    yield world
    world.store.close()


@pytest.mark.proves("R-2.4-h", "R-2.5-d")
def test_an_approved_request_is_issued_to_who_polls(world: World, device: Device) -> None:
    """RFC 8894 2.5: PENDING, then CertPoll until SUCCESS (R-2.5-d)."""
    world.enrol(device)
    waiting = poll(world, device)

    issued = desk(world).approve(1).certificate

    assert waiting == Pending()
    assert certificate_of(poll(world, device)).der == issued.der
    assert [one.status for one in requests(world)] == ["issued"]
    assert world.issued() == [issued]


@pytest.mark.proves("R-2.5-d", "R-5.2-b")
def test_polls_are_idempotent(world: World, device: Device) -> None:
    """R-2.5-d, R-5.2-b: each poll is answered alike, after the end too, and adds nothing."""
    world.enrol(device)
    before = [poll(world, device) for _ in range(3)]
    desk(world).approve(1)
    after = [poll(world, device) for _ in range(3)]

    assert before == [Pending()] * 3
    assert len({certificate_of(outcome).der for outcome in after}) == 1
    assert len(requests(world)) == 1


@pytest.mark.proves("R-3.2.1.5-b")
def test_each_reply_has_the_nonce_of_the_message_it_answers(world: World, device: Device) -> None:
    """RFC 8894 3.2.1.5: the poll's own nonce and not the request's (R-3.2.1.5-b)."""
    world.enrol(device)

    replies = [poll(world, device, nonce=bytes([number] * 16)) for number in (1, 2)]

    # Reading them checks the nonce.
    assert replies == [Pending(), Pending()]


@pytest.mark.proves("N-080")
def test_polling_by_the_same_request_works_as_well(world: World, device: Device) -> None:
    """Certmonger and scepclient poll by sending the PKCSReq again."""
    waiting = [world.enrol(device), world.enrol(device)]
    issued = desk(world).approve(1).certificate

    assert waiting == [Pending(), Pending()]
    assert certificate_of(world.enrol(device)).der == issued.der
    assert len(requests(world)) == 1


@pytest.mark.proves("N-077", "N-078", "R-4.4-b")
@pytest.mark.parametrize(
    ("polling", "transaction_id"),
    [(Device(), "t2"), (Device("ipad-17", rsa_key(2)), "t1")],
    ids=["another transactionID", "another key"],
)
def test_a_poll_for_another_transaction_is_told_nothing(
    world: World, device: Device, polling: Device, transaction_id: str
) -> None:
    """N-077, N-078: unknown and somebody else's are told alike, before and after the decision."""
    world.enrol(device)
    before = poll(world, polling, transaction_id)
    desk(world).approve(1)

    assert before == poll(world, polling, transaction_id) == UNKNOWN


@pytest.mark.proves("N-079")
def test_two_devices_may_use_one_transaction_id(device: Device) -> None:
    """N-079: each gets its own outcome."""
    world, other = by_hand(World()), Device("other", rsa_key(2))
    assert [world.enrol(device), world.enrol(other)] == [Pending(), Pending()]

    desk(world).approve(2)
    desk(world).reject(1, "no")

    assert_rejected(poll(world, device), "no")
    assert str(certificate_of(poll(world, other)).subject) == "CN=other"
    world.store.close()


@pytest.mark.proves("R-5.2-d")
def test_another_csr_under_a_waiting_transaction_is_refused(device: Device) -> None:
    """R-5.2-d: the request that waits stays what it is, and no challenge is spent on the other."""
    world = by_hand(World(uses=2))
    world.enrol(device)

    outcome = world.enrol(device, Device("renamed", device.key).csr())

    assert_rejected(outcome, "transactionID belongs to an earlier request")
    assert poll(world, device) == Pending()
    assert world.uses_left() == [1]
    world.store.close()


@pytest.mark.proves("R-4.4-c")
def test_two_requests_of_one_device_may_wait(device: Device) -> None:
    """RFC 8894 4.4: a client should not; it is told apart by the transactionID (R-4.4-c)."""
    world = by_hand(World())
    world.enrol(device)
    world.enrol(device, Device("second", device.key).csr(), "t2")

    desk(world).approve(2)

    assert poll(world, device) == Pending()
    assert str(certificate_of(poll(world, device, "t2")).subject) == "CN=second"
    world.store.close()


@pytest.mark.proves("R-5.2-a")
def test_the_same_csr_under_a_new_transaction_waits_once(world: World, device: Device) -> None:
    """RFC 8894 5.2: a client recovers by a new PKCSReq; both transactions get the one certificate."""
    outcomes = [world.enrol(device, transaction_id=one) for one in ("t1", "t2", "t2", "t1")]

    issued = desk(world).approve(1).certificate

    assert outcomes == [Pending()] * 4
    assert len(requests(world)) == 1
    assert {certificate_of(poll(world, device, one)).der for one in ("t1", "t2")} == {issued.der}


def test_a_rejection_reaches_every_transaction_of_the_request(world: World, device: Device) -> None:
    """RFC 8894 5.2: as above, with the other end."""
    for one in ("t1", "t2"):
        world.enrol(device, transaction_id=one)

    desk(world).reject(1, "no")

    for one in ("t1", "t2"):
        assert_rejected(poll(world, device, one), "no")


@pytest.mark.proves("S-03")
def test_a_copy_signed_anew_by_strangers_never_locks_the_device_out(world: World, device: Device) -> None:
    """S-03: who captured the message can be first, and often, and the device still gets its certificate."""
    payload = device.csr()
    strangers = Device(key=device.key, signer_key=rsa_key(2))
    outcomes = [world.enrol(strangers, payload, f"s{number}") for number in range(9)]

    rightful = world.enrol(device, payload)

    assert outcomes[:8] == [Pending()] * 8
    assert_rejected(outcomes[8], "transactionID")
    assert rightful == Pending()
    issued = desk(world).approve(1).certificate
    assert certificate_of(poll(world, device)).der == issued.der
    assert len(requests(world, "issued")) == 1


def test_a_device_has_so_many_transactions_and_no_more(world: World, device: Device) -> None:
    """Each is kept, so that there must be an end to them."""
    outcomes = [world.enrol(device, transaction_id=f"t{number}") for number in range(17)]

    assert outcomes[:16] == [Pending()] * 16
    assert_rejected(outcomes[16], "transactionID")


def test_a_rejected_transaction_is_free_for_another_csr(world: World, device: Device) -> None:
    """sscep, jscep and strongSwan make the transactionID from the key: they could never ask again."""
    world.enrol(device)
    desk(world).reject(1, "the name is wrong")
    renamed = Device("right", device.key)

    outcome = world.enrol(renamed)

    assert outcome == poll(world, renamed) == Pending()
    assert_rejected(world.enrol(device), "the name is wrong")
    issued = desk(world).approve(requests(world, "pending")[0].id).certificate
    assert certificate_of(poll(world, renamed)).der == issued.der


def test_a_transaction_that_timed_out_is_free_for_another_csr(device: Device) -> None:
    """As after a rejection."""
    world = by_hand(World())
    world.enrol(device)
    world.now = NOW + timedelta(days=8)

    assert world.enrol(device, Device("renamed", device.key).csr()) == Pending()
    world.store.close()


def test_a_poll_with_the_right_names_is_not_odd(world: World, device: Device) -> None:
    """RFC 8894 3.3.3: the CA's name and the subject's."""
    world.enrol(device)
    deviations = Deviations()

    poll(world, device, deviations=deviations)

    assert deviations.kinds() == []


def _payloads(world: World, device: Device) -> dict[str, bytes]:
    own = Name.from_text(f"CN={device.common_name}").der
    return {
        "its own name twice, as Apple's": writer.sequence(own, own),
        "another subject": writer.sequence(world.ca.subject_der, Name.from_text("CN=other").der),
        "the CSR": device.csr(),
        "a number": writer.integer(1),
        "nothing": b"",
        "noise": bytes(range(100)),
    }


@pytest.mark.proves("R-3.3.3-a", "R-3.3.3-b")
@pytest.mark.parametrize("which", list(_payloads(World(), Device())))
def test_a_poll_is_answered_whatever_it_names(world: World, device: Device, which: str) -> None:
    """RFC 8894 3.3.3 (R-3.3.3-a): driven by transactionID and key; the log knows that it was odd."""
    world.enrol(device)
    deviations = Deviations()

    with captured_log("ca.responder") as lines:
        outcome = poll(world, device, payload=_payloads(world, device)[which], deviations=deviations)

    assert outcome == Pending()
    assert deviations.kinds() == [DeviationKind.POLL_NAMES]
    assert "outcome=pending" in lines[0]
    assert "deviations=poll-names" in lines[0]


def test_a_poll_of_more_than_two_names_take_is_answered(world: World, device: Device) -> None:
    """Names are read for the log alone, and not those of whoever sends mebibytes of them."""
    world.enrol(device)

    assert poll(world, device, payload=writer.sequence(bytes(20_000))) == Pending()


@pytest.mark.proves("R-3.3.3-b")
def test_a_poll_that_cannot_be_opened_is_answered(world: World, device: Device) -> None:
    """RFC 8894 3.3.3 (R-3.3.3-b): an envelope for somebody else, as after the CA's certificate changed."""
    world.enrol(device)
    deviations = Deviations()
    message = device.message(device.certificate(), names(world, device), message_type=MessageType.CERT_POLL)

    outcome = device.read(world.respond(message, deviations), world.ca)

    assert outcome == Pending()
    assert DeviationKind.POLL_NAMES in deviations.kinds()


def test_a_profile_that_became_automatic_leaves_what_waits(world: World, device: Device) -> None:
    """Section 8: a request that waits is decided on by the person it was put before."""
    world.enrol(device)
    world.profile = replace(world.profile, manual_approval=False)

    assert world.enrol(device) == Pending()
    assert world.issued() == []


@pytest.mark.proves("R-5.2-b")
def test_a_waiting_request_survives_a_restart(device: Device) -> None:
    """Section 8: it is on the disk before PENDING leaves."""
    url = new_database(shared=True)
    first = by_hand(World(url, uses=1))
    first.enrol(device)
    first.store.close()

    second = by_hand(World(url, uses=1))

    assert poll(second, device) == Pending()
    issued = desk(second).approve(1).certificate
    assert certificate_of(poll(second, device)).der == issued.der
    second.store.close()
