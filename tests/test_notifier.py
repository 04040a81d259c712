"""The outbox: what validators have yet to hear is told once, again if that failed, and given up one day."""

import logging
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from app.notifier import AT_ONCE, GIVE_UP_AFTER, Notifier
from app.store import SqlStore, open_store
from app.store.notifications import FIRST_PAUSE, LONGEST_PAUSE, ClaimedNotification, pause_after
from app.validators.notified import NotDelivered
from ca.errors import StoreUnavailable
from ca.ports import Notification
from tests.applicants import PASSWORD, failed
from tests.services import Reply, Service, running
from tests.webhooks import is_genuine, webhook
from tests.world import NOW


@dataclass
class Told:
    """A validator that keeps what it is told, and fails while *fails* says so."""

    name: str = "mdm"
    fails: Callable[[Notification], Exception | None] = lambda _: None
    heard: list[Notification] = field(default_factory=list)
    tries: int = 0

    def notify(self, notification: Notification) -> None:
        self.tries += 1
        error = self.fails(notification)
        if error is not None:
            raise error
        self.heard.append(notification)


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/scepbox.db"


@pytest.fixture
def store(url: str) -> Iterator[SqlStore]:
    """A database in a file, as threads share it."""
    store = open_store(url)
    yield store
    store.close()


def add(store: SqlStore, count: int = 1, at: datetime = NOW) -> list[Notification]:
    """Keep that many notifications, as the transaction that issues does."""
    kept = [failed("mdm", f"reason {number}") for number in range(count)]
    for one in kept:
        store.transact(lambda repository, one=one: repository.add_notification(one, at))  # type: ignore[misc]
    return kept


def claim(store: SqlStore, now: datetime = NOW, most: int = 10) -> list[ClaimedNotification]:
    return store.transact(lambda repository: repository.claim_notifications(now, most))


def is_empty(store: SqlStore) -> bool:
    return store.read(lambda repository: repository.next_notification()) is None


def await_(condition: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + 15
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.02)
    return condition()


class Clock:
    """A time that a test sets, and that the notifier's thread reads."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_what_is_added_is_told_at_once_and_forgotten(store: SqlStore, clock: Clock) -> None:
    """The process that issued does not wait for the next look."""
    told = Told()
    notifier = Notifier(store, {"mdm": told}, clock)
    notifier.start()
    try:
        # Asleep by now: nothing is there.
        time.sleep(0.3)
        kept = add(store, 3)
        started = time.monotonic()
        assert await_(lambda: len(told.heard) == 3 and is_empty(store))
        seconds = time.monotonic() - started
    finally:
        notifier.stop()

    assert sorted(one.reason for one in told.heard) == [one.reason for one in kept]
    assert told.heard[0].csr == kept[0].csr
    assert seconds < 4


def test_what_was_left_by_another_process_is_told_soon(store: SqlStore, url: str, clock: Clock) -> None:
    """The command line approves a request and ends."""
    told, other = Told(), open_store(url)
    notifier = Notifier(store, {"mdm": told}, clock)
    notifier.start()
    try:
        time.sleep(0.3)
        add(other)
        assert await_(lambda: is_empty(store))
    finally:
        notifier.stop()
        other.close()

    assert len(told.heard) == 1


def test_what_was_left_by_an_earlier_run_is_told(url: str, clock: Clock) -> None:
    """The server was stopped before anybody listened."""
    first = open_store(url)
    add(first, 20)
    first.close()
    told, second = Told(), open_store(url)
    notifier = Notifier(second, {"mdm": told}, clock)
    notifier.start()
    try:
        assert await_(lambda: is_empty(second))
    finally:
        notifier.stop()
        second.close()

    assert len({one.reason for one in told.heard}) == len(told.heard) == 20


def test_what_failed_is_told_again_later_and_ever_less_often(
    store: SqlStore, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    """Down for an hour or for a day: it hears in the end, and is not flooded meanwhile."""
    told = Told(fails=lambda _: NotDelivered("HTTP 503"))
    add(store)
    notifier = Notifier(store, {"mdm": told}, clock)
    with caplog.at_level(logging.INFO):
        notifier.start()
        try:
            assert await_(lambda: told.tries == 1)
            clock.now += FIRST_PAUSE - timedelta(seconds=2)
            notifier.wake()
            time.sleep(0.3)
            assert told.tries == 1
            clock.now += timedelta(seconds=3)
            notifier.wake()
            assert await_(lambda: told.tries == 2)
            told.fails = lambda _: None
            clock.now += 2 * FIRST_PAUSE
            notifier.wake()
            assert await_(lambda: is_empty(store))
        finally:
            notifier.stop()

    assert (told.tries, len(told.heard)) == (3, 1)
    assert 'outcome="not delivered" detail="HTTP 503" attempt=1' in caplog.text
    assert "outcome=delivered" in caplog.text
    assert PASSWORD not in caplog.text


def test_the_pauses_grow_to_hours() -> None:
    """Each is twice the one before."""
    assert [pause_after(attempts) for attempts in (1, 2, 3)] == [
        FIRST_PAUSE,
        2 * FIRST_PAUSE,
        4 * FIRST_PAUSE,
    ]
    assert pause_after(9) < LONGEST_PAUSE
    assert pause_after(10) == pause_after(1000) == LONGEST_PAUSE


def test_after_some_days_it_is_given_up_with_an_error(
    store: SqlStore, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    """Nobody will listen any more; an administrator may want to know."""
    told = Told(fails=lambda _: NotDelivered("HTTP 404"))
    add(store)
    clock.now += GIVE_UP_AFTER
    notifier = Notifier(store, {"mdm": told}, clock)
    notifier.start()
    try:
        assert await_(lambda: is_empty(store))
    finally:
        notifier.stop()

    (record,) = [record for record in caplog.records if "outcome=lost" in record.getMessage()]
    assert record.levelno == logging.ERROR
    assert "0123ABCD" in record.getMessage()


def test_a_fault_of_ours_stops_neither_it_nor_the_others(
    store: SqlStore, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    """It stays for another try, with a traceback in the log."""
    told = Told(fails=lambda one: ZeroDivisionError() if one.reason == "reason 1" else None)
    add(store, 3)
    notifier = Notifier(store, {"mdm": told}, clock)
    notifier.start()
    try:
        assert await_(lambda: len(told.heard) == 2 and told.tries == 3)
        add(store)
        assert await_(lambda: len(told.heard) == 3)
    finally:
        notifier.stop()

    assert not is_empty(store)
    assert "ZeroDivisionError" in caplog.text


def test_a_database_that_fails_for_a_while_is_looked_at_again(
    store: SqlStore, clock: Clock, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A disk that is full now may not be in an hour."""
    monkeypatch.setattr("app.notifier.LOOK_SECONDS", 0.1)
    told, read, left = Told(), store.read, [3]

    def fails(work: Callable[..., object]) -> object:
        if left[0]:
            left[0] -= 1
            raise StoreUnavailable("disk I/O error")
        return read(work)

    monkeypatch.setattr(store, "read", fails)
    add(store)
    notifier = Notifier(store, {"mdm": told}, clock)
    notifier.start()
    try:
        assert await_(lambda: len(told.heard) == 1)
    finally:
        notifier.stop()

    assert caplog.text.count("disk I/O error") == 3


def test_a_validator_that_is_gone_from_the_settings_is_told_of(
    store: SqlStore, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    """Its name was changed: until it is back or three days are over the row stays."""
    add(store)
    notifier = Notifier(store, {"another": Told("another")}, clock)
    notifier.start()
    try:
        assert await_(lambda: "no such validator" in caplog.text)
    finally:
        notifier.stop()

    assert not is_empty(store)


def test_settings_that_changed_are_taken_in(store: SqlStore, clock: Clock) -> None:
    """From nobody to tell to somebody, without a restart."""
    told = Told()
    notifier = Notifier(store, {}, clock)
    notifier.start()
    add(store)
    try:
        notifier.use({"mdm": told})
        assert await_(lambda: len(told.heard) == 1)
    finally:
        notifier.stop()


def test_without_anybody_to_tell_there_is_no_thread(store: SqlStore, clock: Clock) -> None:
    """Most servers have no validator, and pay nothing."""
    before = threading.active_count()
    notifier = Notifier(store, {}, clock)
    notifier.start()

    assert threading.active_count() == before
    notifier.stop()


def test_one_that_hangs_keeps_neither_the_others_nor_the_end(store: SqlStore, clock: Clock) -> None:
    """The end of the server is a matter of seconds; what hangs is told by the next start."""
    go_on = threading.Event()
    told = Told()

    def hang(one: Notification) -> None:
        if one.reason == "reason 0":
            go_on.wait(60)

    told.fails = hang
    add(store, 3)
    notifier = Notifier(store, {"mdm": told}, clock)
    notifier.start()
    assert await_(lambda: len(told.heard) == 2)
    started = time.monotonic()
    notifier.stop()
    seconds = time.monotonic() - started
    left = claim(store, clock.now + FIRST_PAUSE)
    go_on.set()

    assert seconds < 6
    assert [one.notification.reason for one in left] == ["reason 0"]


def test_a_validator_that_is_down_keeps_no_other_waiting(store: SqlStore, clock: Clock) -> None:
    """However much is to be told to it, before and after; of its own it has so many places and no more."""
    go_on, told = threading.Event(), Told()

    def hang(_: Notification) -> None:
        go_on.wait(60)

    down = Told("down", fails=hang)
    for number in range(3 * AT_ONCE):
        keep(store, failed("down", f"reason {number}"))
    notifier = Notifier(store, {"down": down, "mdm": told}, clock)
    notifier.start()
    try:
        assert await_(lambda: down.tries == AT_ONCE)
        started = time.monotonic()
        add(store, 3)
        assert await_(lambda: len(told.heard) == 3)
        seconds, tries = time.monotonic() - started, down.tries
        go_on.set()
        assert await_(lambda: len(down.heard) == 3 * AT_ONCE and is_empty(store))
    finally:
        go_on.set()
        notifier.stop()

    assert seconds < 3
    assert tries == AT_ONCE


def keep(store: SqlStore, notification: Notification) -> None:
    store.transact(lambda repository: repository.add_notification(notification, NOW))


def test_idle_it_is_done_at_once(store: SqlStore, clock: Clock) -> None:
    """It sleeps until something is there, and wakes to end."""
    notifier = Notifier(store, {"mdm": Told()}, clock)
    notifier.start()
    time.sleep(0.2)
    started = time.monotonic()

    notifier.stop()

    assert time.monotonic() - started < 1.5


def test_idle_it_hardly_looks(store: SqlStore, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every few seconds, for what other processes have left; and takes nobody's turn to write."""
    looks: list[float] = []
    read = store.read

    def look(work: Callable[..., object]) -> object:
        looks.append(time.monotonic())
        return read(work)

    monkeypatch.setattr(store, "read", look)
    monkeypatch.setattr(store, "transact", lambda _: pytest.fail("it wrote"))
    notifier = Notifier(store, {"mdm": Told()}, clock)
    notifier.start()
    time.sleep(1.0)
    notifier.stop()

    assert 1 <= len(looks) <= 2


def test_of_many_that_claim_at_once_each_row_goes_to_one(url: str) -> None:
    """Every serving process has its own notifier; a validator must not hear each thing from all of them."""
    stores = [open_store(url) for _ in range(4)]
    add(stores[0], 40)

    with ThreadPoolExecutor(4) as pool:
        claimed = [one for some in pool.map(lambda store: claim(store, most=40), stores) for one in some]
        again = list(pool.map(claim, stores))
    later = claim(stores[0], NOW + FIRST_PAUSE, 40)
    for store in stores:
        store.close()

    assert len({one.id for one in claimed}) == len(claimed) == 40
    assert again == [[], [], [], []]
    # Whoever claimed them died: somebody else has them a minute later.
    assert {one.id for one in later} == {one.id for one in claimed}
    assert {one.attempts for one in later} == {2}


def test_what_is_undone_is_not_told(store: SqlStore) -> None:
    """It is written in the transaction that issues, and gone with it."""

    def work(repository: object) -> None:
        repository.add_notification(failed("mdm"), NOW)  # type: ignore[attr-defined]
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        store.transact(work)

    assert is_empty(store)


def test_a_real_receiver_hears_it_signed(store: SqlStore) -> None:
    """The whole way, over HTTP."""
    with running(Service(lambda _: Reply(204))) as service:
        notifier = Notifier(store, {"mdm": webhook(service)}, lambda: datetime.now(UTC))
        notifier.start()
        try:
            add(store, at=datetime.now(UTC))
            assert await_(lambda: is_empty(store))
        finally:
            notifier.stop()

        (request,) = service.received
    assert request.path == "/told"
    assert is_genuine(request)
