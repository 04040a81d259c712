"""A program with the application loaded, which makes a copy of itself for each command that is to be run.

Loading takes a second of a core, and the tests run hundreds of commands. ``python -m tests.starter FD``
takes them from the socket FD, one after the other: the length of a JSON object in four octets, and with
them the three standard streams; then the object. Each new process answers with its number. The program ends
when the other end of the socket is closed. Linux alone.
"""

import gc
import json
import os
import pkgutil
import runpy
import signal
import socket
import sys
import threading
from dataclasses import dataclass
from importlib import import_module
from io import TextIOWrapper
from typing import TextIO

import app

LENGTH_OCTETS = 4


@dataclass(frozen=True, slots=True)
class Start:
    """What a process is to be: *arguments* begin with the path of a Python file, *streams* are numbers."""

    arguments: list[str]
    folder: str | None
    environment: dict[str, str]
    streams: list[int]

    def become(self) -> None:
        """Be that process as if Python had been started for it, and return at its end."""
        for place, descriptor in enumerate(self.streams):
            os.dup2(descriptor, place)
        self.close()
        if self.folder is not None:
            os.chdir(self.folder)
        os.environ.clear()
        os.environ.update(self.environment)
        sys.argv = list(self.arguments)
        sys.orig_argv = [sys.executable, *self.arguments]
        sys.path[0] = os.path.dirname(self.arguments[0])
        sys.stdin = sys.__stdin__ = _stream(0, sys.stdin)  # type: ignore[misc]
        sys.stdout = sys.__stdout__ = _stream(1, sys.stdout)  # type: ignore[misc]
        sys.stderr = sys.__stderr__ = _stream(2, sys.stderr)  # type: ignore[misc]
        runpy.run_path(self.arguments[0], run_name="__main__")

    def close(self) -> None:
        """Close what came along."""
        for descriptor in self.streams:
            os.close(descriptor)


def main(connection: socket.socket) -> None:
    """Start what is asked for. In each new process it returns at the end, whereupon Python ends as ever."""
    # Ctrl-C is for the tests; what they start has what Python sets up.
    on_interrupt = signal.signal(signal.SIGINT, signal.SIG_IGN)
    for module in pkgutil.walk_packages(app.__path__, "app."):
        import_module(module.name)
    if threading.active_count() > 1:
        raise RuntimeError("a fork takes one thread along, and whatever the others have locked")
    # Else each copy would look at, and with that copy, what is never garbage.
    gc.freeze()
    while start := _receive(connection):
        if _fork():
            signal.signal(signal.SIGINT, on_interrupt)
            connection.sendall(str(os.getpid()).encode())
            connection.close()
            start.become()
            return
        start.close()


def _receive(connection: socket.socket) -> Start | None:
    head, streams, _, _ = socket.recv_fds(connection, LENGTH_OCTETS, 3)
    if not head:
        return None
    body = connection.recv(int.from_bytes(head, "big"), socket.MSG_WAITALL)
    return Start(**json.loads(body), streams=streams)


def _fork() -> bool:
    """Fork a child for whoever adopts orphans; say whether this is the child."""
    reader, writer = os.pipe()
    between = os.fork()
    if not between:
        if os.fork():
            os._exit(0)
        os.close(writer)
        # It comes to its end when the parent is the one for good.
        os.read(reader, 1)
        os.close(reader)
        return True
    os.close(reader)
    os.waitpid(between, 0)
    os.close(writer)
    return False


def _stream(descriptor: int, like: TextIO) -> TextIOWrapper:
    """A standard stream as Python makes it, which PYTHONUNBUFFERED changes."""
    unbuffered = isinstance(like, TextIOWrapper) and like.write_through
    return TextIOWrapper(
        open(descriptor, "wb" if descriptor else "rb", 0 if unbuffered else -1, closefd=False),
        like.encoding,
        like.errors,
        newline="\n",
        line_buffering=not unbuffered and (descriptor == 2 or os.isatty(descriptor)),
        write_through=unbuffered,
    )


if __name__ == "__main__":
    main(socket.socket(fileno=int(sys.argv[1])))
