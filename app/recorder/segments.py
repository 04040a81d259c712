"""The files of the folder ``recordings``: each of one process, recordings one a line, the oldest swept away.

A process appends to two at a time, one for refusals and one for the rest, and begins others when these are
long or old; nobody ever changes a line. So a process that dies leaves at worst half a line, several servers
need not know of each other, and what is to go goes by whole files.
"""

import re
import secrets
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

_NAME = re.compile(r"(\d{13})-([0-9a-f]{6})(\.refused)?\.jsonl")
# Of one file, but for what is written at once: so much too many is kept at most. With that it is less than
# what `inspect` takes.
MOST_LINES = 200
MOST_OCTETS = 3 << 20
MOST_SECONDS = 24 * 3600


@dataclass(frozen=True, slots=True)
class Limits:
    """What is kept: so many exchanges and refusals, the newest, for so long, and so many octets in all.

    With 0 of a kind there is none of it. Where it is not *on* nothing comes to what there is already, which
    goes as it would have gone.
    """

    exchanges: int
    refusals: int
    age: timedelta
    refusal_age: timedelta
    octets: int
    on: bool = True

    def most(self, *, refused: bool) -> int:
        """How many of a kind."""
        return self.refusals if refused else self.exchanges


# Before the settings are known: nothing is recorded, and nothing swept away.
NOTHING = Limits(0, 0, timedelta(0), timedelta(0), 0, on=False)


@dataclass(frozen=True, slots=True)
class Segment:
    """A file by its name: when it was begun, in seconds since 1970, by what its recordings are called."""

    path: Path
    began: float
    token: str
    refused: bool


def new_segment(folder: Path, *, refused: bool) -> Segment:
    """Where a new one will be; nothing is made."""
    now, token = time.time(), secrets.token_hex(3)
    name = f"{int(now * 1000):013d}-{token}{'.refused' if refused else ''}.jsonl"
    return Segment(folder / name, now, token, refused)


def list_segments(folder: Path) -> list[Segment]:
    """Those there are, the oldest first; none where there is no such folder.

    Raises:
        OSError: The folder cannot be read.

    """
    try:
        names = sorted(one.name for one in folder.iterdir())
    except FileNotFoundError:
        return []
    found = ((name, _NAME.fullmatch(name)) for name in names)
    return [Segment(folder / name, int(is_[1]) / 1000, is_[2], bool(is_[3])) for name, is_ in found if is_]


def sweep(folder: Path, limits: Limits) -> None:
    """Remove the oldest that the newer ones leave no room for. Several may do so at a time."""
    segments = list_segments(folder)
    for refused, age in ((False, limits.age), (True, limits.refusal_age)):
        of_kind = [one for one in segments if one.refused is refused]
        _sweep(reversed(of_kind), limits.most(refused=refused), age)
    # What was not refused is missed the least.
    left = sorted(list_segments(folder), key=lambda one: (not one.refused, one.began))
    octets = {one: _octets(one) for one in left}
    total = sum(octets.values())
    for one in (*(one for one in left if not one.refused), *(one for one in left if one.refused)):
        if total <= limits.octets:
            break
        total -= octets[one]
        _remove(one)


def _sweep(newest_first: Iterable[Segment], most: int, age: timedelta) -> None:
    kept = 0
    for one in newest_first:
        if kept >= most or time.time() - _written(one) > age.total_seconds():
            _remove(one)
        else:
            kept += _count(one)


def _count(one: Segment) -> int:
    with suppress(OSError):
        return one.path.read_bytes().count(b"\n")
    return 0


def _octets(one: Segment) -> int:
    with suppress(OSError):
        return one.path.stat().st_size
    return 0


def _written(one: Segment) -> float:
    """When something was last written to it; its beginning where that cannot be found out."""
    with suppress(OSError):
        return one.path.stat().st_mtime
    return one.began


def _remove(one: Segment) -> None:
    # Windows keeps what somebody reads; another sweep will find it.
    with suppress(OSError):
        one.path.unlink()
