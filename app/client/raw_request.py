"""The octets of an HTTP request, put together from what they are to be. Nothing is added, nothing is sent.

Whoever writes requests otherwise than a library would, as other people's clients do, writes them here.
"""

from collections.abc import Iterable
from urllib.parse import urlsplit


def write_request(first: str, headers: Iterable[str], body: bytes = b"") -> bytes:
    """The request with this *first* line and these lines of *headers*, in their order and without ends."""
    return "\r\n".join((first, *headers, "", "")).encode("latin-1") + body


def resource_of(url: str, query: str, *, suffix: str = "", keeps_query: bool = True) -> str:
    """What a request to *url* names in its first line: the path, and the *query*, which is encoded already.

    A path that does not end with *suffix* gets it. *keeps_query* says whether the query that *url* has
    of its own goes before the other, or is lost.
    """
    parts = urlsplit(url)
    path = parts.path or "/"
    if not path.endswith(suffix):
        path = path.rstrip("/") + suffix
    own = f"{parts.query}&" if parts.query and keeps_query else ""
    return f"{path}?{own}{query}"


def host_of(url: str) -> str:
    """What stands in the Host header of a request to *url*: the host, and the port if it is named."""
    return urlsplit(url).netloc.rpartition("@")[2]
