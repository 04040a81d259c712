"""The audit log as the store keeps it: never a gap, never a change that goes unnoticed."""

import sqlite3
import threading
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import TypeAlias

import pytest

from app.store import SqlRepository, SqlStore, StoreKeys, open_store
from app.store.audit_check import KEY_MADE_ANEW, MOST_FINDINGS
from app.store.records import AuditHead, AuditReport
from ca.errors import StoreUnavailable
from ca.ports import AuditEntry
from tests.world import NOW

KEY = StoreKeys.of_secret(b"k" * 32)
ENTRY = AuditEntry(NOW, "operator anna", "revoke", "certificate 1f", "keyCompromise", "operator", "CN=a")
ENTRIES = 12
Tamper: TypeAlias = Callable[[sqlite3.Connection], object]


class _Mishap(Exception):
    """What one work raises."""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the database is."""
    return tmp_path / "scepbox.db"


@pytest.fixture
def store(path: Path) -> Iterator[SqlStore]:
    """A store with a dozen entries."""
    store = _open(path)
    for number in range(1, ENTRIES + 1):
        _add(store, f"certificate {number}")
    yield store
    store.close()


def _open(path: Path, key: StoreKeys = KEY) -> SqlStore:
    return open_store(f"sqlite:///{path.as_posix()}", keys=key)


def _add(store: SqlStore, target: str) -> None:
    store.transact(lambda repository: repository.add_audit(replace(ENTRY, target=target)))


def _targets(store: SqlStore) -> list[tuple[int, str]]:
    found = store.read(lambda repository: repository.list_audit())
    return [(one.number, one.entry.target) for one in found]


def _check(store: SqlStore, known: AuditHead | None = None) -> AuditReport:
    return store.read(lambda repository: repository.check_audit(known))


def _flaws(report: AuditReport) -> list[str]:
    return [f"{one.first}-{one.last} {one.flaw}" for one in report.findings]


def test_what_was_written_is_whole_and_in_order(store: SqlStore) -> None:
    """The head is what somebody writes down, and it still fits when more was written since."""
    before = store.read(lambda repository: repository.audit_head())
    _add(store, "one more")

    report = _check(store, before)

    assert report.findings == ()
    assert (before.number, report.head.number) == (ENTRIES, ENTRIES + 1)
    assert _targets(store)[-1] == (ENTRIES + 1, "one more")


def test_an_empty_log_is_whole(path: Path) -> None:
    """Its head is number 0, and fits for ever."""
    with closing(_open(path)) as store:
        head = store.read(lambda repository: repository.audit_head())
        _add(store, "first")

        assert str(head) == "0:" + "00" * 32
        assert _check(store, head).findings == ()


@pytest.mark.parametrize("failing", [{0}, {7}, {19}, {0, 1, 7, 8, 19}])
def test_a_work_that_fails_leaves_no_gap(path: Path, failing: set[int]) -> None:
    """Works share a transaction and its knowledge of the end of the log; one is undone alone."""
    store = _open(path)
    leading, queued = threading.Event(), threading.Event()

    def hold(repository: SqlRepository) -> None:
        leading.set()
        queued.wait(5)

    def work(number: int) -> Callable[[SqlRepository], None]:
        def write(repository: SqlRepository) -> None:
            for part in "ab":
                repository.add_audit(replace(ENTRY, target=f"{number}{part}"))
            if number in failing:
                raise _Mishap

        return write

    with ThreadPoolExecutor(21) as pool:
        first = pool.submit(store.transact, hold)
        leading.wait(5)
        futures = [pool.submit(store.transact, work(number)) for number in range(20)]
        while len(store._waiting) < 20:
            threading.Event().wait(0.001)
        queued.set()
        first.result()
        failed = {number for number, future in enumerate(futures) if future.exception() is not None}

    targets = _targets(store)
    assert failed == failing
    assert [number for number, _ in targets] == list(range(1, len(targets) + 1))
    assert sorted(target for _, target in targets) == sorted(
        f"{number}{part}" for number in range(20) if number not in failing for part in "ab"
    )
    assert _check(store).findings == ()
    store.close()


def test_two_openings_write_one_chain(path: Path) -> None:
    """The server and the command line beside it; what one knows of the end must not be what was."""
    with closing(_open(path)) as one, closing(_open(path)) as other, ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: _add((one, other)[number % 2], str(number)), range(60)))

        assert len(_targets(one)) == 60
        assert _check(other).findings == ()


def test_what_a_stranger_wrote_is_bounded(store: SqlStore) -> None:
    """Nothing is ever deleted, and no database keeps a NUL or half a character."""
    _add(store, "CN=a\0\ud800" + "x" * 100_000)

    target = _targets(store)[-1][1]
    assert len(target) == 500
    assert target.startswith("CN=a\ufffd?x")
    assert _check(store).findings == ()


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit SET outcome = 'x' WHERE number = 3",
        "DELETE FROM audit WHERE number = 12",
        "DELETE FROM audit",
        "INSERT OR REPLACE INTO audit SELECT number, at, 'x', action, target, outcome, rule, detail, chain"
        " FROM audit WHERE number = 3",
        "INSERT INTO audit SELECT 99, at, actor, action, target, outcome, rule, detail, chain"
        " FROM audit WHERE number = 3",
    ],
)
def test_the_database_refuses_whatever_is_not_the_next_entry(
    store: SqlStore, path: Path, statement: str
) -> None:
    """A statement of our own that is wrong, or somebody's who does not know better."""
    with closing(sqlite3.connect(path)) as database, pytest.raises(sqlite3.IntegrityError, match="append"):
        database.execute(statement)

    assert _check(store).findings == ()


def _sql(*statements: str) -> Tamper:
    def tamper(database: sqlite3.Connection) -> None:
        for statement in statements:
            database.execute(statement)

    return tamper


def _copy(place: int, number: int) -> str:
    columns = "at, actor, action, target, outcome, rule, detail, chain"
    return f"INSERT INTO audit SELECT {place}, {columns} FROM audit WHERE number = {number}"


def _renumber(step: int, condition: str) -> tuple[str, str]:
    """In two steps, so that no number is there twice meanwhile."""
    return (
        f"UPDATE audit SET number = -1000 - (number + {step}) WHERE {condition}",
        "UPDATE audit SET number = -1000 - number WHERE number <= -1000",
    )


TAMPERED: dict[str, tuple[Tamper, list[str]]] = {
    **{
        f"{column} changed": (_sql(f"UPDATE audit SET {column} = 'x' WHERE number = 5"), ["5-5 changed"])
        for column in ("actor", "action", "target", "outcome", "rule", "detail", "at")
    },
    "the time by a second": (_sql("UPDATE audit SET at = at + 1 WHERE number = 5"), ["5-5 changed"]),
    "text to octets": (_sql("UPDATE audit SET actor = x'00ff' WHERE number = 5"), ["5-5 changed"]),
    "the chain of one": (_sql("UPDATE audit SET chain = zeroblob(32) WHERE number = 5"), ["5-5 changed"]),
    "the chain to text": (_sql("UPDATE audit SET chain = 'x' WHERE number = 5"), ["5-5 changed"]),
    "the first": (_sql("UPDATE audit SET rule = '' WHERE number = 1"), ["1-1 changed"]),
    "the last": (_sql("UPDATE audit SET rule = '' WHERE number = 12"), ["12-12 changed"]),
    "two": (_sql("UPDATE audit SET rule = '' WHERE number IN (4, 9)"), ["4-4 changed", "9-9 changed"]),
    "one taken out": (_sql("DELETE FROM audit WHERE number = 5"), ["5-5 missing"]),
    "some taken out": (_sql("DELETE FROM audit WHERE number BETWEEN 5 AND 7"), ["5-7 missing"]),
    "the first taken out": (_sql("DELETE FROM audit WHERE number = 1"), ["1-1 missing"]),
    "taken out and closed up": (
        _sql("DELETE FROM audit WHERE number = 9", *_renumber(-1, "number > 9")),
        ["9-9 changed", "10-10 out of order", "11-11 out of order"],
    ),
    "two swapped": (
        _sql(
            "UPDATE audit SET number = -5 WHERE number = 5",
            "UPDATE audit SET number = 5 WHERE number = 6",
            "UPDATE audit SET number = 6 WHERE number = -5",
        ),
        ["5-5 out of order", "6-6 out of order"],
    ),
    "a copy put in": (
        _sql(*_renumber(1, "number >= 11"), _copy(11, 2)),
        ["11-11 inserted", "12-12 out of order", "13-13 out of order"],
    ),
    "a copy put behind": (_sql(_copy(13, 12)), ["13-13 out of order"]),
    "one of another time put behind": (_sql(_copy(13, 2)), ["13-13 changed"]),
    "one put before": (_sql(_copy(0, 2)), ["0-0 inserted"]),
}


@pytest.mark.parametrize(("tamper", "found"), TAMPERED.values(), ids=TAMPERED.keys())
def test_tampering_is_found_and_placed(store: SqlStore, path: Path, tamper: Tamper, found: list[str]) -> None:
    """Whoever has the database and not the key cannot make an entry that fits."""
    _tamper(path, tamper)

    assert _flaws(_check(store)) == found


def _tamper(path: Path, tamper: Tamper) -> None:
    """As somebody does who has the file."""
    with closing(sqlite3.connect(path)) as database, database:
        for (trigger,) in database.execute(
            "SELECT name FROM sqlite_master WHERE type = 'trigger' AND tbl_name = 'audit'"
        ).fetchall():
            database.execute(f"DROP TRIGGER {trigger}")
        tamper(database)


def test_a_truncated_end_is_found_by_who_wrote_the_head_down(store: SqlStore, path: Path) -> None:
    """What is left is whole in itself, so that nothing else can tell."""
    head = store.read(lambda repository: repository.audit_head())
    _tamper(path, _sql("DELETE FROM audit WHERE number > 10"))

    assert _check(store).findings == ()
    assert _flaws(_check(store, head)) == ["11-12 missing"]


def test_a_rewritten_end_is_found_by_who_wrote_the_head_down(store: SqlStore, path: Path) -> None:
    """Whoever has the key too writes what he likes, and it fits."""
    head = store.read(lambda repository: repository.audit_head())
    _tamper(path, _sql("DELETE FROM audit WHERE number > 10"))
    for target in ("a", "b", "c"):
        _add(store, target)

    assert _check(store).findings == ()
    assert _flaws(_check(store, head)) == ["12-12 rewritten"]


def test_a_log_under_another_key_is_not_this_ones(store: SqlStore, path: Path) -> None:
    """A database brought together with the secret of another folder."""
    with closing(_open(path, StoreKeys.of_secret(b"x" * 32))) as other:
        assert _flaws(_check(other)) == [f"{number}-{number} changed" for number in range(1, ENTRIES + 1)]


def test_after_a_lost_key_the_rest_is_checked_again(store: SqlStore, path: Path) -> None:
    """Otherwise each check ever after would cry wolf."""
    with closing(_open(path, StoreKeys.of_secret(b"new" * 11))) as other:
        _made_anew(other)
        _add(other, "later")

        report = _check(other)
        _tamper(path, _sql(f"UPDATE audit SET rule = '' WHERE number IN (3, {ENTRIES + 2})"))

        assert (report.findings, report.unchecked) == ((), ENTRIES)
        assert _flaws(_check(other)) == [f"{ENTRIES + 2}-{ENTRIES + 2} changed"]
        assert _flaws(_check(store))[0] == "3-3 changed"


def test_nobody_without_the_new_key_says_that_the_old_one_was_lost(store: SqlStore, path: Path) -> None:
    """Or whoever changes an entry would only have to add that."""
    with closing(_open(path, StoreKeys.of_secret(b"stranger" * 4))) as stranger:
        _made_anew(stranger)
    _tamper(path, _sql("UPDATE audit SET rule = '' WHERE number = 3"))

    report = _check(store)
    assert report.unchecked == 0
    assert _flaws(report) == ["3-3 changed", f"{ENTRIES + 1}-{ENTRIES + 1} changed"]


def _made_anew(store: SqlStore) -> None:
    target, outcome = KEY_MADE_ANEW
    entry = replace(ENTRY, action="init", target=target, outcome=outcome)
    store.transact(lambda repository: repository.add_audit(entry))


def test_findings_are_bounded(path: Path) -> None:
    """A log that was spoilt from end to end is told in a few lines, and in a few seconds."""
    with closing(_open(path)) as store:
        store.transact(lambda repository: deque(map(repository.add_audit, [ENTRY] * 1000)))
        _tamper(path, _sql("UPDATE audit SET actor = 'x'", "DELETE FROM audit WHERE number % 3 = 0"))

        report = _check(store)

    assert len(report.findings) == MOST_FINDINGS
    assert report.is_cut


def test_an_entry_that_is_none_any_more_is_not_listed_as_one(store: SqlStore, path: Path) -> None:
    """The list says so and where to look, instead of failing with a fault of the program."""
    for tamper in (
        _sql("UPDATE audit SET actor = x'00'"),
        _sql("UPDATE audit SET actor = '', at = 'x'"),
        _sql("UPDATE audit SET at = 9000000000000000000"),
    ):
        _tamper(path, tamper)
        with pytest.raises(StoreUnavailable, match="log verify"):
            store.read(lambda repository: repository.list_audit())
