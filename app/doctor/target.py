"""HTTP requests to one SCEP address, octet for octet. Nothing is sent in here."""

import base64
from dataclasses import dataclass
from enum import Enum
from urllib.parse import quote, urlsplit

from app.client.transport import Transport
from ca.scep.codec import PKI_MESSAGE

_WRAP = 64
_CHUNK = 1000


class Spelling(Enum):
    """How the base64 of a message is written into the query of a GET."""

    ESCAPED = "escaped"
    BARE_PLUS = "bare plus"
    WRAPPED = "wrapped"

    def of(self, message: bytes) -> str:
        """*message* as the value of the query's ``message``."""
        text = base64.b64encode(message).decode("ascii")
        match self:
            case Spelling.BARE_PLUS:
                return text.replace("=", "%3D")
            case Spelling.WRAPPED:
                lines = [text[start : start + _WRAP] for start in range(0, len(text), _WRAP)]
                return quote("\n".join(lines) + "\n", safe="")
        return quote(text, safe="")


@dataclass(frozen=True, slots=True)
class Target:
    """One SCEP address.

    Raises:
        ValueError: *url* is no such address; the text says what is wrong with it.

    """

    url: str

    def __post_init__(self) -> None:
        """Refuse what our own client refuses, in the same words."""
        Transport(self.url)

    def get(
        self,
        operation: str,
        message: str | None = None,
        *,
        method: str = "GET",
        version: str = "1.1",
        host: bool = True,
        suffix: str = "",
    ) -> bytes:
        """A request without a body; *message* stands in the query as it is, *suffix* behind the path."""
        query = f"operation={operation}" + ("" if message is None else f"&message={message}")
        line = f"{method} {self._resource(query, suffix)} HTTP/{version}"
        return _head(line, [*self._usual(host=host)])

    def post(
        self,
        body: bytes,
        *,
        media_type: str | None = PKI_MESSAGE,
        chunked: bool = False,
        expect: bool = False,
    ) -> bytes:
        """A PKIOperation by POST."""
        fields = [*self._usual(host=True)]
        if media_type is not None:
            fields.append(f"Content-Type: {media_type}")
        if expect:
            fields.append("Expect: 100-continue")
        fields.append("Transfer-Encoding: chunked" if chunked else f"Content-Length: {len(body)}")
        line = f"POST {self._resource('operation=PKIOperation', '')} HTTP/1.1"
        return _head(line, fields) + (_in_chunks(body) if chunked else body)

    def _resource(self, query: str, suffix: str) -> str:
        parts = urlsplit(self.url)
        own = f"{parts.query}&" if parts.query else ""
        return f"{parts.path or '/'}{suffix}?{own}{query}"

    def _usual(self, *, host: bool) -> list[str]:
        fields = ["User-Agent: scepbox", "Connection: close"]
        return [f"Host: {urlsplit(self.url).netloc}", *fields] if host else fields


def _head(line: str, fields: list[str]) -> bytes:
    return "\r\n".join([line, *fields, "", ""]).encode("ascii")


def _in_chunks(body: bytes) -> bytes:
    pieces = [body[start : start + _CHUNK] for start in range(0, len(body), _CHUNK)]
    return b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in [*pieces, b""])
