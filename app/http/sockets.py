"""The sockets of a process, and which of them there is something to do for.

waitress's own loop asks every connection at every turn what it waits for, which costs milliseconds where
there are thousands that idle. Here only those are asked with which something happened.
"""

import selectors
from collections.abc import Iterable
from typing import Any

from waitress import wasyncore


class Sockets(dict[int, Any]):
    """waitress's map of what its loop looks after, by the number of the socket."""

    def __init__(self) -> None:
        super().__init__()
        self._selector = selectors.DefaultSelector()
        # What each waits for, where it waits for anything.
        self._wanted: dict[int, int] = {}
        self._stirred: set[int] = set()

    def __setitem__(self, number: int, one: Any) -> None:
        self._forget(number)
        super().__setitem__(number, one)
        self._stirred.add(number)

    def __delitem__(self, number: int) -> None:
        super().__delitem__(number)
        self._forget(number)

    def stir(self, numbers: Iterable[int]) -> None:
        """Have these be asked anew what they wait for."""
        self._stirred.update(numbers)

    def turn(self, seconds: float) -> None:
        """Wait so long at most for something to happen, and have it dealt with."""
        stirred, self._stirred = self._stirred, set()
        for number in stirred:
            if number in self:
                self._register(number, self[number])
        for key, events in self._selector.select(seconds):
            # One of those before it may have closed it, and another may have its number by now.
            if self.get(key.fd) is not key.data:
                continue
            self._stirred.add(key.fd)
            if events & selectors.EVENT_READ:
                wasyncore.read(key.data)
            if events & selectors.EVENT_WRITE and self.get(key.fd) is key.data:
                wasyncore.write(key.data)

    def close(self) -> None:
        """Close whatever is still open."""
        for one in list(self.values()):
            one.close()
        self._selector.close()

    def _register(self, number: int, one: Any) -> None:
        wanted = selectors.EVENT_READ if one.readable() else 0
        # One that listens waits for nobody to read.
        if not one.accepting and one.writable():
            wanted |= selectors.EVENT_WRITE
        if wanted == self._wanted.get(number, 0):
            return
        if not wanted:
            self._forget(number)
            return
        change = self._selector.modify if number in self._wanted else self._selector.register
        change(number, wanted, one)
        self._wanted[number] = wanted

    def _forget(self, number: int) -> None:
        if self._wanted.pop(number, 0):
            self._selector.unregister(number)
