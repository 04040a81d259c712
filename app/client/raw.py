"""One HTTP exchange octet by octet: nothing is built, repaired, followed or tried again in here.

It is for whoever has to see what a server really does. :mod:`app.client.transport` is HTTP as a
client wants it.
"""

import re
import ssl
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from urllib.parse import urlsplit

from app.client.raw_connection import TIMED_OUT, connect, in_words
from app.client.raw_response import Broken, Wire, read_body, read_head
from app.words import printable

_TAGS = re.compile(r"<[^>]*>")
_MOST_SAID = 200


@dataclass(frozen=True, slots=True)
class RawAnswer:
    """One HTTP response as it came.

    *headers* are in order and as they were sent; *body* is without the marks of chunks. *raw* is all octets
    of it, without the interim responses (1xx) before it, and with what came behind it at once. *seconds* is
    from before the connection, or from the end of the response before, until its own end.
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

    @property
    def said(self) -> str:
        """Its status, and what the body says, for people: the first line, or a page without its tags.

        No more of it than 200 octets; nothing where that is no text.
        """
        text = self.body[:_MOST_SAID].decode("utf-8", "replace").strip()
        # A page says it somewhere in the middle, anything else in its first line.
        if text.startswith("<"):
            line = " ".join(printable(_TAGS.sub(" ", text)).split())
        else:
            line = "".join(text.splitlines()[:1])
        return f"HTTP {self.status}" + (f": {line}" if line and line.isprintable() else "")


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

    @property
    def timed_out(self) -> bool:
        """Whether the time was over before a whole answer was there."""
        return self.trouble.startswith(TIMED_OUT)


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
    (sent,) = converse(url, ((operation, request),), timeout=timeout, most=most, trust=trust)
    return sent


def converse(
    url: str,
    requests: Sequence[tuple[str, bytes]],
    *,
    timeout: float = 30,
    most: int = 4 << 20,
    trust: ssl.SSLContext | None = None,
) -> tuple[Sent, ...]:
    """Write *requests*, each with its operation, on one connection, each when the one before is answered.

    It ends early where an answer is not whole, or says that the connection ends with it. The rest is as with
    :func:`exchange`; *timeout* and *most* are for each of the requests.

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
        connection = connect(address, started + timeout, trust)
    except OSError as error:
        operation, request = requests[0]
        return (Sent(operation, request, None, in_words(error, timeout)),)
    found: list[Sent] = []
    with closing(connection):
        left = b""
        for operation, request in requests:
            wire = Wire(connection, started, timeout, most, bytearray(left))
            wire.write(request)
            found.append(_read(wire, operation, request))
            if not _goes_on(found[-1]):
                break
            # What is behind the answer is taken for the beginning of the next, as every client does.
            left, started = bytes(wire.raw[wire.position :]), time.monotonic()
    return tuple(found)


def _goes_on(sent: Sent) -> bool:
    """Whether the connection is there for a further request (RFC 9112 9.3)."""
    answer = sent.answer
    if answer is None or sent.trouble or answer.version != "HTTP/1.1":
        return False
    is_framed = answer.header("Content-Length") is not None or answer.header("Transfer-Encoding") is not None
    return is_framed and "close" not in (answer.header("Connection") or "").lower()


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
    seconds, raw = time.monotonic() - wire.started, bytes(wire.raw[wire.began :])
    answer = RawAnswer(version, status, reason, headers, bytes(body), raw, seconds)
    return Sent(operation, request, answer, trouble)
