"""One HTTP exchange octet by octet: nothing is built, repaired, followed or tried again in here.

It is for whoever has to see what a server really does. :mod:`app.client.transport` is HTTP as a
client wants it.
"""

import socket
import ssl
import time
from contextlib import closing
from dataclasses import dataclass
from urllib.parse import urlsplit

from app.client.raw_response import Broken, Wire, in_words, read_body, read_head


@dataclass(frozen=True, slots=True)
class RawAnswer:
    """One HTTP response as it came.

    *headers* are in order and as they were sent; *body* is without the marks of chunks, *raw* is all
    octets of it, without the interim responses (1xx) before it; *seconds* is from before the connection
    until the end.
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
        return Sent(operation, request, None, in_words(error, timeout))
    with closing(connection):
        wire = Wire(connection, started, timeout, most)
        wire.write(request)
        return _read(wire, operation, request)


def _connect(address: tuple[str, int], timeout: float, trust: ssl.SSLContext | None) -> socket.socket:
    connection = socket.create_connection(address, timeout)
    if trust is None:
        return connection
    with closing(connection):
        # The wrapped socket takes the descriptor along, so that closing this one closes nothing then.
        return trust.wrap_socket(connection, server_hostname=address[0])


def _read(wire: Wire, operation: str, request: bytes) -> Sent:
    """Read the head, then as much of the body as there is."""
    body = bytearray()
    try:
        version, status, reason, headers = read_head(wire)
    except Broken as broken:
        return Sent(operation, request, None, str(broken))
    trouble = ""
    try:
        read_body(wire, status, headers, body)
    except Broken as broken:
        trouble = str(broken)
    seconds = time.monotonic() - wire.started
    answer = RawAnswer(version, status, reason, headers, bytes(body), bytes(wire.raw[wire.began :]), seconds)
    return Sent(operation, request, answer, trouble)
