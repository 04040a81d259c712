"""Requests served in rounds: all that are there at once run together in one thread and share a commit.

Each runs in a greenlet of its own. Where one is about to commit it steps aside for the rest of its
round (:func:`let_others_catch_up`), so that the store finds the work of all of them waiting. Threads
would do the same at a third more CPU: each enrolment would be handed over four times.
"""

import logging
from collections import deque
from collections.abc import Callable

from bottle import request
from greenlet import getcurrent, greenlet

log = logging.getLogger(__name__)
# More would keep the first ones waiting and gain nothing: a commit shared by so many costs next to nothing.
MOST_AT_ONCE = 16


class Rounds:
    """The tasks that wait, and the loop that serves them."""

    def __init__(self) -> None:
        self._waiting: deque[Callable[[], None]] = deque()

    def add(self, task: Callable[[], None]) -> None:
        """Have *task* run in the next round."""
        self._waiting.append(task)

    def __bool__(self) -> bool:
        return bool(self._waiting)

    def run(self) -> None:
        """Serve one round to its end."""
        count = min(len(self._waiting), MOST_AT_ONCE)
        running = [greenlet(_guarded) for _ in range(count)]
        for one in running:
            one.switch(self._waiting.popleft())
        while running := [one for one in running if not one.dead]:
            for one in running:
                one.switch()


def let_others_catch_up() -> None:
    """Step aside until the others of the round wait as well, or are done; outside a round do nothing."""
    hub = getcurrent().parent
    if hub is not None:
        # Bottle keeps the request it is at in a variable of the thread.
        environ = request.environ
        hub.switch()
        request.bind(environ)


def _guarded(task: Callable[[], None]) -> None:
    try:
        task()
    except Exception:
        log.exception("a request ended in a fault of the server")
