"""Several processes that serve the same sockets, and the parent that starts and outlives them.

Python runs one thread at a time, so a second core needs a second process. POSIX only: Windows
cannot fork, and serves with one.
"""

import logging
import mmap
import os
import signal
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass
from typing import NoReturn, Protocol

from app.terminal import Terminal
from ca.journal import log_line

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

log = logging.getLogger(__name__)
# SQLite lets one process write at a time, so that more gain little.
_MOST_BY_DEFAULT = 4
_SHORT_LIFE_SECONDS = 1.0
# The last is Windows' Ctrl-Break.
_ENDS = [getattr(signal, name) for name in ("SIGTERM", "SIGINT", "SIGBREAK") if hasattr(signal, name)]
# Windows has none.
_HANGUPS = [signal.SIGHUP] if hasattr(signal, "SIGHUP") else []
_SIGNALS = [*_ENDS, *_HANGUPS]


class Heeding(Protocol):
    """What signals are for. Both methods are called by a signal handler."""

    def stop(self) -> None:
        """End, once what is in flight is finished."""

    def reload(self) -> None:
        """Take changed settings in."""


class Service(Heeding, Protocol):
    """What a worker does."""

    def run(self, lifeline: int | None = None) -> None:
        """Serve until told to stop, or until the file descriptor *lifeline* comes to its end."""


def settle_workers(wanted: int) -> int:
    """How many there will be: as wanted, where 0 is one for each core up to four; on Windows one."""
    if not hasattr(os, "fork"):
        return 1
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return wanted or min(usable or 1, _MOST_BY_DEFAULT)


class Share:
    """How many connections this worker has, beside what the others have."""

    def __init__(self, counts: memoryview, slot: int) -> None:
        self._counts = counts
        self._slot = slot

    @property
    def slot(self) -> int:
        """Its number, which whoever takes its place has too."""
        return self._slot

    @property
    def is_first(self) -> bool:
        """Whether this is the worker that does what one alone can do; there is always one."""
        return self._slot == 0

    def note(self, connections: int) -> None:
        """Tell the others how many they are now."""
        self._counts[self._slot] = connections

    def is_ahead(self, more: int = 0) -> bool:
        """Whether some other worker has clearly fewer than this one, once it has *more*.

        A quarter more is not: were they always even, each would take a connection or two, and serve a round
        before it takes the next.
        """
        own = self._counts[self._slot] + more
        others = (count for slot, count in enumerate(self._counts) if slot != self._slot)
        return bool(own > 1 + 1.25 * min(others, default=own))


def run_workers(
    make_service: Callable[[Share], Service],
    count: int,
    on_ready: Callable[[], None] = lambda: None,
    on_stop: Callable[[], None] = lambda: None,
) -> None:
    """Serve in *count* processes, a single one being this; return when told to stop by a signal.

    A hangup (POSIX) has one of them reload, or ends all where it tells that their terminal was closed.
    *on_ready* is called as soon as a signal would be heeded, *on_stop* in this process when it is told to
    stop and others serve.
    """
    terminal = Terminal()
    if count == 1:
        service = make_service(Share(_shared_numbers(1), 0))
        _heed_signals(service, terminal)
        on_ready()
        service.run()
    else:
        _Workers(make_service, count, on_ready, on_stop, terminal).run()


def make_turn(count: int) -> Callable[[], AbstractContextManager[None]]:
    """What :class:`Turn` is, where there is more than one process to take turns."""
    return Turn() if count > 1 else nullcontext


class Turn:
    """One process at a time. Made before the fork; a process that dies gives its turn up."""

    def __init__(self) -> None:
        # A file without a name. Locks of lockf belong to processes, and not to what all inherit.
        self._descriptor, name = tempfile.mkstemp(prefix="scepbox-")
        os.unlink(name)

    @contextmanager
    def __call__(self) -> Iterator[None]:
        """Wait for this process's turn, and hold it."""
        fcntl.lockf(self._descriptor, fcntl.LOCK_EX)
        try:
            yield
        finally:
            fcntl.lockf(self._descriptor, fcntl.LOCK_UN)


def _shared_numbers(count: int) -> memoryview:
    """Zeroes that this process and those it forks see alike."""
    return memoryview(mmap.mmap(-1, 4 * count)).cast("I")


@dataclass(frozen=True, slots=True)
class _Child:
    slot: int
    born: float


class _Workers:
    """Children of this process, each with a service of its own."""

    def __init__(
        self,
        make_service: Callable[[Share], Service],
        count: int,
        on_ready: Callable[[], None],
        on_stop: Callable[[], None],
        terminal: Terminal,
    ) -> None:
        self._make_service = make_service
        self._on_ready = on_ready
        self._on_stop = on_stop
        self._count = count
        self._terminal = terminal
        self._connections = _shared_numbers(count)
        self._children: dict[int, _Child] = {}
        self._stopping = False
        # Nobody writes to it: it comes to its end when this process is gone, however it went.
        self._lifeline, self._held = os.pipe()

    def run(self) -> None:
        """Start all, start anew those that end by themselves, and return when all were told to end."""
        _heed_signals(self, self._terminal)
        # Where it was ignored, the system would not tell of a child's end.
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        self._on_ready()
        for slot in range(self._count):
            self._fork(slot)
        while self._children:
            pid, status = os.wait()
            child = self._children.pop(pid, None)
            # The first process of a container inherits other people's orphans.
            if child is None or self._stopping:
                continue
            code = os.waitstatus_to_exitcode(status)
            log.error(log_line(worker=pid, reason="a worker ended by itself; another begins", exit_code=code))
            if time.monotonic() - child.born < _SHORT_LIFE_SECONDS:
                time.sleep(_SHORT_LIFE_SECONDS)
            self._fork(child.slot)

    def stop(self) -> None:
        """Tell all to finish what is in flight."""
        self._stopping = True
        self._on_stop()
        for pid in self._children:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)

    def reload(self) -> None:
        """Tell one: what it takes in, the others see."""
        if self._children:
            pid = min(self._children, key=lambda one: self._children[one].slot)
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGHUP)

    def _fork(self, slot: int) -> None:
        # Held back meanwhile: a signal has to find the handlers of its own process, and the child known.
        signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
        if not self._stopping:
            pid = os.fork()
            if not pid:
                self._live(slot)
            self._children[pid] = _Child(slot, time.monotonic())
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)

    def _live(self, slot: int) -> NoReturn:
        """Be a child."""
        status = 1
        try:
            os.close(self._held)
            service = self._make_service(Share(self._connections, slot))
            _heed_signals(service, self._terminal)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
            service.run(self._lifeline)
            status = 0
        except BaseException:
            log.exception("a worker failed")
        finally:
            logging.shutdown()
            os._exit(status)


def _heed_signals(one: Heeding, terminal: Terminal) -> None:
    for number in _ENDS:
        signal.signal(number, lambda *_: one.stop())
    for number in _HANGUPS:
        signal.signal(number, lambda *_: one.stop() if terminal.is_gone() else one.reload())
