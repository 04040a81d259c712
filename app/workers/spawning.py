"""Workers that begin as a new Python: Windows cannot fork.

A new process is handed what was pickled for it, with the sockets, the memory and the lock that all of them
share; it imports the program anew, and is told by a pipe what its parent wants of it. The parts are those
of :mod:`multiprocessing`, which run wherever Python does.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from multiprocessing.reduction import ForkingPickler
from typing import Any, NoReturn

from app.workers.child import Service, live
from app.workers.memory import make_counts, view_counts
from app.workers.share import Share
from app.workers.signals import ignore_console

_STOP, _RELOAD = b"stop", b"reload"
# Windows waits for no more at once (and for none of them while it handles a signal); so all are looked at
# after so many seconds at most.
_MOST_WAITED_FOR = 60
_LOOK_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class _Spawned:
    pid: int
    process: SpawnProcess
    orders: Connection
    slot: int
    all_turns: memoryview

    @property
    def turns(self) -> int:
        return int(self.all_turns[self.slot])

    def kill(self) -> None:
        self.process.kill()

    def stop(self) -> None:
        self._tell(_STOP)

    def reload(self) -> None:
        self._tell(_RELOAD)

    def _tell(self, order: bytes) -> None:
        # It may have ended meanwhile.
        with suppress(OSError):
            self.orders.send_bytes(order)


class Spawning:
    """A :class:`app.workers.child.Nursery` whose children do what *make_service* makes, which is pickled."""

    # To begin takes a second of a core, and on a busy machine several.
    short_life_seconds = 10.0

    def __init__(self, make_service: Callable[[Share], Service], count: int) -> None:
        self._context = get_context("spawn")
        turns = make_counts(count)
        self._sealed = _Sealed((make_service, make_counts(count), turns))
        self._turns = view_counts(turns)
        self._children: list[_Spawned] = []

    def begin(self, slot: int) -> _Spawned:
        """Start one."""
        self._turns[slot] = 0
        theirs, ours = self._context.Pipe(duplex=False)
        with theirs:
            process = self._context.Process(
                target=_be_worker, args=(self._sealed, slot, theirs), name=f"worker {slot}", daemon=True
            )
            process.start()
        self._children.append(_Spawned(process.pid or 0, process, ours, slot, self._turns))
        return self._children[-1]

    def wait(self) -> Iterator[tuple[int, int]]:
        """Wait for a while for any of them."""
        # Ctrl-C, whose handler has run by now.
        with suppress(InterruptedError):
            wait([one.process.sentinel for one in islice(self._children, _MOST_WAITED_FOR)], _LOOK_SECONDS)
        for child in list(self._children):
            code = child.process.exitcode
            if code is not None:
                self._children.remove(child)
                child.orders.close()
                child.process.close()
                yield child.pid, code


class _Sealed:
    """Something in a process that is spawned, not unpickled before it is asked for.

    That imports most of the program, which takes a while in which a signal may come.
    """

    def __init__(self, content: Any) -> None:
        self._content = content

    def __reduce__(self) -> tuple[type["_Sealed"], tuple[bytes]]:
        return _Sealed, (bytes(ForkingPickler.dumps(self._content)),)

    def open(self) -> Any:
        return ForkingPickler.loads(self._content)


def _be_worker(sealed: _Sealed, slot: int, orders: Connection) -> NoReturn:
    ignore_console()
    live(lambda: _serve(sealed, slot, orders))


def _serve(sealed: _Sealed, slot: int, orders: Connection) -> None:
    make_service, connections, turns = sealed.open()
    service = make_service(Share(view_counts(connections), view_counts(turns), slot))
    threading.Thread(target=_obey, args=(orders, service), name="orders", daemon=True).start()
    service.run()


def _obey(orders: Connection, service: Service) -> None:
    """Pass on what the parent wants; its end is the end of what it says."""
    with suppress(EOFError, OSError):
        while orders.recv_bytes() != _STOP:
            service.reload()
    service.stop()
