"""HTTP requests to one SCEP address, octet for octet. Nothing is sent in here."""

import base64
from dataclasses import dataclass
from enum import Enum
from itertools import chain
from urllib.parse import quote, unquote, unquote_plus, urlsplit, urlunsplit

from app.client.raw_request import host_of, resource_of, write_request
from app.client.transport import Transport
from ca.scep.codec import PKI_MESSAGE

_WRAP = 64
_CHUNK = 1000
_HIDDEN = "…"
# What is shorter may stand anywhere by chance, and is no secret that would hold.
_SHORTEST_SECRET = 6


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
class Way:
    """How a request is written in HTTP: as it stands here, a plain GET.

    *suffix* stands behind the path, and *other_slash* takes the slash at its end away or puts one there.
    *spelling* is for a message in the query. *media_type*, *chunked* and *expect* (100-continue) are for a
    body. *keeps* asks for a connection that does not end with the answer.
    """

    method: str = "GET"
    version: str = "1.1"
    host: bool = True
    suffix: str = ""
    other_slash: bool = False
    spelling: Spelling = Spelling.ESCAPED
    media_type: str | None = PKI_MESSAGE
    chunked: bool = False
    expect: bool = False
    keeps: bool = False


GET, POST = Way(), Way("POST")


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

    @property
    def host(self) -> str:
        """Whom requests go to: the host, and the port if it is named."""
        return host_of(self.url)

    @property
    def query_names(self) -> tuple[str, ...]:
        """The names in the query that the address has of its own; what stands alone is hidden."""
        return tuple(pair.partition("=")[0] if "=" in pair else _HIDDEN for pair in self._pairs)

    @property
    def shown(self) -> str:
        """The address for people, without the values in its query: they may be secrets."""
        parts = urlsplit(self.url)
        return urlunsplit(parts._replace(query=self._shown_query))

    @property
    def may_end_in_slash(self) -> bool:
        """Whether people may write it with a slash: there is a path, and not to some pkiclient.exe."""
        name = urlsplit(self.url).path.rstrip("/").rpartition("/")[2]
        return bool(name) and "." not in name

    def conceal(self, text: str) -> str:
        """*text* without the values of the address's own query, however they are escaped."""
        if self._pairs:
            text = text.replace(f"?{urlsplit(self.url).query}", f"?{self._shown_query}")
        # The longest first: of one that has another in it nothing is to be left.
        for spelling in sorted(set(chain(*map(_spellings, self._pairs))), key=len, reverse=True):
            if len(spelling) >= _SHORTEST_SECRET:
                text = text.replace(spelling, _HIDDEN)
        return text

    def write(self, operation: str, message: bytes | str | None = None, way: Way = GET) -> bytes:
        """A request for *operation*.

        A *message* in octets is the body of a POST, and stands in the query of a GET in base64; text stands
        there as it is.
        """
        if way.method == "POST":
            return self._post(operation, message if isinstance(message, bytes) else b"", way)
        text = way.spelling.of(message) if isinstance(message, bytes) else message
        query = f"operation={operation}" + ("" if text is None else f"&message={text}")
        return write_request(self._first(query, way), self._usual(way))

    def _post(self, operation: str, body: bytes, way: Way) -> bytes:
        headers = self._usual(way)
        if way.media_type is not None:
            headers.append(f"Content-Type: {way.media_type}")
        if way.expect:
            headers.append("Expect: 100-continue")
        headers.append("Transfer-Encoding: chunked" if way.chunked else f"Content-Length: {len(body)}")
        body = _in_chunks(body) if way.chunked else body
        return write_request(self._first(f"operation={operation}", way), headers, body)

    def _first(self, query: str, way: Way) -> str:
        url = self._with_other_slash if way.other_slash else self.url
        return f"{way.method} {resource_of(url, query, suffix=way.suffix)} HTTP/{way.version}"

    def _usual(self, way: Way) -> list[str]:
        headers = ["User-Agent: scepbox", f"Connection: {'keep-alive' if way.keeps else 'close'}"]
        return [f"Host: {self.host}", *headers] if way.host else headers

    @property
    def _with_other_slash(self) -> str:
        parts = urlsplit(self.url)
        path = parts.path.rstrip("/")
        return urlunsplit(parts._replace(path=path if path != parts.path else f"{path}/"))

    @property
    def _pairs(self) -> list[str]:
        return [pair for pair in urlsplit(self.url).query.split("&") if pair]

    @property
    def _shown_query(self) -> str:
        return "&".join(_hide(pair) for pair in self._pairs)


def _hide(pair: str) -> str:
    name, equals, _ = pair.partition("=")
    # What stands alone may be the secret itself.
    return f"{name}={_HIDDEN}" if equals else _HIDDEN


def _spellings(pair: str) -> set[str]:
    """How its value, or what stands alone, may be said again."""
    _, equals, value = pair.partition("=")
    written = value if equals else pair
    plain = unquote(written)
    return {written, plain, unquote_plus(written), quote(plain), quote(plain, safe="")}


def _in_chunks(body: bytes) -> bytes:
    pieces = [body[start : start + _CHUNK] for start in range(0, len(body), _CHUNK)]
    return b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in [*pieces, b""])
