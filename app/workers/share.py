"""How the connections of one address are shared out among the processes that serve it."""

_MASK = 0xFFFF_FFFF


class Share:
    """How many connections this worker has, beside what the others have: *counts*, one for each *slot*.

    *turns*, one for each as well, tell the parent how often they have turned their loops.
    """

    def __init__(self, counts: memoryview, turns: memoryview, slot: int) -> None:
        self._counts = counts
        self._turns = turns
        self._slot = slot

    @property
    def slot(self) -> int:
        """Its number, which whoever takes its place has too."""
        return self._slot

    @property
    def is_first(self) -> bool:
        """Whether this is the worker that does what one alone can do; there is always one."""
        return self._slot == 0

    def note(self, connections: int) -> None:
        """Tell the others how many they are now, at each turn of the loop."""
        self._counts[self._slot] = connections
        self._turns[self._slot] = (self._turns[self._slot] + 1) & _MASK

    def is_ahead(self, more: int = 0) -> bool:
        """Whether some other worker has clearly fewer than this one, once it has *more*.

        A quarter more is not: were they always even, each would take a connection or two, and serve a round
        before it takes the next.
        """
        own = self._counts[self._slot] + more
        others = (count for slot, count in enumerate(self._counts) if slot != self._slot)
        return bool(own > 1 + 1.25 * min(others, default=own))
