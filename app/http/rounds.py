"""Requests served in rounds: all that are there at once run together in one thread and share a commit.

Each runs in a greenlet of its own. Where one is about to commit it steps aside for the rest of its
round (:func:`let_others_catch_up`), so that the store finds the work of all of them waiting; so it does
where it needs SCEP's key (:mod:`app.http.round_keys`). Threads would do the same at a third more CPU: each
enrolment would be handed over four times.

What computes for long and has nothing to do with the others leaves its round (:func:`do_elsewhere`), and
so do what waits for somebody outside (:func:`wait_elsewhere`) and what reads for long
(:func:`read_elsewhere`).
"""

import logging
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, TypeVar

from bottle import request
from greenlet import GreenletExit, getcurrent, greenlet

from app.daemon_pool import DaemonPool, PoolFull
from ca.errors import ValidatorUnavailable

T = TypeVar("T")
log = logging.getLogger(__name__)
# More would keep the first ones waiting and gain nothing: a commit shared by so many costs next to nothing.
MOST_AT_ONCE = 24
# One thread a process: who makes it compute for long waits for his like, and not the others for him.
_ELSEWHERE = ThreadPoolExecutor(1, "elsewhere")
# Waiting costs no CPU, so that many may; no end of the program waits for them. Whoever comes when as many
# again wait for a free one would be answered too late, and is answered at once.
MOST_WAITING = 32
# One for each that is waited for: one that hangs must not take the places of who asks another.
_WAITING: dict[str, DaemonPool] = {}
# Whoever reads behind so many others has given up by then.
_READING = DaemonPool(1, "reading", most_queued=4)


class Rounds:
    """The tasks that wait, and the loop that serves them.

    *wake* is called, from another thread, when a task that had left can come back into a round.
    """

    def __init__(self, wake: Callable[[], None] = lambda: None) -> None:
        self.wake = wake
        self._waiting: deque[Callable[[], None]] = deque()
        self._runners: list[_Runner] = []

    def add(self, task: Callable[[], None]) -> None:
        """Have *task* run in the next round."""
        self._waiting.append(task)

    def count_waiting(self) -> int:
        """How many tasks no round has begun with yet."""
        return len(self._waiting)

    def __bool__(self) -> bool:
        """Whether there is anything to do now."""
        return bool(self._waiting) or any(runner.is_parked for runner in self._runners)

    def run(self) -> None:
        """Serve one round to its end, or until all that is left of it is elsewhere."""
        count = min(len(self._waiting), MOST_AT_ONCE)
        free = [runner for runner in self._runners if runner.task is None]
        while len(free) < count:
            free.append(_Runner(self))
            self._runners.append(free[-1])
        for runner in free[:count]:
            runner.serve(self._waiting.popleft())
        while parked := [runner for runner in self._runners if runner.is_parked]:
            for runner in parked:
                runner.switch()


def let_others_catch_up() -> None:
    """Step aside until the others of the round wait as well, or are done.

    Outside a round, and where others wait for this one (:func:`staying`), do nothing.
    """
    one = getcurrent()
    hub = one.parent
    if hub is not None and not getattr(one, "stays", False):
        # Bottle keeps the request it is at in a variable of the thread.
        environ = request.environ
        hub.switch()
        request.bind(environ)


@contextmanager
def staying() -> Iterator[None]:
    """Hold what the others of the round wait for, such as a transaction: nobody steps aside with it."""
    one = getcurrent()
    if not isinstance(one, _Runner):
        yield
        return
    one.stays = True
    try:
        yield
    finally:
        one.stays = False


def do_elsewhere(work: Callable[[], object]) -> None:
    """Have *work* done in another thread, and be out of the round meanwhile; outside a round do it here.

    It must be such that lets other threads run, and that no transaction is open around it.
    """
    _leave(work, _ELSEWHERE.submit)


def wait_elsewhere(name: str, work: Callable[[], T]) -> T:
    """Have *work*, which waits for the validator *name*, done in another thread, and return what it returns.

    Outside a round it is done here. No transaction may be open around it.

    Raises:
        ValidatorUnavailable: Too many wait for that one already.

    """
    pool = _WAITING.get(name)
    if pool is None:
        pool = _WAITING[name] = DaemonPool(MOST_WAITING, f"waiting for {name}", most_queued=MOST_WAITING)
    try:
        return _leave(work, pool.submit)
    except PoolFull as error:
        detail = f"validator {name}: {2 * MOST_WAITING} requests wait for it already"
        raise ValidatorUnavailable(detail=detail) from error


def read_elsewhere(work: Callable[[], T]) -> T | None:
    """Have *work*, which reads much of the database, done in another thread, and return what it returns.

    Outside a round it is done here. None where too many wait for that already.
    """
    try:
        return _leave(work, _READING.submit)
    except PoolFull:
        return None


def _leave(work: Callable[[], T], submit: Callable[[Callable[[], T]], Future[T]]) -> T:
    """Do *work* out of the round, where there is one."""
    runner = getcurrent()
    if not isinstance(runner, _Runner) or runner.parent is None:
        return work()
    environ = request.environ
    runner.away = done = submit(work)
    done.add_done_callback(lambda _: runner.rounds.wake())
    runner.parent.switch()
    request.bind(environ)
    runner.away = None
    return done.result()


class _Runner(greenlet):
    """Serves one task after the other: each new greenlet has the system map memory for it."""

    task: Callable[[], None] | None = None
    away: Future[Any] | None = None
    stays = False

    def __init__(self, rounds: Rounds) -> None:
        super().__init__()
        self.rounds = rounds

    @property
    def is_parked(self) -> bool:
        """Whether its task stepped aside and can go on."""
        return self.task is not None and (self.away is None or self.away.done())

    def serve(self, task: Callable[[], None]) -> None:
        """Begin with *task*, and return when it is done or has stepped aside."""
        self.task = task
        self.switch()

    def run(self) -> None:
        """What a greenlet does: whenever it is switched to, it goes on from here."""
        while self.task and self.parent:
            try:
                self.task()
            except GreenletExit:
                raise
            except BaseException:
                log.exception("a request ended in a fault of the server")
            self.task = None
            self.parent.switch()
