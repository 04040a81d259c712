"""Many devices at once on one database, from threads and from two openings of it."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from itertools import cycle
from threading import Barrier
from typing import TypeVar

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from app.store import SqlStore, open_store
from ca.deviations import Deviations
from ca.errors import FailInfo
from ca.pkcs7 import SignedData
from ca.ports import Repository
from ca.responder import Responder
from ca.scep import codec, oids
from ca.scep.messages import Failure, MessageType, Outcome, Success, Transaction
from tests.databases import new_database
from tests.forging_csr import challenge, csr, spki_of, subject
from tests.waiting import requests
from tests.watching import StoreBefore
from tests.world import NONCE, NOW, PEER, SECRET, Device, World, certificate_of, rsa_key

T = TypeVar("T")
pytestmark = pytest.mark.databases
THREADS = 50


@pytest.fixture
def url() -> str:
    """A database that can be opened twice."""
    return new_database(shared=True)


@pytest.fixture
def world(url: str) -> Iterator[World]:
    """A CA with one challenge password of one use."""
    world = World(url, uses=1)
    yield world
    world.store.close()


@pytest.fixture
def twins(world: World, url: str) -> Iterator[list[Responder]]:
    """The responder twice, each over an opening of the database that knows nothing of the other."""
    second = open_store(url)
    yield [world.responder, replace(world.responder, store=second)]
    second.close()


def _respond_at_once(
    world: World, messages: Sequence[bytes], responders: Sequence[Responder] = ()
) -> list[bytes]:
    """Answer all messages in parallel, by the responders in turn."""
    barrier = Barrier(len(messages))

    def respond(responder: Responder, message: bytes) -> bytes:
        barrier.wait()
        return responder.respond(message, world.profile, PEER, Deviations())

    with ThreadPoolExecutor(len(messages)) as pool:
        return list(pool.map(respond, cycle(responders or [world.responder]), messages))


def _rivals(world: World) -> tuple[list[bytes], list[bytes]]:
    """Messages with one challenge password, each for a key and a name of its own, and the keys."""
    device, messages, spkis = Device(), [], []
    for number in range(THREADS):
        key = ec.generate_private_key(ec.SECP256R1())
        payload = csr(challenge(SECRET), key=key, subject_der=subject(f"phone-{number}"))
        messages.append(device.message(world.ca, payload, transaction_id=f"t{number}"))
        spkis.append(spki_of(key))
    return messages, spkis


def _read_rivals(world: World, replies: list[bytes], spkis: list[bytes]) -> list[Outcome]:
    device = Device()
    return [
        codec.decode_cert_rep(
            reply,
            codec.Expectation(Transaction(f"t{number}", NONCE), (world.ca,), spki),
            device.certificate(),
            device.key,
            Deviations(),
        )
        for number, (reply, spki) in enumerate(zip(replies, spkis, strict=True))
    ]


def _assert_one_won(world: World, outcomes: list[Outcome]) -> None:
    refused = [outcome for outcome in outcomes if isinstance(outcome, Failure)]
    assert len(refused) == THREADS - 1
    assert {outcome.fail_info for outcome in refused} == {FailInfo.BAD_REQUEST}
    assert len(world.issued()) == 1
    assert world.uses_left() == [0]


@pytest.mark.proves("N-114", "R-2.4-b")
def test_one_challenge_gives_one_certificate(world: World) -> None:
    """RFC 8894 7.3: single use holds when fifty devices present it at once (N-114)."""
    messages, spkis = _rivals(world)

    outcomes = _read_rivals(world, _respond_at_once(world, messages), spkis)

    _assert_one_won(world, outcomes)


@pytest.mark.proves("N-114", "R-2.4-b")
def test_one_challenge_gives_one_certificate_from_two_processes(world: World, twins: list[Responder]) -> None:
    """The database decides, and not a lock that only one process has (N-114)."""
    messages, spkis = _rivals(world)

    outcomes = _read_rivals(world, _respond_at_once(world, messages, twins), spkis)

    _assert_one_won(world, outcomes)


@pytest.mark.proves("N-080")
def test_a_request_sent_fifty_times_at_once_gets_one_certificate(world: World, device: Device) -> None:
    """RFC 8894 7.4: repeats overtake each other when a device is impatient."""
    message = device.message(world.ca)

    replies = _respond_at_once(world, [message] * THREADS)

    certificates = {certificate_of(device.read(reply, world.ca)).der for reply in replies}
    assert certificates == {one.der for one in world.issued()}
    assert len(certificates) == 1
    assert world.uses_left() == [0]


def test_a_request_sent_to_two_processes_gets_one_certificate(
    world: World, twins: list[Responder], device: Device
) -> None:
    """Behind a load balancer the repeat reaches another process than the first."""
    message = device.message(world.ca)

    replies = _respond_at_once(world, [message] * THREADS, twins)

    assert len({certificate_of(device.read(reply, world.ca)).der for reply in replies}) == 1
    assert len(world.issued()) == 1


@pytest.mark.proves("N-081")
def test_a_renewal_sent_fifty_times_at_once_gets_one_certificate(
    world: World, twins: list[Responder], device: Device
) -> None:
    """A renewal spends no challenge that could decide the race (N-081)."""
    old = certificate_of(world.enrol(device))
    world.now = old.not_valid_after.replace(microsecond=0) - (old.not_valid_after - NOW) / 30
    renewing = Device(key=rsa_key(2), signer_key=device.key, signer=old)
    message = renewing.message(
        world.ca, renewing.csr(None), message_type=MessageType.RENEWAL_REQ, transaction_id="t2"
    )

    replies = _respond_at_once(world, [message] * THREADS, twins)

    outcomes = [renewing.read(reply, world.ca, "t2") for reply in replies]
    assert len({certificate_of(outcome).der for outcome in outcomes}) == 1
    assert len(world.issued()) == 2


def test_a_challenge_of_ten_uses_gives_ten_certificates(world: World, twins: list[Responder]) -> None:
    """No use is lost and none is given twice."""
    world.add_challenge("ten", uses=10)
    device = Device()
    keys = [ec.generate_private_key(ec.SECP256R1()) for _ in range(THREADS)]
    messages = [
        device.message(world.ca, csr(challenge("ten"), key=key), transaction_id=f"t{number}")
        for number, key in enumerate(keys)
    ]

    replies = _respond_at_once(world, messages, twins)

    outcomes = _read_rivals(world, replies, [spki_of(key) for key in keys])
    assert sum(isinstance(outcome, Success) for outcome in outcomes) == 10
    assert len(world.issued()) == 10
    assert world.uses_left() == [1, 0]


@pytest.mark.proves("R-3.2.1.5-a")
def test_every_reply_in_a_crowd_has_its_own_nonce(world: World, device: Device) -> None:
    """RFC 8894 3.2.1.5: a senderNonce is fresh, also for replies of the same moment."""
    replies = _respond_at_once(world, [device.message(world.ca)] * THREADS)

    nonces = {SignedData.load(reply).attributes[oids.SENDER_NONCE][0].octets() for reply in replies}
    assert len(nonces) == THREADS
    assert all(len(nonce) == 16 for nonce in nonces)


class _Undone(StoreBefore):
    """A store whose first attempt at each work is undone, and *meanwhile* happens before the second."""

    def __init__(self, store: SqlStore, meanwhile: Callable[[], object]) -> None:
        super().__init__(store)
        self._meanwhile = meanwhile

    def transact(self, work: Callable[[Repository], T]) -> T:
        def undo(repository: Repository) -> None:
            work(repository)
            raise _Undo

        with suppress(_Undo):
            self._store.transact(undo)
        self._meanwhile()
        return self._store.transact(work)


class _Undo(Exception):
    """What undoes a transaction."""


def test_of_an_attempt_that_was_undone_nothing_is_told(world: World, twins: list[Responder]) -> None:
    """A server that has to begin anew, because another was faster, may come to another end."""
    device, rival = Device(), Device("rival", rsa_key(2))
    theirs = rival.message(world.ca, transaction_id="t2")
    taken = [lambda: twins[1].respond(theirs, world.profile, PEER, Deviations())]
    store = _Undone(world.store, lambda: taken.pop()() if taken else None)
    world.responder = replace(world.responder, store=store)

    outcome = world.enrol(device)

    assert outcome == Failure(FailInfo.BAD_REQUEST, "challenge password not accepted")
    assert [one.subject for one in world.issued()] == ["CN=rival"]
    refused = next(one.record for one in requests(world) if one.record.transaction_id == "t1")
    assert (refused.status, refused.serial, refused.challenge_id) == ("refused", None, None)
