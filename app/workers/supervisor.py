"""The parent of the processes that serve: it starts them, anew those that die or hang, and ends them."""

import logging
import os
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from app.terminal import Terminal
from app.workers.child import Child, Nursery, Service
from app.workers.memory import make_counts, view_counts
from app.workers.share import Share
from app.workers.signals import heed_signals
from app.workers.watch import Watch
from ca.journal import log_line

log = logging.getLogger(__name__)
# SQLite lets one process write at a time, so that more gain little.
_MOST_BY_DEFAULT = 4
_PAUSE_SECONDS = 1.0


def settle_workers(wanted: int) -> int:
    """How many there will be: as wanted, where 0 is one for each core up to four."""
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return wanted or min(usable or 1, _MOST_BY_DEFAULT)


def run_workers(
    make_service: Callable[[Share], Service],
    make_anew: Callable[[Share], Service],
    count: int,
    on_ready: Callable[[], None] = lambda: None,
    on_stop: Callable[[], None] = lambda: None,
) -> None:
    """Serve in *count* processes, a single one being this; return when told to stop by a signal.

    Each serves with what *make_service* makes of what this process has, or *make_anew* where the system
    cannot fork: that is pickled, and called in a process that has nothing of this one.

    A hangup (POSIX) has one of them reload, or ends all where it tells that their terminal was closed.
    *on_ready* is called as soon as a signal would be heeded, *on_stop* in this process when it is told to
    stop and others serve.
    """
    terminal = Terminal()
    if count == 1:
        service = make_service(Share(view_counts(make_counts(1)), view_counts(make_counts(1)), 0))
        heed_signals(service, terminal)
        on_ready()
        service.run()
        return
    workers = _Workers(_make_nursery(make_service, make_anew, count, terminal), count, on_stop)
    heed_signals(workers, terminal)
    on_ready()
    workers.run()


def _make_nursery(
    make_service: Callable[[Share], Service],
    make_anew: Callable[[Share], Service],
    count: int,
    terminal: Terminal,
) -> Nursery:
    # Each loads what the other has no use for.
    if hasattr(os, "fork"):
        from app.workers.forking import Forking

        return Forking(make_service, count, terminal)
    from app.workers.spawning import Spawning

    return Spawning(make_anew, count)


@dataclass(frozen=True, slots=True)
class _Born:
    child: Child
    slot: int
    at: float


class _Workers:
    """Children of this process, each with a service of its own."""

    def __init__(self, nursery: Nursery, count: int, on_stop: Callable[[], None]) -> None:
        self._nursery = nursery
        self._on_stop = on_stop
        self._count = count
        self._children: dict[int, _Born] = {}
        self._watch = Watch()
        self._stopping = False
        # What signals ask for while a child begins that nobody could tell yet.
        self._beginning = False
        self._asked: deque[Callable[[], None]] = deque()

    def run(self) -> None:
        """Start all, start anew those that end by themselves, and return when all were told to end."""
        for slot in range(self._count):
            self._begin(slot)
        while self._children:
            for pid, code in self._nursery.wait():
                self._mourn(pid, code)
            self._end_stuck()

    def stop(self) -> None:
        """Tell all to finish what is in flight."""
        self._ask(self._stop)

    def reload(self) -> None:
        """Tell one: what it takes in, the others see."""
        self._ask(self._reload)

    def _ask(self, order: Callable[[], None]) -> None:
        self._asked.append(order)
        if not self._beginning:
            self._do_what_was_asked()

    def _do_what_was_asked(self) -> None:
        while self._asked:
            self._asked.popleft()()

    def _stop(self) -> None:
        self._stopping = True
        self._on_stop()
        for born in self._children.values():
            born.child.stop()

    def _reload(self) -> None:
        if self._children:
            min(self._children.values(), key=lambda born: born.slot).child.reload()

    def _begin(self, slot: int) -> None:
        self._beginning = True
        if not self._stopping:
            child = self._nursery.begin(slot)
            self._children[child.pid] = _Born(child, slot, time.monotonic())
        self._beginning = False
        self._do_what_was_asked()

    def _end_stuck(self) -> None:
        for child in self._watch.find_stuck([born.child for born in self._children.values()]):
            reason = "a worker does nothing any more: it was stopped, or its disk hangs; it is killed"
            log.error(log_line(worker=child.pid, reason=reason))
            child.kill()

    def _mourn(self, pid: int, code: int) -> None:
        born = self._children.pop(pid, None)
        # It may be no child of ours.
        if born is None or self._stopping:
            return
        log.error(log_line(worker=pid, reason="a worker ended by itself; another begins", exit_code=code))
        if time.monotonic() - born.at < self._nursery.short_life_seconds:
            time.sleep(_PAUSE_SECONDS)
        self._begin(born.slot)
