"""How often a source may give a wrong password, and how many are looked at at once."""

import time
from threading import Lock
from typing import TYPE_CHECKING

from ca.policy.source import source_of

if TYPE_CHECKING:
    from limits.strategies import MovingWindowRateLimiter

WRONG_A_MINUTE = 10
# Each takes a tenth of a second and 64 MiB; more of them only wait.
MOST_WAITING = 8


class Attempts:
    """Wrong passwords of the last minute, by source.

    One process alone may count: the worker that serves the site.
    """

    def __init__(self) -> None:
        # Loaded here because it costs an eighth of a second that no other verb needs.
        from limits import RateLimitItemPerMinute

        self._most = RateLimitItemPerMinute(WRONG_A_MINUTE)
        self._made: MovingWindowRateLimiter | None = None
        self._lock = Lock()
        self._waiting = 0

    def wait_for(self, peer: str) -> int:
        """For how many seconds *peer* is not listened to; 0 if it is."""
        source = source_of(peer)
        if self._limiter.test(self._most, source):
            return 0
        ends = self._limiter.get_window_stats(self._most, source).reset_time
        return max(1, round(ends - time.time() + 0.5))

    def count_wrong(self, peer: str) -> None:
        """Note that *peer* gave a wrong password."""
        self._limiter.hit(self._most, source_of(peer))

    def take_place(self) -> bool:
        """Take a place among those whose password is being looked at, if there is one."""
        with self._lock:
            taken = self._waiting < MOST_WAITING
            self._waiting += taken
        return taken

    def give_place(self) -> None:
        """Give it back."""
        with self._lock:
            self._waiting -= 1

    @property
    def _limiter(self) -> "MovingWindowRateLimiter":
        # When first needed, because it starts a thread: that must not be before a fork.
        if self._made is None:
            from limits.storage import MemoryStorage
            from limits.strategies import MovingWindowRateLimiter

            self._made = MovingWindowRateLimiter(MemoryStorage())
        return self._made
