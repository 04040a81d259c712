"""HTTP as SCEP uses it (RFC 8894 4.1): GET with a query, POST of a message, bounded answers."""

import base64
import http.client
import urllib.error
import urllib.parse
import urllib.request
from dataclasses import dataclass

from app.words import printable
from ca.scep.codec import PKI_MESSAGE

MAX_ANSWER = 4 * 1024 * 1024
TIMEOUT_SECONDS = 30


class TransportError(Exception):
    """No answer, or an HTTP error: *status* is 0 where nobody answered. The text is for people."""

    def __init__(self, text: str, status: int = 0) -> None:
        super().__init__(text)
        self.status = status


@dataclass(frozen=True, slots=True)
class Answer:
    """What a server sent with status 200; *media_type* in lower case, without parameters."""

    body: bytes
    media_type: str


@dataclass(frozen=True, slots=True)
class Transport:
    """One SCEP address. *identifier* is the CA identifier that some servers ask for.

    Raises:
        ValueError: *url* is no such address; the text says what is wrong with it.

    """

    url: str
    identifier: str = ""

    def __post_init__(self) -> None:
        """Refuse what could only fail later, and with less to say about it."""
        check_address(self.url)

    def get(self, operation: str) -> Answer:
        """GetCACaps, GetCACert or GetNextCACert.

        Raises:
            TransportError: There was no answer of status 200.

        """
        query = {"operation": operation}
        if self.identifier:
            query["message"] = self.identifier
        return self._fetch(query, None)

    def operate(self, message: bytes, *, post: bool) -> Answer:
        """PKIOperation, by POST where the server offers it.

        Raises:
            TransportError: There was no answer of status 200.

        """
        if post:
            return self._fetch({"operation": "PKIOperation"}, message)
        text = base64.b64encode(message).decode("ascii")
        return self._fetch({"operation": "PKIOperation", "message": text}, None)

    def _fetch(self, query: dict[str, str], body: bytes | None) -> Answer:
        separator = "&" if "?" in self.url else "?"
        url = f"{self.url}{separator}{urllib.parse.urlencode(query, quote_via=urllib.parse.quote, safe='')}"
        request = urllib.request.Request(url, body, {"User-Agent": "scepbox"})  # noqa: S310 - checked on making
        if body is not None:
            request.add_header("Content-Type", PKI_MESSAGE)
        try:
            with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS) as answer:  # noqa: S310
                content = bytes(answer.read(MAX_ANSWER + 1))
                media_type = answer.headers.get("Content-Type", "").partition(";")[0].strip().lower()
        except urllib.error.HTTPError as error:
            line = error.read(200).decode("utf-8", "replace").strip().splitlines()
            said = f": {printable(line[0])}" if line else ""
            raise TransportError(f"the server answered HTTP {error.code}{said}", error.code) from error
        except (OSError, ValueError, http.client.HTTPException) as error:
            reason = getattr(error, "reason", error)
            # What stands behind it may be a secret.
            where = self.url.partition("?")[0]
            raise TransportError(f"no answer from {where}: {reason}") from error
        if len(content) > MAX_ANSWER:
            raise TransportError("the server's answer is too long")
        return Answer(content, media_type)


def check_address(url: str) -> None:
    """Check that *url* can be asked.

    Raises:
        ValueError: It cannot; the text says what is wrong with it.

    """
    try:
        parts = urllib.parse.urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise ValueError(f"{url!r} is not an address: {error}") from error
    if parts.username is not None:
        raise ValueError("a user name in the address is not sent: leave out what is before the @")
    if parts.scheme not in ("http", "https"):
        raise ValueError(f"{url!r} is not an http:// or https:// address")
    if not host or port == 0:
        raise ValueError(f"{url!r} is not an address: it names no host and port")
    try:
        host.encode("idna")
    except UnicodeError as error:
        raise ValueError(f"{url!r} is not an address: no host is called {host!r}") from error
    if not url.isascii() or not url.isprintable() or " " in url or "#" in url:
        raise ValueError(f"{url!r} is not an address: spaces, # and other letters than ASCII do not belong")
