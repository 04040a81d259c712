"""What waitress's parser takes for a request, and what it says of all else: one line of text.

A request line that is too long is a 414; Content-Length beside Transfer-Encoding and versions of HTTP yet
to come are refused.
"""

import re
import time
from typing import Any

from waitress.adjustments import Adjustments
from waitress.parser import HTTPRequestParser, ParsingError
from waitress.utilities import BadRequest, RequestEntityTooLarge

from ca.journal import log_line

# Empty: a request line that says none is read as 1.0.
_VERSIONS = ("1.1", "1.0", "")
_BOTH_LENGTHS = re.compile(rb"(?m)^(content-length|transfer-encoding)[ \t]*:")


class Refusal:
    """A refusal of waitress's parser, told in one line (stands in for ``waitress.utilities.Error``)."""

    def __init__(self, code: int, reason: str, why: str, **headers: str) -> None:
        self._status = f"{code} {reason}"
        self._headers = [(name.replace("_", "-"), value) for name, value in headers.items()]
        self.line = f"{why}\n".encode("latin-1", "replace")

    def log_line(self, peer: str) -> str:
        """What the log says of it."""
        return log_line(http=self._status, reason=self.line.decode("latin-1").strip(), peer=peer)

    def to_response(self, ident: str | None = None) -> tuple[str, list[tuple[str, str]], bytes]:
        """The status line, the headers and the body, as waitress asks for them."""
        return self._status, [("Content-Type", "text/plain"), *self._headers], self.line


class RequestParser(HTTPRequestParser):  # type: ignore[misc] # waitress has no types
    """A request as it comes in; *started* is when, by the monotonic clock."""

    error: Any
    completed: bool
    # The request line and the headers as they came.
    head = b""

    def __init__(self, adj: Adjustments) -> None:
        super().__init__(adj)
        self.started = time.monotonic()

    def received(self, data: bytes) -> int:
        """Take in *data*, and return how many octets of it belong to this request."""
        consumed: int = super().received(data)
        if not self.completed and not self.headers_finished and b"\n\n" in self.header_plus:
            # RFC 9112 2.2: it waits for an answer, and no CR LF will come.
            self.error = BadRequest("lines end with CR LF")
            self.completed = True
        if self.chunked and not self.completed and self._is_too_long():
            # What is announced is enough, as a Content-Length is.
            self.error = RequestEntityTooLarge("")
            self.completed = True
        if self.error is not None and not isinstance(self.error, Refusal):
            self.error = self._in_one_line(self.error)
            # Nobody is to send what is refused already.
            self.expect_continue = False
        return consumed

    def _is_too_long(self) -> bool:
        """Whether the chunks are, with the rest of the one that comes, longer than a body may be."""
        octets: int = len(self.body_rcv) + self.body_rcv.chunk_remainder
        most: int = self.adj.max_request_body_size
        return octets >= most

    def parse_header(self, header_plus: bytes) -> None:
        """Read the head of a request.

        Raises:
            ParsingError: It is none that is spoken here.

        """
        self.head = header_plus
        lower = header_plus.lower()
        if b"transfer-encoding" in lower and len(set(_BOTH_LENGTHS.findall(lower))) == 2:
            # RFC 9112 6.1: two lengths are how requests are smuggled past a proxy.
            raise ParsingError("Content-Length and Transfer-Encoding together")
        try:
            super().parse_header(header_plus)
        except ParsingError:
            raise
        except ValueError as error:
            raise ParsingError("the request line has no valid address") from error
        if self.version not in _VERSIONS:
            raise ParsingError("HTTP/1.1 and HTTP/1.0 are spoken here")

    def _in_one_line(self, error: Any) -> Refusal:
        if error.code == 431 and b"\n" not in self.header_plus:
            return Refusal(414, "URI Too Long", "the request line is too long")
        if error.code == 413:
            most = self.adj.max_request_body_size - 1
            return Refusal(413, error.reason, f"the body is larger than {most} octets")
        return Refusal(error.code, error.reason, " ".join(str(error.body).split()))
