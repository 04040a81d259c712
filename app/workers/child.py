"""What a worker is, to the parent and in the process that it is, however that came to life."""

import logging
import os
from collections.abc import Callable, Iterable
from typing import NoReturn, Protocol

from app.workers.signals import Heeding

log = logging.getLogger(__name__)


class Service(Heeding, Protocol):
    """What a worker does."""

    def run(self, lifeline: int | None = None) -> None:
        """Serve until told to stop, or until the file descriptor *lifeline* comes to its end."""


class Child(Heeding, Protocol):
    """A worker as its parent sees it."""

    @property
    def pid(self) -> int:
        """The number of its process."""

    @property
    def turns(self) -> int:
        """How often it has turned its loop; 0: it has not begun to."""

    def kill(self) -> None:
        """End it at once, whatever it does."""


class Nursery(Protocol):
    """How workers come to life. Each ends when this process is gone, however it went.

    One that lives for less than *short_life_seconds* has hardly done more than begin.
    """

    short_life_seconds: float

    def begin(self, slot: int) -> Child:
        """Start the worker for that slot.

        Raises:
            OSError: The system has no room for another process.

        """

    def wait(self) -> Iterable[tuple[int, int]]:
        """Wait for a second at most for workers that end; the numbers of their processes, and exit codes.

        There may be none, and strangers' children among them.
        """


def live(serve: Callable[[], None]) -> NoReturn:
    """Be a worker: *serve*, and end the process with 0, or with 1 where that fails.

    Where *serve* has told the log why, it raises SystemExit.
    """
    status = 1
    try:
        serve()
        status = 0
    except SystemExit:
        pass
    except BaseException:
        log.exception("a worker failed")
    finally:
        logging.shutdown()
        os._exit(status)
