"""How many queries a process answers one source: GetCert and GetCRL."""

from limits import RateLimitItemPerMinute
from limits.storage import MemoryStorage
from limits.strategies import SlidingWindowCounterRateLimiter

from ca.policy.source import source_of


class QueryCounter:
    """Counts within a sliding minute (see :class:`ca.ports.QueryLimit`).

    Of several processes each has a part of the number.
    """

    def __init__(self, by_source: int, *, processes: int = 1) -> None:
        self._most = RateLimitItemPerMinute(-(-by_source // processes))
        # Not made before it is needed: it has a thread, which no fork takes along.
        self._limiter: SlidingWindowCounterRateLimiter | None = None

    def admits(self, remote: str) -> bool:
        """Count a query that came from the address *remote*, and say whether there is room for it."""
        limiter = self._limiter = self._limiter or SlidingWindowCounterRateLimiter(MemoryStorage())
        return limiter.hit(self._most, source_of(remote))
