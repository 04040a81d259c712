"""Workers that are copies of their parent: what it has loaded they share with it. POSIX alone."""

import os
import select
import signal
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass

from app.terminal import Terminal
from app.workers.child import Service, live
from app.workers.memory import make_counts, view_counts
from app.workers.share import Share
from app.workers.signals import heed_signals, held_back, let_through

# After so long the parent looks at those that live.
_LOOK_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class _Forked:
    pid: int
    slot: int
    all_turns: memoryview

    @property
    def turns(self) -> int:
        return int(self.all_turns[self.slot])

    def kill(self) -> None:
        self._send(signal.SIGKILL)

    def stop(self) -> None:
        self._send(signal.SIGTERM)

    def reload(self) -> None:
        self._send(signal.SIGHUP)

    def _send(self, number: signal.Signals) -> None:
        with suppress(ProcessLookupError):
            os.kill(self.pid, number)


class Forking:
    """A :class:`app.workers.child.Nursery` whose children do what *make_service* makes."""

    short_life_seconds = 1.0

    def __init__(self, make_service: Callable[[Share], Service], count: int, terminal: Terminal) -> None:
        self._make_service = make_service
        self._terminal = terminal
        self._connections = view_counts(make_counts(count))
        self._turns = view_counts(make_counts(count))
        # Nobody writes to it: it comes to its end with this process.
        self._lifeline, self._held = os.pipe()
        # Each signal puts an octet into it, and so does a child's end, once that is not ignored.
        self._stirred, self._stir = os.pipe()
        os.set_blocking(self._stir, False)
        signal.set_wakeup_fd(self._stir, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)

    def begin(self, slot: int) -> _Forked:
        """Start one."""
        self._turns[slot] = 0
        # A signal has to find the handlers of its own process.
        with held_back():
            pid = os.fork()
            if not pid:
                live(lambda: self._serve(slot))
        return _Forked(pid, slot, self._turns)

    def wait(self) -> Iterator[tuple[int, int]]:
        """Wait for a while for any. The first process of a container inherits other people's orphans."""
        if select.select([self._stirred], [], [], _LOOK_SECONDS)[0]:
            os.read(self._stirred, 1 << 12)
        with suppress(ChildProcessError):
            while True:
                pid, status = os.waitpid(-1, os.WNOHANG)
                if not pid:
                    return
                yield pid, os.waitstatus_to_exitcode(status)

    def _serve(self, slot: int) -> None:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        for descriptor in (self._held, self._stirred, self._stir):
            os.close(descriptor)
        service = self._make_service(Share(self._connections, self._turns, slot))
        heed_signals(service, self._terminal)
        let_through()
        service.run(self._lifeline)
