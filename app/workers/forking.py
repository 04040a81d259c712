"""Workers that are copies of their parent: what it has loaded they share with it. POSIX alone."""

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass

from app.terminal import Terminal
from app.workers.child import Service, live
from app.workers.memory import make_counts, view_counts
from app.workers.share import Share
from app.workers.signals import heed_signals, held_back, let_through


@dataclass(frozen=True, slots=True)
class _Forked:
    pid: int

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
        # Nobody writes to it: it comes to its end with this process.
        self._lifeline, self._held = os.pipe()
        # Where it was ignored, the system would not tell of a child's end.
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)

    def begin(self, slot: int) -> _Forked:
        """Start one."""
        # A signal has to find the handlers of its own process.
        with held_back():
            pid = os.fork()
            if not pid:
                live(lambda: self._serve(slot))
        return _Forked(pid)

    def wait(self) -> Iterator[tuple[int, int]]:
        """Wait for one. The first process of a container inherits other people's orphans."""
        pid, status = os.wait()
        yield pid, os.waitstatus_to_exitcode(status)

    def _serve(self, slot: int) -> None:
        os.close(self._held)
        service = self._make_service(Share(self._connections, slot))
        heed_signals(service, self._terminal)
        let_through()
        service.run(self._lifeline)
