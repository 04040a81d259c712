"""PostgreSQL when it goes wrong: connections lost, a server that hangs or is away, and what is half done."""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from typing import TypeVar

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.exc import DataError, IntegrityError

from app.store import Sharing, SqlRepository, SqlStore, open_store
from app.store.engine import open_engine
from app.store.records import NewChallenge
from ca.deviations import Deviations
from ca.errors import StoreUnavailable
from ca.ports import Peer
from tests.databases import PostgresServer, looking_into, new_database, server, start_server
from tests.relay import Relay, relaying
from tests.test_reload import await_
from tests.waiting import requests
from tests.world import NOW, Device, World, certificate_of

T = TypeVar("T")
pytestmark = pytest.mark.databases("postgresql")
# What is waited for is waited for a tenth of a second, so that tests need not take longer.
HASTY = Sharing(busy_seconds=0.1)


@pytest.fixture
def url() -> str:
    """A database of the shared server."""
    return new_database()


@pytest.fixture
def store(url: str) -> Iterator[SqlStore]:
    """An empty store."""
    store = open_store(url)
    yield store
    store.close()


@pytest.fixture
def own_server() -> Iterator[PostgresServer]:
    """A server that a test may stop, kill and start again."""
    started = start_server(durable=True)
    yield started
    if started.process.poll() is None:
        started.stop()
    started.remove()


@pytest.fixture
def relay() -> Iterator[Relay]:
    """A wire to the shared server."""
    with relaying(server().port) as relay:
        yield relay


def _through(relay: Relay, url: str) -> str:
    return url.replace(f":{server().port}/", f":{relay.port}/")


def _disconnect(url: str) -> None:
    """End every connection to a database from the server's side."""
    name = url.rpartition("/")[2]
    server().do(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'")


def _add(repository: SqlRepository, note: str) -> int | None:
    return repository.add_challenge(NewChallenge(note.encode(), "default", 1, None, NOW, note=note))


def _notes(url: str) -> list[str]:
    with looking_into(url) as database:
        return list(database.scalars(text("SELECT note FROM challenge ORDER BY note")))


def together(store: SqlStore, works: Sequence[Callable[[SqlRepository], object]]) -> list[object]:
    """Have *works* share a transaction, and return what came of each, errors too."""
    leading, queued = threading.Event(), threading.Event()

    def hold(_: SqlRepository) -> None:
        leading.set()
        queued.wait(5)

    with ThreadPoolExecutor(len(works) + 1) as pool:
        first = pool.submit(store.transact, hold)
        leading.wait(5)
        futures = []
        for number, work in enumerate(works, 1):
            futures.append(pool.submit(store.transact, work))
            while len(store._waiting) < number:
                time.sleep(0.001)
        queued.set()
        first.result()
        return [future.exception() or future.result() for future in futures]


def test_a_server_that_was_restarted_is_found_again_at_once(url: str, device: Device) -> None:
    """The connection is gone, and nothing was under way on it: no request needs to fail for that."""
    world = World(url)
    _disconnect(url)

    certificate_of(world.enrol(device))

    world.store.close()


def test_what_is_lost_before_the_commit_is_done_anew(store: SqlStore, url: str) -> None:
    """Nothing of it stands then, so that the caller need not hear of it."""
    attempts: list[object] = []

    def work(repository: SqlRepository) -> None:
        attempts.append(None)
        if len(attempts) == 1:
            _disconnect(url)
        _add(repository, f"attempt {len(attempts)}")

    # The first transaction of all opens the connection, and a new one is not replaced.
    store.open()
    store.transact(work)

    assert len(attempts) == 2
    assert _notes(url) == ["attempt 2"]


def test_who_is_cut_off_at_the_commit_hears_no_and_gets_his_certificate_when_he_asks_again(
    url: str, relay: Relay, device: Device
) -> None:
    """RFC 8894 7.4: whether it took place is not known; either way one certificate comes of it."""
    world = World(_through(relay, url), uses=1)
    message = device.message(world.ca)
    relay.cut_behind = b"scepbox_commit"

    with pytest.raises(StoreUnavailable):
        world.respond(message)

    # It did take place, as the server sees it.
    (issued,) = world.issued()
    assert certificate_of(device.read(world.respond(message), world.ca)).der == issued.der
    assert world.uses_left() == [0]
    assert len(world.issued()) == 1
    world.store.close()


def test_a_cut_wire_fails_nobody_for_longer_than_it_is_cut(url: str, relay: Relay, device: Device) -> None:
    """A switch that restarts is no reason to restart anything else."""
    world = World(_through(relay, url))
    relay.cut()

    certificate_of(world.enrol(device))

    world.store.close()


def test_a_server_that_hangs_keeps_nobody_waiting_for_long(url: str, relay: Relay) -> None:
    """All requests of a process wait with who waits for the database."""
    store = open_store(_through(relay, url), HASTY)
    store.transact(lambda repository: _add(repository, "before"))
    relay.stall()
    started = time.monotonic()

    with pytest.raises(StoreUnavailable, match="has not answered"):
        store.transact(lambda repository: _add(repository, "meanwhile"))
    took = time.monotonic() - started
    relay.resume()

    assert took < 3
    assert _eventually(lambda: store.transact(lambda repository: _add(repository, "after")))
    assert [note for note in _notes(url) if note != "meanwhile"] == ["after", "before"]
    store.close()


def test_a_server_that_cannot_be_reached_is_left_alone_for_a_while(url: str, relay: Relay) -> None:
    """Who only wants the CA certificate does not wait behind one attempt after the other."""
    store = open_store(_through(relay, url), HASTY)
    relay.stall()
    with pytest.raises(StoreUnavailable):
        store.transact(lambda repository: repository.is_alive())
    with pytest.raises(StoreUnavailable):
        store.transact(lambda repository: repository.is_alive())
    started = time.monotonic()

    for _ in range(100):
        with pytest.raises(StoreUnavailable):
            store.transact(lambda repository: repository.is_alive())

    assert time.monotonic() - started < 1
    relay.resume()
    store.close()


@pytest.mark.skipif(not hasattr(signal, "SIGSTOP"), reason="this system cannot stop a process")
def test_a_backend_that_is_stopped_keeps_nobody_waiting_for_long(url: str) -> None:
    """Its connection stands, and its kernel acknowledges all that is sent to it."""
    store = open_store(url, HASTY)
    store.transact(lambda repository: repository.is_alive())
    name = url.rpartition("/")[2]
    ((pid,),) = server().do(f"SELECT pid FROM pg_stat_activity WHERE datname = '{name}'")
    os.kill(int(str(pid)), signal.SIGSTOP)
    started = time.monotonic()
    try:
        with pytest.raises(StoreUnavailable, match="has not answered"):
            store.transact(lambda repository: _add(repository, "meanwhile"))
        took = time.monotonic() - started
        store.transact(lambda repository: _add(repository, "after"))
    finally:
        os.kill(int(str(pid)), signal.SIGCONT)

    assert took < 3
    assert _notes(url) == ["after"]
    store.close()


def test_a_server_that_became_read_only_is_told_and_goes_on_by_itself(url: str, device: Device) -> None:
    """As after a failover to a standby: connections end, and the next begin where nothing can be written."""
    world, name = World(url, uses=None), url.rpartition("/")[2]
    world.enrol(device)
    server().do(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    _disconnect(url)

    for number in range(3):
        another = Device(f"meanwhile-{number}")
        with pytest.raises(StoreUnavailable, match=r"read-only transaction; .* set it back"):
            world.enrol(another, transaction_id=f"{number}")
        assert not world.store.can_write()
    outcomes = together(world.store, [partial(_add, note=str(number)) for number in range(4)])
    assert {type(one) for one in outcomes} == {StoreUnavailable}
    server().do(f"ALTER DATABASE {name} SET default_transaction_read_only = off")

    await_(world.store.can_write)
    certificate_of(world.enrol(Device("after"), transaction_id="after"))
    assert len(world.issued()) == 2
    assert _rows_left(url) == 0
    world.store.close()


def _rows_left(url: str) -> int:
    """How many requests there are that nobody made."""
    with looking_into(url) as database:
        return int(database.scalar(text("SELECT count(*) FROM request WHERE status = ''")) or 0)


def test_a_right_that_is_missing_is_seen_before_and_after(url: str, device: Device) -> None:
    """A health check that goes by what can be read sends devices to where all of them hear 503."""
    world, name = World(url), url.rpartition("/")[2]
    server().do(f"CREATE USER u_{name}")
    server().do(f"GRANT ALL ON ALL TABLES IN SCHEMA public TO u_{name}", name)
    server().do(f"GRANT ALL ON ALL SEQUENCES IN SCHEMA public TO u_{name}", name)
    store = open_store(server().url(name, f"u_{name}"), as_it_is=True)
    world.responder = replace(world.responder, store=store)
    assert store.can_write()
    server().do(f"REVOKE INSERT ON certificate FROM u_{name}", name)

    with pytest.raises(StoreUnavailable, match="permission denied for table certificate"):
        world.enrol(device)
    assert not store.can_write()
    server().do(f"GRANT INSERT ON certificate TO u_{name}", name)

    await_(store.can_write)
    certificate_of(world.enrol(device))
    store.close()
    world.store.close()


def test_what_another_holds_is_waited_for_and_not_for_ever(url: str) -> None:
    """Somebody's own session may hold a table for hours."""
    store, engine = open_store(url, HASTY), create_engine(url)
    with engine.begin() as other:
        other.execute(text("LOCK TABLE challenge"))
        started = time.monotonic()
        with pytest.raises(StoreUnavailable, match="lock timeout"):
            store.transact(lambda repository: _add(repository, "meanwhile"))
        took = time.monotonic() - started

    store.transact(lambda repository: _add(repository, "after"))

    assert took < 2
    assert _notes(url) == ["after"]
    engine.dispose()
    store.close()


def test_a_crowd_waits_for_what_another_holds_no_longer_than_one_does(url: str) -> None:
    """Sixteen requests of a round that each waited for three seconds would be most of a minute."""
    store, engine = open_store(url, Sharing(busy_seconds=0.5)), create_engine(url)
    with engine.begin() as other:
        other.execute(text("LOCK TABLE challenge"))
        started = time.monotonic()
        works = [partial(_add, note=str(number)) for number in range(16)]
        outcomes = together(store, works)
        took = time.monotonic() - started

    assert {type(one) for one in outcomes} == {StoreUnavailable}
    assert took < 3
    engine.dispose()
    store.close()


@pytest.mark.parametrize("which", [0, 3, 6, 7])
def test_a_duplicate_in_a_crowd_fails_its_own_work_alone(url: str, device: Device, which: int) -> None:
    """It is found out only after the work of others was done behind it."""
    world = World(url)
    certificate_of(world.enrol(device))
    (taken,) = world.issued()

    def work(number: int) -> Callable[[SqlRepository], object]:
        def write(repository: SqlRepository) -> object:
            repository.find_certificate(taken.serial)
            repository.add_certificate(taken if number == which else replace(taken, serial=f"{number:x}"))
            return number

        return write

    outcomes = together(world.store, [work(number) for number in range(8)])

    failed = outcomes.pop(which)
    assert isinstance(failed, IntegrityError)
    assert outcomes == [number for number in range(8) if number != which]
    assert len(world.issued()) == 8
    world.store.close()


def test_a_question_that_cannot_be_asked_fails_its_own_work_alone(store: SqlStore) -> None:
    """It breaks the transaction of all, which is then done without it."""
    works: list[Callable[[SqlRepository], object]] = [
        partial(_add, note="one"),
        lambda repository: repository.find_certificate("\0"),
        partial(_add, note="two"),
    ]

    outcomes = together(store, works)

    assert isinstance(outcomes[1], DataError)
    assert [one.note for one in store.read(lambda repository: repository.list_challenges())] == ["one", "two"]


def test_what_waits_to_be_sent_may_be_more_than_the_wire_takes_at_once(url: str, device: Device) -> None:
    """Both ends would wait for each other if one only wrote and the other only answered."""
    world = World(url)
    certificate_of(world.enrol(device))
    large = replace(world.issued()[0], der=bytes(200_000))

    def write(repository: SqlRepository) -> None:
        for number in range(100):
            repository.add_certificate(replace(large, serial=f"{number:x}"))

    world.store.transact(write)

    assert len(world.issued()) == 101
    world.store.close()


def test_a_reader_sees_one_state_of_the_database(store: SqlStore) -> None:
    """A list that somebody writes into meanwhile would be neither the old nor the new one."""

    def look(repository: SqlRepository) -> tuple[int, int]:
        before = len(repository.list_challenges())
        store.transact(lambda other: _add(other, "meanwhile"))
        return before, len(repository.list_challenges())

    assert store.read(look) == (0, 0)
    assert len(store.read(lambda repository: repository.list_challenges())) == 1


def test_a_reader_cannot_write(store: SqlStore) -> None:
    """Reading goes on a standby as well, some day."""
    with pytest.raises(StoreUnavailable, match="read-only"):
        store.read(lambda repository: _add(repository, "never"))


def test_commits_are_durable_even_where_the_database_has_it_otherwise(url: str) -> None:
    """A reply must not leave before its certificate is on the disk."""
    name = url.rpartition("/")[2]
    server().do(f"ALTER DATABASE {name} SET synchronous_commit = off")
    engine = open_engine(url)

    with engine.begin() as connection:
        assert connection.scalar(text("SHOW synchronous_commit")) == "on"

    engine.dispose()


def test_a_text_with_a_zero_octet_is_kept_without_it(url: str, device: Device) -> None:
    """PostgreSQL has no such text, and who sends one is answered like anybody else."""
    world = World(url)
    peer = Peer("192.0.2.7", "odd\0client")

    reply = world.responder.respond(device.message(world.ca), world.profile, peer, Deviations())

    certificate_of(device.read(reply, world.ca))
    assert [one.record.peer.client for one in requests(world)] == ["odd\ufffdclient"]
    world.store.close()


# More than are answered while a server is found and killed.
CROWD = 200


def test_a_database_that_dies_under_load_loses_nothing_that_was_answered(own_server: PostgresServer) -> None:
    """Issue 5: killed at a random moment, and started again, it has every certificate of a SUCCESS."""
    own_server.do("CREATE DATABASE scepbox TEMPLATE template0 ENCODING 'UTF8'")
    world = World(own_server.url("scepbox"))
    devices = [Device(f"ipad-{number}") for number in range(CROWD)]
    messages = [device.message(world.ca, transaction_id=device.common_name) for device in devices]

    def enrol(number: int) -> bytes | None:
        try:
            return world.respond(messages[number])
        except StoreUnavailable:
            return None

    with ThreadPoolExecutor(8) as pool:
        replies = [pool.submit(enrol, number) for number in range(CROWD)]
        replies[15].result()
        own_server.kill()
        answered = [reply.result() for reply in replies]
    again = start_server(own_server.folder, own_server.port, durable=True)
    try:
        kept = {one.der for one in _eventually(world.issued)}
        got = [
            certificate_of(device.read(reply, world.ca, device.common_name)).der
            for device, reply in zip(devices, answered, strict=True)
            if reply is not None
        ]
        rest = [world.respond(message) for message in messages]
    finally:
        world.store.close()
        again.stop()

    assert 15 < len(got) < CROWD
    assert set(got) <= kept
    assert len(rest) == CROWD


def _eventually(work: Callable[[], T], seconds: float = 10) -> T:
    end = time.monotonic() + seconds
    while True:
        try:
            return work()
        except StoreUnavailable:
            if time.monotonic() > end:
                raise
        time.sleep(0.05)
