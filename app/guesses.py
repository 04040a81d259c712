"""How many wrong challenge passwords a process takes in: by source, and from all together."""

from limits import RateLimitItemPerSecond
from limits.storage import MemoryStorage
from limits.strategies import SlidingWindowCounterRateLimiter

from ca.policy.source import source_of

MINUTE = 60


class GuessCounter:
    """Counts within a sliding window (see :class:`ca.ports.GuessLimit`).

    What comes beyond a limit would not count if it were right, and so is none of the other either: one
    source cannot use up what there is for all, and no more is kept than *overall* allows. Of several
    processes each has a part of both numbers.
    """

    def __init__(self, by_source: int, overall: int, *, processes: int = 1, seconds: int = MINUTE) -> None:
        self._source = RateLimitItemPerSecond(-(-by_source // processes), seconds, "source")
        self._all = RateLimitItemPerSecond(-(-overall // processes), seconds, "all")
        # Not made before it is needed: it has a thread, which no fork takes along.
        self._limiter: SlidingWindowCounterRateLimiter | None = None

    def note_wrong(self, remote: str) -> None:
        """Count a wrong one."""
        limiter = self._limiter = self._limiter or SlidingWindowCounterRateLimiter(MemoryStorage())
        if limiter.test(self._all) and limiter.hit(self._source, source_of(remote)):
            limiter.hit(self._all)

    def is_exhausted(self, remote: str) -> bool:
        """Whether there were too many of them."""
        limiter = self._limiter
        if limiter is None:
            return False
        return not (limiter.test(self._all) and limiter.test(self._source, source_of(remote)))
