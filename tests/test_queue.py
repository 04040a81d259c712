"""The queue under strangers' hands: it fills neither the disk nor anybody else's place."""

from collections.abc import Iterator
from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from app.store import engine, repository
from ca.asn1 import writer
from ca.deviations import Deviations
from ca.errors import FailInfo
from ca.policy.queue import Queue
from ca.ports import Peer
from ca.scep.messages import Failure, Outcome, Pending, Success
from tests.forging_csr import attribute, csr, subject
from tests.waiting import by_hand, desk, poll, requests
from tests.world import NOW, PEER, Device, World, certificate_of, rsa_key

pytestmark = pytest.mark.databases

SMALL = Queue(per_profile=5, per_peer=3)


@pytest.fixture
def world() -> Iterator[World]:
    """A CA where anybody may ask and a person approves, with a queue of five places."""
    world = by_hand(World(), challenge=False, queue=SMALL)
    yield world
    world.store.close()


def _ask(world: World, number: int, remote: str = PEER.remote) -> bytes:
    """Ask for somebody new, from an address."""
    payload = csr(key=ec.generate_private_key(ec.SECP256R1()), subject_der=subject(f"phone-{number}"))
    message = Device().message(world.ca, payload, transaction_id=f"t{number}")
    return world.responder.respond(message, world.profile, Peer(remote), Deviations())


def _read(world: World, reply: bytes, number: int) -> Outcome:
    return Device().read(reply, world.ca, f"t{number}")


def _assert_full(outcome: Outcome) -> None:
    assert outcome == Failure(FailInfo.BAD_REQUEST, "too many requests wait for approval; try again later")


def test_one_peer_has_so_many_places_and_no_more(world: World) -> None:
    """A flood from one address leaves room for the others."""
    outcomes = [_read(world, _ask(world, number), number) for number in range(5)]
    other = _read(world, _ask(world, 9, "192.0.2.8"), 9)

    assert outcomes[:3] == [Pending()] * 3
    _assert_full(outcomes[3])
    _assert_full(outcomes[4])
    assert other == Pending()


ONE_HOLDER = {
    "a /64": ["2001:db8:0:1::1", "2001:db8:0:1::2", "2001:0DB8:0:1:ffff::", "2001:db8:0:1:1:2:3:4"],
    "IPv4 in IPv6": ["::ffff:192.0.2.9", "192.0.2.9", "::ffff:c000:209", "192.0.2.9"],
    "a link": ["fe80::1%eth0", "fe80::2%eth0", "fe80::3", "fe80::4"],
    "no address": ["unknown"] * 4,
}


@pytest.mark.parametrize("addresses", ONE_HOLDER.values(), ids=ONE_HOLDER.keys())
def test_who_has_many_addresses_has_the_places_of_one(world: World, addresses: list[str]) -> None:
    """Whoever has one address of IPv6 has 2**64 of them; the neighbour's are others."""
    outcomes = [_read(world, _ask(world, number, remote), number) for number, remote in enumerate(addresses)]
    other = _read(world, _ask(world, 9, "2001:db8:0:2::1"), 9)

    assert outcomes[:3] == [Pending()] * 3
    _assert_full(outcomes[3])
    assert other == Pending()


@pytest.mark.proves("N-115")
def test_a_full_queue_refuses_the_newcomer_and_keeps_the_rest(world: World, device: Device) -> None:
    """RFC 8894 2.4: who came first is not pushed out by who came often."""
    first = world.enrol(device, device.csr(None), "first")
    for number in range(40):
        _ask(world, number, f"198.51.100.{number}")

    late = _read(world, _ask(world, 99, "203.0.113.1"), 99)

    assert first == Pending()
    _assert_full(late)
    assert len(requests(world, "pending")) == 5
    assert requests(world, "pending")[0].record.transaction_id == "first"
    issued = desk(world).approve(1).certificate
    assert certificate_of(poll(world, device, "first")).der == issued.der


def test_a_decision_makes_room(world: World) -> None:
    """One place is free again."""
    for number in range(3):
        _ask(world, number)
    _assert_full(_read(world, _ask(world, 3), 3))

    desk(world).reject(1, "no")

    assert _read(world, _ask(world, 4), 4) == Pending()


def test_time_makes_room(world: World) -> None:
    """What nobody decides on does not block the queue for ever."""
    for number in range(3):
        _ask(world, number)
    world.now = NOW + SMALL.patience

    assert _read(world, _ask(world, 4), 4) == Pending()


def test_polls_take_no_room(world: World, device: Device) -> None:
    """Who waits may ask as often as he likes, a full queue or not."""
    by_hand(world, challenge=False, queue=replace(SMALL, per_profile=1))

    outcomes = [world.enrol(device, device.csr(None)) for _ in range(5)]

    assert [*outcomes, poll(world, device)] == [Pending()] * 6


def test_a_full_queue_burns_no_challenge() -> None:
    """The password is good for when there is room."""
    world = by_hand(World(uses=2), queue=Queue(per_profile=1))
    world.enrol(Device())
    other = Device("other", rsa_key(2))

    _assert_full(world.enrol(other, transaction_id="t2"))

    assert world.uses_left() == [1]
    world.store.close()


def test_each_profile_has_a_queue_of_its_own(world: World) -> None:
    """One that anybody may ask at must not close one that needs a password."""
    for number in range(5):
        _ask(world, number, f"198.51.100.{number}")
    world.profile = replace(world.profile, name="staff")

    assert _read(world, _ask(world, 9), 9) == Pending()


def test_a_request_that_is_too_large_is_not_kept(world: World, device: Device) -> None:
    """A thousand places of 256 KiB each would be a full disk."""
    large = csr(*(_note(number) for number in range(20)))

    outcome = world.enrol(device, large)

    assert outcome == Failure(FailInfo.BAD_REQUEST, "the request is too large to be kept for approval")
    assert requests(world, "pending") == []


def _note(number: int) -> bytes:
    return attribute(f"1.3.6.1.4.1.99999.{number}", writer.utf8_string("x" * 2000))


@pytest.mark.proves("N-115")
def test_refusals_push_out_neither_what_waits_nor_what_a_person_said(
    world: World, device: Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Anybody may cause refusals, of which only the newest are kept."""
    monkeypatch.setattr(repository, "MAX_REFUSALS", 5)
    monkeypatch.setattr(repository, "PRUNE_EVERY", 5)
    other = Device("other", rsa_key(2))
    world.enrol(device, device.csr(None))
    world.enrol(other, other.csr(None), "t2")
    desk(world).reject(1, "not ours")

    for number in range(40):
        poll(world, Device("stranger", rsa_key(3)), f"unknown-{number}")

    assert poll(world, device) == Failure(FailInfo.BAD_REQUEST, "not ours")
    assert poll(world, other, "t2") == Pending()
    assert len(requests(world, "refused")) < 20


def test_a_device_that_asks_on_and_on_after_a_rejection_fills_nothing(world: World, device: Device) -> None:
    """The rejection is on record once."""
    world.enrol(device, device.csr(None))
    desk(world).reject(1, "no")

    for _ in range(5):
        poll(world, device)
        world.enrol(device, device.csr(None))

    assert len(requests(world)) == 1


def _statements(world: World, device: Device, transaction_id: str) -> list[str]:
    """What goes to the database for one enrolment, transaction control left out."""
    seen: list[str] = []
    connection = world.store._connection
    assert connection is not None
    engine.driver_connection(connection).set_trace_callback(seen.append)
    assert isinstance(world.enrol(device, transaction_id=transaction_id), Success)
    engine.driver_connection(connection).set_trace_callback(None)
    # SQLite tells of one that it has to prepare anew once more.
    words = [one.split()[0] for one in dict.fromkeys(seen)]
    return [word for word in words if word in ("SELECT", "INSERT", "UPDATE", "DELETE")]


@pytest.mark.databases("sqlite")
def test_automatic_approval_costs_no_statement(device: Device) -> None:
    """Who does not use the queue does not pay for it: five statements, and the audit log's two."""
    world = World()

    own, log = ["SELECT", "SELECT", "SELECT", "INSERT", "INSERT"], ["SELECT", "INSERT"]
    assert _statements(world, device, "t1") == own + log
    world.store.close()
