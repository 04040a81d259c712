"""One HTTP exchange octet by octet: nothing is built, repaired, followed or tried again in here.

It is for whoever has to see what a server really does. :mod:`app.client.transport` is HTTP as a
client wants it.
"""

import re
import socket
import ssl
import time
from contextlib import closing
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from app.words import printable

_STATUS_LINE = re.compile(rb"(HTTP/\d(?:\.\d)?) (\d{3})(?: ([^\r\n]*))?\r?\n")
_CHUNK_SIZE = re.compile(rb"([0-9A-Fa-f]{1,8})[ \t]*(?:;[^\r\n]*)?\r?\n")
_LENGTH = re.compile(r"\d{1,15}")
_MOST_HEAD = 64 * 1024
_PIECE = 64 * 1024


@dataclass(frozen=True, slots=True)
class RawAnswer:
    """One HTTP response as it came.

    *headers* are in order and as they were sent; *body* is without the marks of chunks, *raw* is all
    octets, interim responses (1xx) among them; *seconds* is from before the connection until the end.
    """

    version: str
    status: int
    reason: str
    headers: tuple[tuple[str, str], ...]
    body: bytes
    raw: bytes
    seconds: float

    def header(self, name: str) -> str | None:
        """The value of the first header of that *name*, or None where there is none."""
        return next((value for key, value in self.headers if key.lower() == name.lower()), None)


@dataclass(frozen=True, slots=True)
class Sent:
    """What was sent, what came back, and what went wrong with it.

    *trouble* is in words, and empty where all went well: with no *answer* it says why there is none,
    beside an *answer* why that one is not whole. There are no control characters in it.
    """

    operation: str
    request: bytes
    answer: RawAnswer | None
    trouble: str


class _Broken(Exception):
    """The response cannot be read any further; the text says why."""


def exchange(
    url: str,
    request: bytes,
    operation: str,
    *,
    timeout: float = 30,
    most: int = 4 << 20,
    trust: ssl.SSLContext | None = None,
) -> Sent:
    """Connect to where *url* points, write *request*, and read one response.

    *operation* is for the record alone. *timeout* is for all of it, in seconds; of the response no
    more than *most* octets are read. *trust* is for https; the system's authorities where it is None.

    Raises:
        ValueError: *url* is no http or https address. Nothing that a server does raises.

    """
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(f"{url!r} is not an http:// or https:// address")
    address = (parts.hostname, parts.port or (443 if parts.scheme == "https" else 80))
    trust = (trust or ssl.create_default_context()) if parts.scheme == "https" else None
    started = time.monotonic()
    try:
        connection = _connect(address, timeout, trust)
    except OSError as error:
        return Sent(operation, request, None, _in_words(error, timeout))
    with closing(connection):
        wire = _Wire(connection, started, timeout, most)
        wire.write(request)
        return _read(wire, operation, request)


def _connect(address: tuple[str, int], timeout: float, trust: ssl.SSLContext | None) -> socket.socket:
    connection = socket.create_connection(address, timeout)
    if trust is None:
        return connection
    with closing(connection):
        # The wrapped socket takes the descriptor along, so that closing this one closes nothing then.
        return trust.wrap_socket(connection, server_hostname=address[0])


def _read(wire: "_Wire", operation: str, request: bytes) -> Sent:
    """Read the head, then as much of the body as there is."""
    body = bytearray()
    try:
        version, status, reason, headers = _read_head(wire)
    except _Broken as broken:
        return Sent(operation, request, None, str(broken))
    trouble = ""
    try:
        _read_body(wire, status, headers, body)
    except _Broken as broken:
        trouble = str(broken)
    seconds = time.monotonic() - wire.started
    answer = RawAnswer(version, status, reason, headers, bytes(body), bytes(wire.raw), seconds)
    return Sent(operation, request, answer, trouble)


@dataclass(slots=True)
class _Wire:
    """What comes from a connection, kept whole, with the place up to which it is read."""

    connection: socket.socket
    started: float
    timeout: float
    most: int
    raw: bytearray = field(default_factory=bytearray)
    position: int = 0
    _lost: str = ""

    def write(self, request: bytes) -> None:
        """Send *request*. A server may have answered, and hung up, before it took all of it."""
        try:
            self.connection.settimeout(self._left())
            self.connection.sendall(request)
        except OSError as error:
            self._lost = _in_words(error, self.timeout)

    def more(self) -> bool:
        """Wait for further octets, and say whether any came before the end.

        Raises:
            _Broken: Time or room is used up, or the connection broke.

        """
        if len(self.raw) >= self.most:
            raise _Broken(f"the answer does not end within {self.most} octets")
        try:
            self.connection.settimeout(self._left())
            piece = self.connection.recv(min(_PIECE, self.most - len(self.raw)))
        except OSError as error:
            raise _Broken(self._lost or _in_words(error, self.timeout)) from error
        self.raw += piece
        return bool(piece)

    def line(self, most: int) -> bytes:
        """The next line with its end.

        Raises:
            _Broken: There is none, or it is longer than *most* octets.

        """
        while (end := self.raw.find(b"\n", self.position)) < 0:
            if len(self.raw) - self.position > most:
                raise _Broken(f"a line of the answer is longer than {most} octets")
            if not self.more():
                raise _Broken(self._ended())
        line = bytes(self.raw[self.position : end + 1])
        self.position = end + 1
        return line

    def take(self, length: int, into: bytearray) -> None:
        """Move the next *length* octets.

        Raises:
            _Broken: There are fewer; those have been moved.

        """
        until = self.position + length
        try:
            while len(self.raw) < until:
                if not self.more():
                    raise _Broken(f"the connection was closed {until - len(self.raw)} octets before the end")
        finally:
            into += self.raw[self.position : until]
            self.position = min(until, len(self.raw))

    def take_all(self, into: bytearray) -> None:
        """Move all octets until the connection is closed.

        Raises:
            _Broken: It was not, in time or room; what came has been moved.

        """
        try:
            while self.more():
                pass
        finally:
            into += self.raw[self.position :]
            self.position = len(self.raw)

    def _ended(self) -> str:
        if self.raw:
            return "the connection was closed within the answer"
        return self._lost or "the connection was closed without an answer"

    def _left(self) -> float:
        left = self.started + self.timeout - time.monotonic()
        if left <= 0:
            raise TimeoutError
        return left


Head = tuple[str, int, str, tuple[tuple[str, str], ...]]


def _read_head(wire: _Wire) -> Head:
    """Read the status line and the headers, after any interim responses (RFC 9110 15.2)."""
    while True:
        first = wire.line(_MOST_HEAD)
        found = _STATUS_LINE.fullmatch(first)
        if not found:
            raise _Broken(f"what came is no HTTP response: {printable(first[:60].decode('latin-1')).strip()}")
        headers = _read_headers(wire)
        version, status, reason = found[1].decode(), int(found[2]), (found[3] or b"").decode("latin-1")
        if not 100 <= status < 200:
            return version, status, reason, headers


def _read_headers(wire: _Wire) -> tuple[tuple[str, str], ...]:
    headers = []
    start = wire.position
    while line := wire.line(_MOST_HEAD).decode("latin-1").rstrip("\r\n"):
        if wire.position - start > _MOST_HEAD:
            raise _Broken(f"the headers of the answer are longer than {_MOST_HEAD} octets")
        name, colon, value = line.partition(":")
        if not colon:
            raise _Broken(f"a header of the answer has no colon: {printable(line[:60])}")
        headers.append((name, value.strip(" \t")))
    return tuple(headers)


def _read_body(wire: _Wire, status: int, headers: tuple[tuple[str, str], ...], body: bytearray) -> None:
    """Read what belongs to the response, by the rules of RFC 9112 6.3."""
    lengths = {value for name, value in headers if name.lower() == "content-length"}
    codings = [value for name, value in headers if name.lower() == "transfer-encoding"]
    if status in (204, 304):
        return
    if codings and codings[-1].lower().endswith("chunked"):
        _read_chunks(wire, body)
    elif codings or not lengths:
        wire.take_all(body)
    elif len(lengths) > 1 or not _LENGTH.fullmatch(length := lengths.pop()):
        raise _Broken("the Content-Length of the answer is none")
    else:
        wire.take(int(length), body)


def _read_chunks(wire: _Wire, body: bytearray) -> None:
    while True:
        size = _CHUNK_SIZE.fullmatch(line := wire.line(_MOST_HEAD))
        if not size:
            raise _Broken(f"a chunk has no size: {printable(line[:60].decode('latin-1')).strip()}")
        if not (length := int(size[1], 16)):
            _read_headers(wire)
            return
        wire.take(length, body)
        if wire.line(_MOST_HEAD).strip(b"\r\n"):
            raise _Broken("a chunk is longer than it says")


def _in_words(error: OSError, timeout: float) -> str:
    """Say what a failed connection means to a person."""
    match error:
        case ssl.SSLCertVerificationError():
            return f"TLS: the server's certificate is not trusted: {printable(error.verify_message)}"
        case ssl.SSLError():
            return f"TLS: {printable(error.reason or str(error))}"
        case TimeoutError():
            return f"timed out after {timeout:g} seconds"
        case ConnectionRefusedError():
            return "the connection was refused"
        case ConnectionResetError() | BrokenPipeError():
            return "the connection was reset"
        case socket.gaierror():
            return f"the name of the server is not known: {printable(error.strerror or str(error))}"
        case _:
            return printable(error.strerror or str(error))
