"""The store when it goes wrong: a failing neighbour, a full disk, a newer program, a flood."""

import sqlite3
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, event, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.pool import Pool

from app.store import SqlRepository, SqlStore, open_store, repository
from app.store.records import NewChallenge
from ca.errors import StoreUnavailable
from ca.scep.messages import Failure
from tests.databases import looking_into, new_database
from tests.test_reload import await_
from tests.world import NOW, Device, World, certificate_of

pytestmark = pytest.mark.databases
on_sqlite = pytest.mark.databases("sqlite")


@pytest.fixture
def url() -> str:
    """A database that others can look into."""
    return new_database(shared=True)


@pytest.fixture
def store(url: str) -> Iterator[SqlStore]:
    """An empty store."""
    store = open_store(url)
    yield store
    store.close()


def _rows(url: str, query: str) -> list[Any]:
    """What another process sees in the database."""
    with looking_into(url) as database:
        return list(database.scalars(text(query)))


def _add(repository: SqlRepository, note: str) -> int | None:
    challenge = NewChallenge(note.encode(), "default", 1, None, NOW, note=note)
    return repository.add_challenge(challenge)


@contextmanager
def _counted_commits() -> Iterator[list[object]]:
    commits: list[object] = []

    def count(connection: object) -> None:
        commits.append(connection)

    event.listen(Engine, "commit", count)
    try:
        yield commits
    finally:
        event.remove(Engine, "commit", count)


class _Mishap(Exception):
    """What one work raises."""


def test_a_failing_work_undoes_only_itself(store: SqlStore, url: str) -> None:
    """Requests share a commit; what one of them raises must not touch its neighbours."""
    leading, queued = threading.Event(), threading.Event()

    def hold(repository: SqlRepository) -> None:
        leading.set()
        queued.wait(5)

    def work(number: int) -> int:
        def write(repository: SqlRepository) -> int:
            _add(repository, f"work {number}")
            if number == 7:
                raise _Mishap
            return number

        return store.transact(write)

    with ThreadPoolExecutor(21) as pool, _counted_commits() as commits:
        first = pool.submit(store.transact, hold)
        leading.wait(5)
        futures = [pool.submit(work, number) for number in range(20)]
        while len(store._waiting) < 20:
            threading.Event().wait(0.001)
        queued.set()
        first.result()
        failed = [number for number, future in enumerate(futures) if future.exception() is not None]

    assert failed == [7]
    assert isinstance(futures[7].exception(), _Mishap)
    assert [futures[number].result() for number in (0, 6, 8, 19)] == [0, 6, 8, 19]
    assert sorted(_rows(url, "SELECT note FROM challenge")) == sorted(
        f"work {number}" for number in range(20) if number != 7
    )
    assert len(commits) == 2


@pytest.mark.proves("X-01")
def test_a_duplicate_is_the_fault_of_who_wrote_it(url: str, device: Device) -> None:
    """A serial number that is taken fails its own work, and the store goes on (X-01)."""
    world = World(url)
    certificate_of(world.enrol(device))
    (taken,) = world.issued()

    with pytest.raises(IntegrityError):
        world.store.transact(lambda repository: repository.add_certificate(taken))

    assert world.issued() == [taken]
    world.store.close()


@pytest.mark.proves("S-07")
def test_nothing_is_answered_before_it_is_in_the_file(url: str, device: Device) -> None:
    """A reply that left must not speak of a certificate that a power failure undoes."""
    world = World(url)

    certificate = certificate_of(world.enrol(device))

    assert _rows(url, "SELECT der FROM certificate") == [certificate.der]
    world.store.close()


@on_sqlite
def test_sqlite_has_a_journal_that_readers_do_not_wait_for(url: str) -> None:
    """The command line lists while the server writes."""
    open_store(url).close()

    assert _rows(url, "PRAGMA journal_mode") == ["wal"]


@contextmanager
def _hampered(pragma: str) -> Iterator[None]:
    """Let every connection that is used meanwhile have *pragma*, which stays with it."""

    def hamper(connection: sqlite3.Connection, *_: object) -> None:
        connection.execute(pragma)

    event.listen(Pool, "checkout", hamper)
    try:
        yield
    finally:
        event.remove(Pool, "checkout", hamper)


def _full(url: str) -> str:
    with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as database:
        return f"PRAGMA max_page_count = {database.execute('PRAGMA page_count').fetchone()[0]}"


def _refusals(world: World, count: int) -> None:
    """Fill pages: a refusal is kept with what it said."""
    for number in range(count):
        device = Device(f"ipad-{number}")
        world.enrol(device, device.csr("wrong"), "x")


@on_sqlite
@pytest.mark.parametrize("trouble", ["full", "readonly"])
def test_a_database_that_cannot_write_says_so_and_loses_nothing(
    url: str, device: Device, trouble: str
) -> None:
    """RFC 8894 7.4: nothing was issued and nothing spent, so the device may come again (HTTP 503)."""
    world = World(url, uses=1)
    broken, healthy = open_store(url), world.responder
    # Longer than a refusal, so that it finds no place either where that found none.
    transaction_id = "t" * 250
    message = device.message(world.ca, transaction_id=transaction_id)
    world.responder = replace(healthy, store=broken)
    with _hampered("PRAGMA query_only = ON" if trouble == "readonly" else _full(url)):
        # What is left of the last page goes to refusals.
        with pytest.raises(StoreUnavailable, match=trouble):
            _refusals(world, 100)
        with pytest.raises(StoreUnavailable, match=trouble):
            world.respond(message)
        assert not broken.can_write()
        # The others know it once they have tried.
        assert world.store.can_write()
    with _hampered("PRAGMA query_only = OFF" if trouble == "readonly" else "PRAGMA max_page_count = 1000000"):
        await_(broken.can_write)
    assert _rows(url, "SELECT count(*) FROM request WHERE status = ''") == [0]
    broken.close()

    assert world.issued() == []
    assert world.uses_left() == [1]
    world.responder = healthy
    certificate_of(device.read(world.respond(message), world.ca, transaction_id))
    assert len(world.issued()) == 1
    world.store.close()


@on_sqlite
def test_a_database_that_is_locked_away_cannot_be_opened(tmp_path: Path) -> None:
    """A folder where the file should be is told in words, not by a traceback."""
    (tmp_path / "scepbox.db").mkdir()

    with pytest.raises(StoreUnavailable, match="open"):
        open_store(f"sqlite:///{tmp_path}/scepbox.db")


@on_sqlite
def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    """It is not overwritten either."""
    path = tmp_path / "scepbox.db"
    path.write_bytes(b"not a database at all\n" * 100)

    with pytest.raises(StoreUnavailable, match="not a database"):
        open_store(f"sqlite:///{path}")

    assert path.read_bytes().startswith(b"not a database at all")


def test_a_newer_schema_is_refused_in_words(store: SqlStore, url: str) -> None:
    """An old program on a new database would lose what it does not know."""
    with looking_into(url) as database:
        database.execute(text("UPDATE alembic_version SET version_num = '9999'"))

    with pytest.raises(StoreUnavailable, match="9999, which is newer"):
        open_store(url)

    assert _rows(url, "SELECT version_num FROM alembic_version") == ["9999"]


def test_a_second_opening_changes_nothing(store: SqlStore, url: str) -> None:
    """The command line opens the database beside the server."""
    store.transact(lambda repository: _add(repository, "kept"))

    second = open_store(url)

    assert [one.note for one in second.transact(lambda repository: repository.list_challenges())] == ["kept"]
    second.close()


def test_only_the_newest_refusals_are_kept(url: str, device: Device, monkeypatch: pytest.MonkeyPatch) -> None:
    """Anybody may cause refusals; they must not fill the disk, nor push out what was issued."""
    monkeypatch.setattr(repository, "MAX_REFUSALS", 10)
    monkeypatch.setattr(repository, "PRUNE_EVERY", 5)
    world = World(url)
    certificate = certificate_of(world.enrol(device))

    for number in range(40):
        outcome = world.enrol(device, device.csr("wrong"), f"wrong-{number}")
        assert isinstance(outcome, Failure)

    kept = _rows(url, "SELECT transaction_id FROM request WHERE status = 'refused' ORDER BY id")
    assert 10 <= len(kept) < 15
    assert kept == [f"wrong-{number}" for number in range(40 - len(kept), 40)]
    assert _rows(url, "SELECT serial FROM request WHERE status = 'issued'") == [
        f"{certificate.serial_number:x}"
    ]
    assert certificate_of(world.enrol(device)).der == certificate.der
    world.store.close()


@on_sqlite
def test_a_store_on_a_full_disk_recovers_by_itself(url: str) -> None:
    """When somebody made room, the next request succeeds without a restart."""
    store = open_store(url)
    with _hampered(_full(url)), pytest.raises(StoreUnavailable, match="full"):
        store.transact(lambda repository: [_add(repository, "x" * 9000 + str(one)) for one in range(99)])
    with _hampered("PRAGMA max_page_count = 1000000"):
        store.transact(lambda repository: repository.is_alive())

    note = store.transact(lambda repository: _add(repository, "small"))

    assert note is not None
    assert _rows(url, "SELECT note FROM challenge") == ["small"]
    store.close()
