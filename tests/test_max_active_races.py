"""How many certificates a subject may have in force, when many devices ask at once."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from threading import Barrier
from urllib.request import Request, urlopen

import pytest
from cryptography import x509

from app.store import open_store
from ca.deviations import Deviations
from ca.errors import DecisionImpossible
from ca.responder import Responder
from ca.scep import codec
from ca.scep.messages import Failure, Outcome, Pending, Success, Transaction
from ca.x509.certificate import Certificate
from tests.command_line import Service, did, serving
from tests.counting import FULL, in_force, most, new_key, on_crl, serials
from tests.forging_csr import Key, spki_of
from tests.policing import ask_for, assert_no, govern, request
from tests.waiting import desk
from tests.world import NONCE, PEER, SECRET, Device, World

THREADS = 40


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """A CA in a file, with a challenge password without limit."""
    world = World(f"sqlite:///{tmp_path}/scepbox.db")
    yield world
    world.store.close()


def _enrol(world: World, transaction_id: str, subject: str = "CN=ipad-17", secret: str = SECRET) -> Outcome:
    """A device of a new key, a minute after the one before."""
    world.now += timedelta(minutes=1)
    return ask_for(world, subject, key=new_key(), transaction_id=transaction_id, secret=secret)


def _at_once(world: World, responders: list[Responder], payloads: list[tuple[bytes, Key]]) -> list[Outcome]:
    """Send all of them in the same moment, to the responders in turn."""
    device, barrier = Device(), Barrier(len(payloads))

    def send(number: int) -> Outcome:
        payload, key = payloads[number]
        message = device.message(world.ca, payload, transaction_id=f"t{number}")
        barrier.wait()
        responder = responders[number % len(responders)]
        reply = responder.respond(message, world.profile, PEER, Deviations())
        expected = codec.Expectation(Transaction(f"t{number}", NONCE), (world.ca,), spki_of(key))
        return codec.decode_cert_rep(reply, expected, device.certificate(), device.key, Deviations())

    device.certificate()
    with ThreadPoolExecutor(len(payloads)) as pool:
        return list(pool.map(send, range(len(payloads))))


@pytest.fixture
def twins(world: World, tmp_path: Path) -> Iterator[list[Responder]]:
    """The responder twice, each over an opening of the file that knows nothing of the other."""
    second = open_store(f"sqlite:///{tmp_path}/scepbox.db")
    yield [world.responder, replace(world.responder, store=second)]
    second.close()


def _rivals() -> list[tuple[bytes, Key]]:
    keys = [new_key() for _ in range(THREADS)]
    return [(request(key=key), key) for key in keys]


@pytest.mark.parametrize("number", [1, 3])
def test_a_crowd_gets_no_more_than_there_may_be(world: World, twins: list[Responder], number: int) -> None:
    """The count and the certificate are one transaction, whoever else counts in that moment."""
    govern(world, most(number))

    outcomes = _at_once(world, twins, _rivals())

    assert sum(isinstance(one, Success) for one in outcomes) == number
    assert len(in_force(world)) == number
    for one in outcomes:
        if isinstance(one, Failure):
            assert_no(one, FULL)


def test_a_crowd_makes_room_for_its_last(world: World, twins: list[Responder]) -> None:
    """Each gets its certificate, and each revokes what is one too many, once."""
    govern(world, most(2, "revoke-oldest"))

    outcomes = _at_once(world, twins, _rivals())

    found = serials(outcomes)
    assert len(set(found)) == THREADS
    standing = {one.serial for one in in_force(world)}
    assert len(standing) == 2
    assert set(on_crl(world)) == set(found) - standing


def test_a_crowd_of_approvals_gets_no_more_than_there_may_be(world: World, twins: list[Responder]) -> None:
    """Several people at several terminals, of whom none sees the others."""
    govern(world, most(1, more='approval = "manual"\n'))
    for number in range(8):
        assert _enrol(world, f"t{number}") == Pending()
    desks = [replace(desk(world), store=one.store) for one in twins]
    barrier = Barrier(8)

    def approve(number: int) -> bool:
        barrier.wait()
        try:
            desks[number % 2].approve(number + 1)
        except DecisionImpossible:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        approved = list(pool.map(approve, range(8)))

    assert sum(approved) == 1
    assert len(in_force(world)) == 1


def _send(service: Service, ca: Certificate, number: int) -> Outcome:
    device, key = Device(signing_time=None), new_key()
    message = device.message(ca, request(key=key), transaction_id=f"t{number}")
    with urlopen(Request(f"{service.url}?operation=PKIOperation", message), timeout=60) as answer:
        expected = codec.Expectation(Transaction(f"t{number}", NONCE), (ca,), spki_of(key))
        return codec.decode_cert_rep(answer.read(), expected, device.certificate(), device.key, Deviations())


@pytest.mark.parametrize("when_full", ["refuse", "revoke-oldest"])
def test_a_crowd_at_two_processes_gets_no_more_than_there_may_be(tmp_path: Path, when_full: str) -> None:
    """As administrators run it: settings, a server of two processes, and a static challenge password."""
    data = tmp_path / "data"
    did("init", "--data", data)
    (data / "scepbox.toml").write_text(most(2, when_full))
    static = ("--uses", "unlimited", "--valid", "forever", "--secret", "-")
    did("challenge", "new", "--data", data, *static, stdin=SECRET + "\n")

    options = ("--listen", "127.0.0.1:0", "--workers", 2)
    with serving("--data", data, *options, log=tmp_path / "log") as service:
        ca = Certificate.load(service.get("/ca.cer")[1])
        with ThreadPoolExecutor(12) as pool:
            outcomes = list(pool.map(lambda number: _send(service, ca, number), range(24)))
        crl = x509.load_der_x509_crl(service.get("/crl")[1])

    served = sum(isinstance(one, Success) for one in outcomes)
    valid = json.loads(did("cert", "list", "--status", "valid", "--json", "--data", data))
    assert len(valid) == 2
    assert served == (2 if when_full == "refuse" else 24)
    assert len(list(crl)) == served - 2
