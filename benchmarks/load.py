"""The load: prepared bytes over keep-alive connections, as little work as possible between them."""

import re
import selectors
import socket
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from multiprocessing import get_context

PATIENCE_SECONDS = 30
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)\r\n", re.IGNORECASE)
_CHUNKED = re.compile(rb"\r\ntransfer-encoding: *chunked\r\n", re.IGNORECASE)


@dataclass
class LoadResult:
    """What came back: whole HTTP responses, empty where none came, and how long each took."""

    responses: list[bytes]
    latencies: list[float]
    seconds: float = 0.0


@dataclass
class _Connection:
    """A connection with one request under way at most."""

    address: tuple[str, int]
    peer: socket.socket = field(init=False)
    number: int = -1
    started: float = 0.0
    buffer: bytearray = field(default_factory=bytearray)
    expected: int = 0

    def __post_init__(self) -> None:
        self.connect()

    def connect(self) -> None:
        self.peer = socket.create_connection(self.address, PATIENCE_SECONDS)
        self.peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def send(self, number: int, request: bytes) -> None:
        self.number, self.expected = number, 0
        self.buffer.clear()
        self.started = time.perf_counter()
        self.peer.sendall(request)

    def is_whole(self) -> bool:
        """Whether the buffer holds a whole response; its end is looked for once the head is there."""
        if not self.expected:
            end = self.buffer.find(b"\r\n\r\n") + 4
            if end < 4:
                return False
            head = self.buffer[:end]
            if length := _LENGTH.search(head):
                self.expected = end + int(length[1])
            elif _CHUNKED.search(head):
                return self.buffer.endswith(b"\r\n0\r\n\r\n")
        return 0 < self.expected <= len(self.buffer)


def apply_load(address: tuple[str, int], requests: Sequence[bytes], connections: int) -> LoadResult:
    """Send all *requests*, each connection its next one as soon as it has an answer, in another process."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(_apply_load, address, requests, connections).result()


def _apply_load(address: tuple[str, int], requests: Sequence[bytes], connections: int) -> LoadResult:
    result = LoadResult([b""] * len(requests), [0.0] * len(requests))
    waiting = iter(enumerate(requests))
    with selectors.DefaultSelector() as selector:
        lines = [_Connection(address) for _ in range(min(connections, len(requests)))]
        for line in lines:
            selector.register(line.peer, selectors.EVENT_READ, line)
        started = time.perf_counter()
        busy = sum(_send_next(line, waiting) for line in lines)
        while busy:
            events = selector.select(PATIENCE_SECONDS)
            if not events:
                break  # what is still under way counts as not answered
            for key, _ in events:
                line = key.data
                if _receive(line, result, selector) and not _send_next(line, waiting):
                    busy -= 1
        result.seconds = time.perf_counter() - started
        for line in lines:
            line.peer.close()
    return result


def _send_next(line: _Connection, waiting: Iterator[tuple[int, bytes]]) -> bool:
    for number, request in waiting:
        line.send(number, request)
        return True
    return False


def _receive(line: _Connection, result: LoadResult, selector: selectors.BaseSelector) -> bool:
    """Take what has come. True once the request is settled, with an answer or without."""
    try:
        received = line.peer.recv(65536)
    except OSError:
        received = b""
    line.buffer += received
    if received and not line.is_whole():
        return False
    result.latencies[line.number] = time.perf_counter() - line.started
    if received:
        result.responses[line.number] = bytes(line.buffer)
    else:
        selector.unregister(line.peer)
        line.peer.close()
        line.connect()
        selector.register(line.peer, selectors.EVENT_READ, line)
    return True
