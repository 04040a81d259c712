"""Reading an HTTP response off a connection, however it is framed and wherever it breaks (RFC 9112).

It sends what it is given, and builds nothing.
"""

import re
import socket
import ssl
import time
from dataclasses import dataclass, field

from app.client.raw_connection import SPEAKS_TLS, in_words
from app.words import printable

_STATUS_LINE = re.compile(rb"(HTTP/\d(?:\.\d)?) (\d{3})(?: ([^\r\n]*))?\r?\n")
_CHUNK_SIZE = re.compile(rb"([0-9A-Fa-f]{1,8})[ \t]*(?:;[^\r\n]*)?\r?\n")
_LENGTH = re.compile(r"\d{1,15}")
_MOST_HEAD = 64 * 1024
_PIECE = 64 * 1024
# An alert of TLS, in any version: how a server of https answers plain HTTP.
_ALERT = b"\x15\x03"


Head = tuple[str, int, str, tuple[tuple[str, str], ...]]


class Broken(Exception):
    """The response cannot be read any further; the text says why."""


@dataclass(slots=True)
class Wire:
    """What comes from a connection, kept whole, with the place up to which it is read.

    *began* is where the response begins, after the interim ones.
    """

    connection: socket.socket
    started: float
    timeout: float
    most: int
    raw: bytearray = field(default_factory=bytearray)
    position: int = 0
    began: int = 0
    _lost: str = ""

    def write(self, request: bytes) -> None:
        """Send *request*. A server may have answered, and hung up, before it took all of it."""
        try:
            self.connection.settimeout(self._left())
            self.connection.sendall(request)
        except OSError as error:
            self._lost = in_words(error, self.timeout)

    def more(self) -> bool:
        """Wait for further octets, and say whether any came before the end.

        Raises:
            Broken: Time or room is used up, or the connection broke.

        """
        if len(self.raw) >= self.most:
            raise Broken(f"the answer does not end within {self.most} octets")
        try:
            self.connection.settimeout(self._left())
            piece = self.connection.recv(min(_PIECE, self.most - len(self.raw)))
        except OSError as error:
            # What TLS says in the end is why the request could not be written.
            lost = "" if isinstance(error, ssl.SSLError) else self._lost
            raise Broken(lost or in_words(error, self.timeout)) from error
        self.raw += piece
        return bool(piece)

    def line(self, most: int) -> bytes:
        """The next line with its end.

        Raises:
            Broken: There is none, or it is longer than *most* octets.

        """
        while (end := self.raw.find(b"\n", self.position)) < 0:
            if len(self.raw) - self.position > most:
                raise Broken(f"a line of the answer is longer than {most} octets")
            if not self.more():
                raise Broken(self._ended())
        line = bytes(self.raw[self.position : end + 1])
        self.position = end + 1
        return line

    def take(self, length: int, into: bytearray) -> None:
        """Move the next *length* octets.

        Raises:
            Broken: There are fewer; those have been moved.

        """
        until = self.position + length
        try:
            while len(self.raw) < until:
                if not self.more():
                    raise Broken(f"the connection was closed {until - len(self.raw)} octets before the end")
        finally:
            into += self.raw[self.position : until]
            self.position = min(until, len(self.raw))

    def take_all(self, into: bytearray) -> None:
        """Move all octets until the connection is closed.

        Raises:
            Broken: It was not, in time or room; what came has been moved.

        """
        try:
            while self.more():
                pass
        finally:
            into += self.raw[self.position :]
            self.position = len(self.raw)

    def _ended(self) -> str:
        if self.raw.startswith(_ALERT):
            return SPEAKS_TLS
        if self.raw:
            return "the connection was closed within the answer"
        return self._lost or "the connection was closed without an answer"

    def _left(self) -> float:
        left = self.started + self.timeout - time.monotonic()
        if left <= 0:
            raise TimeoutError
        return left


def read_head(wire: Wire) -> Head:
    """Read the status line and the headers, after any interim responses (RFC 9110 15.2).

    Raises:
        Broken: There are none to read.

    """
    while True:
        wire.began = wire.position
        first = wire.line(_MOST_HEAD)
        found = _STATUS_LINE.fullmatch(first)
        if not found:
            came = printable(first[:60].decode("latin-1")).strip()
            raise Broken(SPEAKS_TLS if first.startswith(_ALERT) else f"what came is no HTTP response: {came}")
        headers = _read_headers(wire)
        version, status, reason = found[1].decode(), int(found[2]), (found[3] or b"").decode("latin-1")
        if not 100 <= status < 200:
            return version, status, reason, headers


def _read_headers(wire: Wire) -> tuple[tuple[str, str], ...]:
    headers = []
    start = wire.position
    while line := wire.line(_MOST_HEAD).decode("latin-1").rstrip("\r\n"):
        if wire.position - start > _MOST_HEAD:
            raise Broken(f"the headers of the answer are longer than {_MOST_HEAD} octets")
        name, colon, value = line.partition(":")
        if not colon:
            raise Broken(f"a header of the answer has no colon: {printable(line[:60])}")
        headers.append((name, value.strip(" \t")))
    return tuple(headers)


def read_body(wire: Wire, status: int, headers: tuple[tuple[str, str], ...], body: bytearray) -> None:
    """Read into *body* what belongs to the response, by the rules of RFC 9112 6.3.

    Raises:
        Broken: It does not end as it should; what came is in *body*.

    """
    lengths = {value for name, value in headers if name.lower() == "content-length"}
    codings = [value for name, value in headers if name.lower() == "transfer-encoding"]
    if status in (204, 304):
        return
    if codings and codings[-1].lower().endswith("chunked"):
        _read_chunks(wire, body)
    elif codings or not lengths:
        wire.take_all(body)
    elif len(lengths) > 1 or not _LENGTH.fullmatch(length := lengths.pop()):
        raise Broken("the Content-Length of the answer is none")
    else:
        wire.take(int(length), body)


def _read_chunks(wire: Wire, body: bytearray) -> None:
    while True:
        size = _CHUNK_SIZE.fullmatch(line := wire.line(_MOST_HEAD))
        if not size:
            raise Broken(f"a chunk has no size: {printable(line[:60].decode('latin-1')).strip()}")
        if not (length := int(size[1], 16)):
            _read_headers(wire)
            return
        wire.take(length, body)
        if wire.line(_MOST_HEAD).strip(b"\r\n"):
            raise Broken("a chunk is longer than it says")
