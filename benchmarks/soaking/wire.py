"""One HTTP exchange on a connection of its own, as most devices make it."""

import http.client
import time
from dataclasses import dataclass

_PATIENCE_SECONDS = 30
HONEST, GUESSER = "127.0.0.1", "127.0.0.3"


class Wrong(Exception):
    """A reply is not what it has to be, or there is none."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What came, and how long it took from the connection to its last octet."""

    status: int
    media_type: str
    body: bytes
    seconds: float


def exchange(
    address: tuple[str, int],
    path: str,
    body: bytes | None = None,
    media_type: str = "application/x-pki-message",
    source: str = HONEST,
) -> Reply:
    """Send a GET, or a POST where there is a *body*, from the address *source*.

    Raises:
        Wrong: No whole reply came.

    """
    started = time.perf_counter()
    connection = http.client.HTTPConnection(*address, _PATIENCE_SECONDS, source_address=(source, 0))
    headers = {"User-Agent": "soak"} if body is None else {"User-Agent": "soak", "Content-Type": media_type}
    try:
        connection.request("GET" if body is None else "POST", path, body, headers)
        answer = connection.getresponse()
        content = answer.read()
    except (OSError, http.client.HTTPException) as error:
        raise Wrong(f"no answer: {error!r}") from error
    finally:
        connection.close()
    kind = answer.headers.get("Content-Type", "")
    return Reply(answer.status, kind, content, time.perf_counter() - started)


def insist(reply: Reply, media_type: str) -> Reply:
    """Return a reply of status 200 and that media type.

    Raises:
        Wrong: It is another.

    """
    if (reply.status, reply.media_type) != (200, media_type):
        raise Wrong(f"HTTP {reply.status} {reply.media_type}: {reply.body[:80]!r}")
    return reply
