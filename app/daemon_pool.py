"""A pool of threads for what waits for other programs: bounded, and nothing that the program's end waits for.

``ThreadPoolExecutor`` has the interpreter wait for its threads at the end, and those here may hang.
"""

import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeVar

T = TypeVar("T")


class PoolFull(Exception):
    """All threads are busy, and as many wait for one as may."""


class DaemonPool:
    """Up to *most* threads, each started when it is first needed; *most_queued* may wait for one.

    Made before a fork and first used after it, it is the child's own.
    """

    def __init__(self, most: int, name: str, *, most_queued: int) -> None:
        self._most = most
        self._name = name
        self._most_queued = most_queued
        self._condition = threading.Condition()
        self._queue: deque[tuple[Callable[[], Any], Future[Any]]] = deque()
        self._threads = 0
        self._busy = 0

    def submit(self, work: Callable[[], T]) -> Future[T]:
        """Have *work* done.

        Raises:
            PoolFull: It would have to wait behind too many.

        """
        future: Future[T] = Future()
        with self._condition:
            there = self._busy + len(self._queue)
            if there >= self._most + self._most_queued:
                raise PoolFull(f"{self._busy} threads are busy, and {len(self._queue)} wait for one")
            self._queue.append((work, future))
            if self._threads < min(there + 1, self._most):
                name = f"{self._name}-{self._threads}"
                threading.Thread(target=self._serve, name=name, daemon=True).start()
                self._threads += 1
            self._condition.notify()
        return future

    def _serve(self) -> None:
        while True:
            with self._condition:
                while not self._queue:
                    self._condition.wait()
                work, future = self._queue.popleft()
                self._busy += 1
            try:
                result = work()
            except BaseException as error:
                self._leave()
                future.set_exception(error)
            else:
                self._leave()
                future.set_result(result)
                del result
            # A thread that idles must not keep what it worked with alive.
            del work, future

    def _leave(self) -> None:
        """Be free again, before whoever waits for the result comes with more."""
        with self._condition:
            self._busy -= 1
