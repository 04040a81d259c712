"""Numbers that several processes count in and one of them adds up. Knows no metric.

Each process has a part of the memory of its own and writes in no other, so that none waits for another.
The memory is there before the processes are, and its name on no disk: it outlives each of them, whoever
takes the place of one that died goes on with its numbers, and nothing is left behind to be cleaned away.
"""

import json
from collections.abc import Iterator, Sequence
from typing import Any, TypeAlias

from app.workers.memory import Memory, make_memory

Key: TypeAlias = tuple[str, ...]
# A row takes its key and its numbers, 60 to 250 octets; the system gives no memory that nobody writes to.
PART_OCTETS = 1 << 20
_OCTETS = 8
# In front: how much is in use, in octets, and how many rows there was no room for.
_USED, _LEFT_OUT, _FRONT = 0, 1, 2
# What is in front of each row: the octets of its key, and how many numbers it has.
_HEAD = 2


class SharedNumbers:
    """Rows of numbers, each under a key, in one part for each of so many *processes*.

    *own* is the part of this process, as numbers. *memory* is what another process made for it; whoever is
    spawned has these pickled, and sees the same.
    """

    def __init__(self, processes: int = 1, octets: int = PART_OCTETS, memory: "Memory | None" = None) -> None:
        self._made_of = processes, octets, memory or make_memory(processes * octets)
        whole = memoryview(self._made_of[2]).cast("B")
        self._parts = [_Part(whole[place * octets : (place + 1) * octets]) for place in range(processes)]
        self.take(0)

    def __reduce__(self) -> tuple[type["SharedNumbers"], tuple[Any, ...]]:
        return SharedNumbers, self._made_of

    def take(self, place: int) -> None:
        """Count in the part of that number from now on: this process is the only one that does."""
        part = self._parts[place]
        part.find_rows()
        self.own, self._rows, self._add = part.numbers, part.rows, part.add

    def find(self, key: Key, length: int) -> int:
        """Where in :attr:`own` the numbers of *key* begin; they are zeroes where it is new.

        Whoever changes them has to keep other threads from doing so too. 0 where there is no room for
        another row.
        """
        at = self._rows.get(key)
        return self._add(key, length) if at is None else at

    def read(self) -> Iterator[tuple[Key, list[float]]]:
        """All rows of all processes: a key comes once for each process that has it."""
        for part in self._parts:
            yield from part.read()

    @property
    def left_out(self) -> int:
        """How many rows there was no room for, each time that one was asked for."""
        return int(sum(part.numbers[_LEFT_OUT] for part in self._parts))


class _Part:
    """The memory of one process."""

    def __init__(self, memory: memoryview) -> None:
        self._memory = memory
        self.numbers = memory.cast("d")
        # Where the numbers of each row begin.
        self.rows: dict[Key, int] = {}

    def find_rows(self) -> None:
        """Know the rows that somebody else has made here."""
        self.rows = {key: begins for key, begins, _ in self._walk()}

    def add(self, key: Key, length: int) -> int:
        """Make a row, and return where its numbers begin; 0 where there is no room."""
        name = json.dumps(key).encode()
        row = self._end() // _OCTETS
        begins = row + _HEAD + -(-len(name) // _OCTETS)
        ends = begins + length
        if ends > len(self.numbers):
            self.numbers[_LEFT_OUT] += 1
            return 0
        self._memory[(row + _HEAD) * _OCTETS :][: len(name)] = name
        self.numbers[row], self.numbers[row + 1] = len(name), length
        # Last: whoever reads meanwhile, or takes over after a sudden end, finds whole rows alone.
        self.numbers[_USED] = ends * _OCTETS
        self.rows[key] = begins
        return begins

    def read(self) -> Iterator[tuple[Key, list[float]]]:
        for key, begins, length in self._walk():
            yield key, list(self.numbers[begins : begins + length])

    def _walk(self) -> Iterator[tuple[Key, int, int]]:
        row, end = _FRONT, self._end() // _OCTETS
        while row < end:
            octets, length = int(self.numbers[row]), int(self.numbers[row + 1])
            name = bytes(self._memory[(row + _HEAD) * _OCTETS :][:octets])
            begins = row + _HEAD + -(-octets // _OCTETS)
            yield tuple(json.loads(name)), begins, length
            row = begins + length

    def _end(self) -> int:
        return int(self.numbers[_USED]) or _FRONT * _OCTETS


def add_rows(rows: Sequence[list[float]]) -> list[float]:
    """The sums of rows of one length, place by place."""
    return [sum(numbers) for numbers in zip(*rows, strict=True)]
