"""Requests served in rounds: all that are there at once run together in one thread and share a commit.

Each runs in a greenlet of its own. Where one is about to commit it steps aside for the rest of its
round (:func:`let_others_catch_up`), so that the store finds the work of all of them waiting. Threads
would do the same at a third more CPU: each enrolment would be handed over four times.
"""

import logging
from collections import deque
from collections.abc import Callable

from bottle import request
from greenlet import GreenletExit, getcurrent, greenlet

log = logging.getLogger(__name__)
# More would keep the first ones waiting and gain nothing: a commit shared by so many costs next to nothing.
MOST_AT_ONCE = 16


class Rounds:
    """The tasks that wait, and the loop that serves them."""

    def __init__(self) -> None:
        self._waiting: deque[Callable[[], None]] = deque()
        self._runners: list[_Runner] = []

    def add(self, task: Callable[[], None]) -> None:
        """Have *task* run in the next round."""
        self._waiting.append(task)

    def __bool__(self) -> bool:
        return bool(self._waiting)

    def run(self) -> None:
        """Serve one round to its end."""
        count = min(len(self._waiting), MOST_AT_ONCE)
        while len(self._runners) < count:
            self._runners.append(_Runner())
        for runner in self._runners[:count]:
            runner.serve(self._waiting.popleft())
        while parked := [runner for runner in self._runners if runner.task]:
            for runner in parked:
                runner.switch()


def let_others_catch_up() -> None:
    """Step aside until the others of the round wait as well, or are done; outside a round do nothing."""
    hub = getcurrent().parent
    if hub is not None:
        # Bottle keeps the request it is at in a variable of the thread.
        environ = request.environ
        hub.switch()
        request.bind(environ)


class _Runner(greenlet):
    """Serves one task after the other: each new greenlet has the system map memory for it."""

    task: Callable[[], None] | None = None

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
