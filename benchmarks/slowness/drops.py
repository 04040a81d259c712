"""The slow side: a process that holds connections half open, and sends a drop on each every few seconds."""

import itertools
import multiprocessing
import resource
import select
import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection as Pipe

_EVERY_SECONDS = 4.0
# Connections are served in so many groups, each by one wake.
_GROUPS = 8
# Files of the process beside its connections.
_SPARE_FILES = 64
_CONNECT_SECONDS = 0.01
_LINE = b"POST /scep?operation=PKIOperation HTTP/1.1\r\nHost: 127.0.0.1\r\n"
# Every other one has sent its head and is slow with its body.
_HEADS = (_LINE + b"X-Slow: ", _LINE + b"Content-Length: 4000\r\n\r\n")
_DROP = b"0"


@dataclass(frozen=True, slots=True)
class Slowness:
    """What the slow side says at its end.

    On average it *held* so many open, and connected *anew* so often a second; *cpu* is the part of a core
    that it took.
    """

    held: float
    anew: float
    cpu: float


class SlowSide:
    """The process, while it is there."""

    def __init__(self, pipe: Pipe) -> None:
        self._pipe = pipe

    def wait_until_open(self) -> None:
        """Return once it has tried to open all of them, and has sent a drop on each."""
        self._pipe.recv()

    def begin(self) -> None:
        """Have it count from now on."""
        self._pipe.send("count")

    def end(self) -> Slowness:
        """Have it end; what it has counted."""
        self._pipe.send("end")
        result: Slowness = self._pipe.recv()
        return result


@contextmanager
def dropping(address: tuple[str, int], sources: Sequence[str], count: int) -> Iterator[SlowSide]:
    """Hold *count* connections half open meanwhile, made from the addresses *sources* in turn."""
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=_drop, args=(address, sources, count, there), daemon=True)
    process.start()
    # So that its end is heard here.
    there.close()
    try:
        yield SlowSide(here)
    finally:
        here.close()
        process.join()


class _Slow:
    """One connection, and what it does when it is its turn."""

    def __init__(self, address: tuple[str, int], source: str, head: bytes) -> None:
        self._address = address
        self._source = source
        self._head = head
        self._peer: socket.socket | None = None

    @property
    def is_open(self) -> bool:
        """Whether it holds one."""
        return self._peer is not None

    def drop(self) -> None:
        """Send a little more."""
        if self._peer is not None:
            with suppress(OSError):
                self._peer.send(_DROP)

    def connect(self) -> int:
        """Connect, and send the head; the number of the socket, or -1 where there is no place for it."""
        peer = socket.socket()
        # On one machine it succeeds at once, unless the queue of the listener is full.
        peer.settimeout(_CONNECT_SECONDS)
        try:
            peer.bind((self._source, 0))
            peer.connect(self._address)
            peer.send(self._head)
        except OSError:
            peer.close()
            return -1
        peer.setblocking(False)
        self._peer = peer
        return peer.fileno()

    def close(self) -> None:
        """Close what the server has closed."""
        if self._peer is not None:
            self._peer.close()
            self._peer = None


class _SlowConnections:
    """All of them, the group whose turn it is, and a count of what became of them."""

    def __init__(self, address: tuple[str, int], sources: Sequence[str], count: int) -> None:
        those = zip(range(count), itertools.cycle(sources), itertools.cycle(_HEADS), strict=False)
        self._slow = [_Slow(address, source, head) for _, source, head in those]
        self._by_number: dict[int, _Slow] = {}
        self._ended = select.epoll()
        self.begin()

    def begin(self) -> None:
        """Count from now on."""
        self._held: list[int] = []
        self._anew = 0
        self._started, self._cpu = time.monotonic(), time.process_time()

    def take_turn(self, group: int) -> None:
        """See which were closed; those of the group send a drop, or connect anew."""
        for number, _ in self._ended.poll(0, len(self._slow)):
            self._by_number.pop(number).close()
        self._held.append(sum(one.is_open for one in self._slow))
        for one in self._slow[group::_GROUPS]:
            if one.is_open:
                one.drop()
            elif (number := one.connect()) >= 0:
                self._anew += 1
                self._by_number[number] = one
                # Answers are nothing to it.
                self._ended.register(number, select.EPOLLRDHUP)

    def result(self) -> Slowness:
        """What has been counted."""
        elapsed = time.monotonic() - self._started
        held = sum(self._held) / max(1, len(self._held))
        return Slowness(held, self._anew / elapsed, (time.process_time() - self._cpu) / elapsed)


def _drop(address: tuple[str, int], sources: Sequence[str], count: int, pipe: Pipe) -> None:
    """Take turns until the other end of *pipe* says so, or is gone."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(most, count + _SPARE_FILES), most))
    slow = _SlowConnections(address, sources, count)
    with suppress(EOFError):
        for turn in itertools.count():
            slow.take_turn(turn % _GROUPS)
            if turn == 2 * _GROUPS - 1:
                pipe.send("open")
            if pipe.poll(_EVERY_SECONDS / _GROUPS):
                if pipe.recv() == "end":
                    break
                slow.begin()
        pipe.send(slow.result())
