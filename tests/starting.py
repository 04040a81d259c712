"""Processes of the application that are copied from one that has it loaded already (tests/starter.py).

They are children of this process, and but for the time they take like any that Popen starts.
"""

import ctypes
import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

from tests.starter import LENGTH_OCTETS
from tests.world import ROOT

_PR_SET_CHILD_SUBREAPER = 36
# Where it is not so, and with SCEPBOX_TEST_FORK=0, Python is started each time.
CAN_COPY = sys.platform == "linux" and os.environ.get("SCEPBOX_TEST_FORK") != "0"


class Copy(subprocess.Popen[str]):
    """A Popen of ``[PYTHON, PROGRAM, ARGUMENT...]``, with *cwd*, *env*, streams and their encoding."""

    def _execute_child(self, arguments: list[str], *given: Any) -> None:
        """Called by Popen with all that it was given, and with both ends of the pipes that it made."""
        folder, environment, ends = given[4], given[5], given[9:15]
        streams = (ends[0], ends[3], ends[5])
        try:
            self.pid = _starter().start(
                {"arguments": arguments[1:], "folder": folder and str(folder), "environment": environment},
                [place if end == -1 else end for place, end in enumerate(streams)],
            )
            self._child_created = True
        finally:
            self._close_pipe_fds(*ends)  # type: ignore[attr-defined]


def stop_starter() -> None:
    """End what was started for all tests of this process."""
    for one in _started:
        one.stop()
    _started.clear()


class _Starter:
    """The program that has the application loaded."""

    def __init__(self) -> None:
        self._connection, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.starter", str(theirs.fileno())],
                stdin=subprocess.DEVNULL,
                cwd=ROOT,
                pass_fds=[theirs.fileno()],
            )
        self._turn = threading.Lock()

    def start(self, what: dict[str, object], streams: list[int]) -> int:
        """Have a process started, and return its number."""
        body = json.dumps(what).encode()
        with self._turn, _adopting_orphans():
            socket.send_fds(self._connection, [len(body).to_bytes(LENGTH_OCTETS, "big")], streams)
            self._connection.sendall(body)
            number = self._connection.recv(20)
        if not number:
            raise RuntimeError("tests/starter.py has ended; standard error says why")
        return int(number)

    def stop(self) -> None:
        """End it; what it started goes on."""
        self._connection.close()
        self._process.wait(30)


_started: list[_Starter] = []


@cache
def _starter() -> _Starter:
    _started.append(_Starter())
    return _started[-1]


@contextmanager
def _adopting_orphans() -> Iterator[None]:
    """Have processes below this one whose parents end become its children, as only a parent may wait."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    try:
        yield
    finally:
        libc.prctl(_PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0)
