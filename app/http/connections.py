"""The connections of a listener by who made them, and which of them gives way where there are too many."""

from typing import Generic, TypeVar

from ca.policy.source import source_of

C = TypeVar("C")


class Connections(Generic[C]):
    """Who is connected, of each source in the order in which they were last served, or came.

    Where there are too many, the one that has waited longest gives way: it is idle, or sends its request a
    drop at a time. Whoever has just been served, or has just come, has the most time left to ask.
    """

    def __init__(self) -> None:
        self._by_source: dict[str, dict[int, C]] = {}
        self._source_of: dict[int, str] = {}

    def __len__(self) -> int:
        return len(self._source_of)

    def add(self, number: int, remote: str, connection: C) -> None:
        """A connection has come from the address *remote*; *number* is its socket's."""
        source = source_of(remote)
        self._source_of[number] = source
        self._by_source.setdefault(source, {})[number] = connection

    def remove(self, number: int) -> None:
        """It is closed, if it was there."""
        source = self._source_of.pop(number, None)
        if source is None:
            return
        of_source = self._by_source[source]
        del of_source[number]
        if not of_source:
            del self._by_source[source]

    def served(self, number: int) -> None:
        """It has had an answer, and waits from now on."""
        if number in self._source_of:
            of_source = self._by_source[self._source_of[number]]
            of_source[number] = of_source.pop(number)

    def count_like(self, number: int) -> int:
        """How many there are of the source of that one."""
        return len(self._by_source[self._source_of[number]])

    def like(self, number: int) -> list[C]:
        """All of the source of that one, the longest waiting first."""
        return list(self._by_source[self._source_of[number]].values())

    def by_greed(self) -> list[C]:
        """All there are: those of the source that has the most first, and of each the longest waiting."""
        sources = sorted(self._by_source.values(), key=len, reverse=True)
        return [connection for of_source in sources for connection in of_source.values()]
