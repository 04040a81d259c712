"""Notices workers that live and do nothing: stopped by somebody, frozen, or stuck in a disk that fails.

Nobody else would end them, and what they hold is missed by all: connections, and the turn to write.
"""

import time
from collections.abc import Iterable

from app.workers.child import Child

# A loop turns once a second, or as soon as a database that hangs was given up, which takes several times
# seven seconds at worst.
LOOK_SECONDS = 2.0
MOST_LOOKS = 15


class Watch:
    """Looks every :data:`LOOK_SECONDS`, and counts how often in vain: a machine that slept is no reason."""

    def __init__(self) -> None:
        self._next = 0.0
        # How often each had turned its loop, and how often it was found so.
        self._seen: dict[int, tuple[int, int]] = {}

    def find_stuck(self, children: Iterable[Child]) -> list[Child]:
        """Those that were found where they were :data:`MOST_LOOKS` times; each once. To be asked often."""
        now = time.monotonic()
        if now < self._next:
            return []
        self._next = now + LOOK_SECONDS
        seen, stuck = {}, []
        for child in children:
            turns = child.turns
            before, looks = self._seen.get(child.pid, (0, 0))
            # One that begins may take as long as it does.
            looks = looks + 1 if turns and turns == before else 0
            seen[child.pid] = turns, looks
            if looks == MOST_LOOKS:
                stuck.append(child)
        self._seen = seen
        return stuck
