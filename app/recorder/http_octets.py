"""The octets of an HTTP message taken apart, and put together again for another server. Sends nothing."""

import base64
import re
from dataclasses import dataclass
from urllib.parse import quote, urlsplit

from app.client.raw_request import host_of, write_request
from app.http.chunked import unchunk
from app.http.query import decode_message, parse_query
from app.recorder.redaction import REDACTED
from ca.deviations import Deviations
from ca.errors import MalformedMessage

_STATUS = re.compile(rb"HTTP/\d(?:\.\d)? (\d{3})")
_CHUNKED = re.compile(rb"\ntransfer-encoding[ \t]*:[^\r\n]*chunked", re.IGNORECASE)
_MESSAGE = re.compile(rb"(?:^|(?<=&))message=([^&]*)")
# Said anew of the connection to the other server, or of what is sent there.
_OF_THE_WAY = {b"host", b"content-length", b"connection", b"transfer-encoding", b"expect", b"keep-alive"}


@dataclass(frozen=True, slots=True)
class HttpOctets:
    """A message: *first* is its first line without the end, *headers* the other lines.

    *body* is without the marks of chunks.
    """

    first: bytes
    headers: tuple[bytes, ...]
    body: bytes

    @classmethod
    def read(cls, octets: bytes) -> "HttpOctets":
        """Take *octets* apart, whatever they are."""
        head, _, body = octets.partition(b"\r\n\r\n")
        first, *headers = head.split(b"\r\n")
        return cls(first, tuple(headers), unchunk(body) if is_chunked(head) else body)

    @property
    def status(self) -> int:
        """Of a reply; 0 where it is none."""
        found = _STATUS.match(self.first)
        return int(found[1]) if found else 0

    @property
    def media_type(self) -> str:
        """The Content-Type as it stands; empty where there is none."""
        found = (line.partition(b":") for line in self.headers)
        values = (value for name, _, value in found if name.lower() == b"content-type")
        return next(values, b"").strip().decode("latin-1")

    @property
    def message(self) -> bytes:
        """The pkiMessage that a request carries, by POST or by GET; empty where there is none to be read."""
        if self.body or not self._query:
            return self.body
        try:
            query = parse_query(self._query.decode("latin-1"))
            return decode_message(query.message or "", Deviations())
        except MalformedMessage:
            return b""

    def request_to(self, url: str, message: bytes) -> bytes:
        """The request again, for the server at *url*, with *message* in the place of the one it has.

        The path is that of *url*, and the recorded one where *url* has none. A query that *url* has of its
        own goes before the recorded one.
        """
        method, _, rest = self.first.partition(b" ")
        _, space, version = rest.partition(b" ")
        own = urlsplit(url)
        path = own.path.encode("ascii") if own.path.strip("/") else self.path
        query, body = self._query, self.body
        if self.body:
            body = message
        elif message:
            query = _MESSAGE.sub(lambda found: b"message=" + _as_written(message, found[1]), query)
        query = b"&".join(filter(None, (own.query.encode("ascii"), query)))
        first = method + b" " + path + (b"?" + query if query else b"") + space + version
        headers = [
            f"Host: {host_of(url)}",
            *(line.decode("latin-1") for line in self.headers if not _is_left_out(line)),
            *([f"Content-Length: {len(body)}"] if body or method == b"POST" else []),
            "Connection: close",
        ]
        return write_request(first.decode("latin-1"), headers, body)

    @property
    def path(self) -> bytes:
        """Where a request goes, without its query."""
        return self._target.partition(b"?")[0]

    @property
    def _query(self) -> bytes:
        return self._target.partition(b"?")[2]

    @property
    def _target(self) -> bytes:
        return self.first.partition(b" ")[2].partition(b" ")[0]


def is_chunked(head: bytes) -> bool:
    """Whether the body behind *head* comes in chunks."""
    return bool(_CHUNKED.search(head))


def _is_left_out(line: bytes) -> bool:
    return line.partition(b":")[0].strip().lower() in _OF_THE_WAY or line.endswith(REDACTED)


def _as_written(message: bytes, before: bytes) -> bytes:
    """*message* in base64 as *before* has it: with escapes or without, in one alphabet or the other."""
    plain = base64.b64encode(message)
    if b"-" in before or b"_" in before:
        plain = base64.urlsafe_b64encode(message)
    return quote(plain, safe="").encode("ascii") if b"%" in before else plain
