"""Reads what was recorded: what fits a question, one by its name, or whatever comes. Writes nothing."""

import os
import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from heapq import nlargest
from pathlib import Path
from typing import BinaryIO

from app.recorder.recording import MAX_LINE, NoRecording, Recording, read_recording
from app.recorder.segments import Segment, list_segments

_ID = re.compile(r"([0-9a-f]{6})-[0-9]{1,9}")

# It may just have been swept away, or be on its way out, as Windows says; a folder is none of ours.
_NOT_THERE = (FileNotFoundError, PermissionError, IsADirectoryError)


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which recordings are asked for: those of which all that is not empty is true.

    *transaction* and *serial* are compared without case, *remote* as it is, of *subject* a part.
    """

    transaction: str = ""
    subject: str = ""
    serial: str = ""
    remote: str = ""
    since: datetime | None = None

    def fits(self, one: Recording) -> bool:
        """Whether *one* is asked for."""
        serials = {one.serial.lower(), one.renewal_of.lower()}
        return (
            (not self.transaction or one.transaction_id.lower() == self.transaction.lower())
            and (not self.subject or self.subject.lower() in one.subject.lower())
            and (not self.serial or self.serial.lower() in serials)
            and (not self.remote or one.remote == self.remote)
            and (self.since is None or one.at >= self.since)
        )


def list_recordings(folder: Path, wanted: Wanted, most: int) -> list[Recording]:
    """The newest that are *wanted*, the oldest first. Lines that cannot be read are passed over.

    Raises:
        OSError: The folder cannot be read.

    """
    # No more of them than that are held at a time.
    found = nlargest(most, filter(wanted.fits, each_recording(folder)), key=_time)
    return sorted(found, key=_time)


def each_recording(folder: Path) -> Iterator[Recording]:
    """All there are, in no order. Lines that cannot be read are passed over.

    Raises:
        OSError: The folder cannot be read.

    """
    return (one for segment in list_segments(folder) for one in _read(segment))


def _time(one: Recording) -> datetime:
    return one.at


def find_recording(folder: Path, id: str) -> Recording | None:
    """The one of that name; None where there is none any more.

    Raises:
        OSError: The folder cannot be read.

    """
    token = _ID.fullmatch(id)
    of_token = (one for one in list_segments(folder) if token and one.token == token[1])
    return next((one for segment in of_token for one in _read(segment) if one.id == id), None)


class Follower:
    """What is recorded from now on, in whichever file and by whichever process."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._read_until = {one.path: _octets(one) for one in list_segments(folder)}

    def news(self) -> list[Recording]:
        """What was recorded since it was last asked, the oldest first.

        Raises:
            OSError: The folder cannot be read.

        """
        segments = list_segments(self._folder)
        found = [one for segment in segments for one in self._rest(segment)]
        self._read_until = {one.path: self._read_until.get(one.path, 0) for one in segments}
        return sorted(found, key=lambda one: one.at)

    def _rest(self, segment: Segment) -> Iterator[Recording]:
        start = self._read_until.get(segment.path, 0)
        if _octets(segment) <= start:
            return
        with suppress(*_NOT_THERE), segment.path.open("rb") as file:
            file.seek(start)
            for line in _lines(file):
                self._read_until[segment.path] = file.tell()
                yield from _recordings(line)


class InOrder:
    """Puts what several processes wrote into the order in which it came, by waiting for one look more."""

    def __init__(self) -> None:
        self._held: list[Recording] = []

    def put(self, found: Iterable[Recording]) -> list[Recording]:
        """Take what is new, and return what was there at the last look, and all that came before."""
        until = max((one.at for one in self._held), default=None)
        waiting = sorted([*self._held, *found], key=_time)
        told = [one for one in waiting if until is not None and one.at <= until]
        self._held = waiting[len(told) :]
        return told

    def rest(self) -> list[Recording]:
        """What is left at the end."""
        return self._held


def _read(segment: Segment) -> Iterator[Recording]:
    with suppress(*_NOT_THERE), segment.path.open("rb") as file:
        for line in _lines(file):
            yield from _recordings(line)


def _lines(file: BinaryIO) -> Iterator[bytes]:
    """The lines that have an end: one without is being written, or was when its process died."""
    while (line := file.readline(MAX_LINE)).endswith(b"\n") or len(line) == MAX_LINE:
        yield line


def _recordings(line: bytes) -> Iterator[Recording]:
    with suppress(NoRecording):
        yield read_recording(line)


def _octets(segment: Segment) -> int:
    with suppress(OSError):
        return os.stat(segment.path).st_size
    return 0
