"""Keeps exchanges, beside the requests: a bounded queue, and a thread that writes what is in it.

A request is never kept waiting for it, and never fails by it: what finds the queue full or the disk full is
left out and counted.
"""

import logging
import os
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from app.data_folder import give_to_owner
from app.recorder.heard import Heard
from app.recorder.making import is_refusal, make_line
from app.recorder.segments import (
    MOST_LINES,
    MOST_OCTETS,
    MOST_SECONDS,
    NOTHING,
    Limits,
    Segment,
    new_segment,
    sweep,
)
from ca.journal import log_line

log = logging.getLogger(__name__)
MOST_WAITING = 500
# What came within it is written at once.
GATHER_SECONDS = 0.2
SWEEP_SECONDS = 600.0
_COMPLAIN_SECONDS = 60.0
_JOIN_SECONDS = 5.0
# Why exchanges are left out.
QUEUE_FULL, NOT_WRITTEN = REASONS = ("queue full", "not written")
_TOO_MUCH = "there was too much at once"
_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | getattr(os, "O_BINARY", 0)


class Recorder:
    """What one process keeps in *folder*. It is started in the process that it serves, after any fork.

    *count* is told how many were left out, and by which of :data:`REASONS`.
    """

    def __init__(
        self,
        folder: Path,
        limits: Limits = NOTHING,
        count: Callable[[int, str], None] = lambda *_: None,
    ) -> None:
        self._folder = folder
        self._limits = limits
        self._count = count
        self._waiting: deque[Heard] = deque()
        # Each is counted by one thread alone: what found no room by who keeps, the others by who writes.
        self._full = self._not_written = self._told = 0
        self._why = _TOO_MUCH
        self._woken = threading.Event()
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._files: dict[bool, _File] = {}
        self._swept_at = self._complained_at = float("-inf")

    def start(self) -> None:
        """Begin to write what is kept."""
        # Here, because no two processes may have the same.
        self._files = {refused: _File(self._folder, refused=refused) for refused in (False, True)}
        self._thread = threading.Thread(target=self._run, name="recorder", daemon=True)
        self._thread.start()

    def use(self, limits: Limits) -> None:
        """Keep as much as the settings say from now on; what is too much by them goes at once."""
        self._limits = limits
        self._swept_at = float("-inf")
        self._woken.set()

    def keep(self, heard: Heard) -> None:
        """Keep an exchange, if there is room for it. Takes a microsecond, and never raises."""
        if not (self._limits.on and self._limits.most(refused=is_refusal(heard))):
            return
        if len(self._waiting) >= MOST_WAITING:
            self._full += 1
            self._count(1, QUEUE_FULL)
            return
        self._waiting.append(heard)
        if not self._woken.is_set():
            self._woken.set()

    def stop(self) -> None:
        """Write what is left, and end, within seconds."""
        self._stopping.set()
        self._woken.set()
        if self._thread is not None:
            self._thread.join(_JOIN_SECONDS)

    def _run(self) -> None:
        while not self._stopping.is_set():
            self._woken.wait(SWEEP_SECONDS)
            self._stopping.wait(GATHER_SECONDS)
            self._woken.clear()
            self._sweep()
            self._write_waiting()
        # Nobody would hear of them later.
        self._complained_at = float("-inf")
        self._write_waiting()
        for file in self._files.values():
            file.close()

    def _write_waiting(self) -> None:
        lines: dict[bool, list[bytes]] = {False: [], True: []}
        while self._waiting:
            heard = self._waiting.popleft()
            refused = is_refusal(heard)
            try:
                lines[refused].append(make_line(heard, self._files[refused].next_id()))
            except Exception:
                # The thread must not end by it: nobody would start it again.
                log.exception("an exchange cannot be recorded")
                self._count(1, NOT_WRITTEN)
        for refused, some in lines.items():
            if some:
                try:
                    self._files[refused].write(some)
                except OSError as error:
                    self._why = error.strerror or str(error)
                    self._not_written += len(some)
                    self._count(len(some), NOT_WRITTEN)
        self._complain()

    def _complain(self) -> None:
        """Tell the log how many are missing, now and then."""
        missing = self._full + self._not_written - self._told
        if missing and time.monotonic() - self._complained_at > _COMPLAIN_SECONDS:
            self._complained_at = time.monotonic()
            log.warning(log_line(reason="exchanges were not recorded", count=missing, detail=self._why))
            self._told, self._why = self._told + missing, _TOO_MUCH

    def _sweep(self) -> None:
        """Begin new files where it is time, and remove the oldest."""
        # A folder that cannot be looked into must not end the thread; writing complains of it.
        with suppress(OSError):
            began_another = any(list(map(_File.turn_over, self._files.values())))
            now = time.monotonic()
            if self._limits.octets and (began_another or now - self._swept_at > SWEEP_SECONDS):
                self._swept_at = now
                sweep(self._folder, self._limits)


class _File:
    """The file of one kind that this process appends to; made when there is something to write."""

    def __init__(self, folder: Path, *, refused: bool) -> None:
        self._folder = folder
        self._refused = refused
        self._segment: Segment = new_segment(folder, refused=refused)
        self._descriptor: int | None = None
        self._lines = self._named = self._octets = 0

    def next_id(self) -> str:
        """What the next recording is called: the file's token, and its number there."""
        self._named += 1
        return f"{self._segment.token}-{self._named}"

    def write(self, lines: list[bytes]) -> None:
        """Append, in one piece.

        Raises:
            OSError: It cannot be written; the file is done with.

        """
        content = b"".join(lines)
        try:
            if self._descriptor is None:
                self._descriptor = self._make()
            written = os.write(self._descriptor, content)
            if written < len(content):
                raise OSError(f"{written} of {len(content)} octets were written")
        except OSError:
            self._begin_another()
            raise
        self._lines += len(lines)
        self._octets += len(content)

    def turn_over(self) -> bool:
        """Begin another file if this one is long or old, or somebody has removed it, and say so."""
        if self._descriptor is None:
            return False
        is_long = self._lines >= MOST_LINES or self._octets >= MOST_OCTETS
        is_old = not 0 <= time.time() - self._segment.began < MOST_SECONDS
        if is_long or is_old or not self._segment.path.exists():
            self._begin_another()
            return True
        return False

    def _make(self) -> int:
        if not self._folder.exists():
            self._folder.mkdir(mode=0o700, exist_ok=True)
            give_to_owner(self._folder)
        descriptor = os.open(self._segment.path, _FLAGS, 0o600)
        give_to_owner(self._segment.path)
        return descriptor

    def close(self) -> None:
        """Be done with the file."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _begin_another(self) -> None:
        self.close()
        self._segment = new_segment(self._folder, refused=self._refused)
        self._lines = self._named = self._octets = 0
