"""The octets of a persona's HTTP requests. Nothing is sent in here."""

import base64
import re
from collections.abc import Sequence
from urllib.parse import quote, urlsplit

from app.client.raw_request import host_of, resource_of, write_request
from app.personas.persona import Wire

POST_PLACE = "{post}"


def get_request(wire: Wire, url: str, query: str) -> bytes:
    """A GET of *query*, which is encoded already."""
    return _write(wire, "GET", url, query, _lines(wire, ()))


def post_request(wire: Wire, url: str, message: bytes) -> bytes:
    """A PKIOperation by POST."""
    lines = _lines(wire, [line.replace("{length}", str(len(message))) for line in wire.post])
    return _write(wire, "POST", url, "operation=PKIOperation", lines, message)


def message_query(wire: Wire, message: bytes) -> str:
    """The query of a PKIOperation by GET, with *message* in the client's own base64."""
    encode = base64.b64encode if wire.alphabet == "base64" else base64.urlsafe_b64encode
    text = encode(message).decode("ascii")
    if not wire.padded:
        text = text.rstrip("=")
    if wire.wrap:
        text = re.sub(rf".{{1,{wire.wrap}}}", r"\g<0>\n", text)
    text = "".join(quote(one, safe="") if one == "\n" or one in wire.escapes else one for one in text)
    # quote() takes "-" for one of those that never need it.
    return wire.get.replace("{message}", text.replace("-", "%2D") if "-" in wire.escapes else text)


def _lines(wire: Wire, post: Sequence[str]) -> list[str]:
    """The headers in the client's own order, those of a *post* where their place is."""
    place = wire.headers.index(POST_PLACE) if POST_PLACE in wire.headers else len(wire.headers)
    return [*wire.headers[:place], *post, *wire.headers[place + 1 :]]


def _write(wire: Wire, method: str, url: str, query: str, lines: Sequence[str], body: bytes = b"") -> bytes:
    resource = resource_of(url, query, suffix=wire.suffix, keeps_query=not wire.replaces_query)
    host, name = host_of(url), urlsplit(url).hostname or ""
    named = (line.replace("{host}", host).replace("{name}", name) for line in lines)
    return write_request(f"{method} {resource} HTTP/{wire.version}", named, body)
