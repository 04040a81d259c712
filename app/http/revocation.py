"""``/crl``: the list of revoked certificates (RFC 5280, RFC 2585 4.2)."""

from collections.abc import Callable, Mapping
from datetime import datetime
from email.utils import format_datetime

from bottle import Bottle, HTTPResponse, request

from app.http.answers import guarded, refuse, reply
from ca.ports import StoredCrl


class CrlPage:
    """Gives *newest*, the CRL, to whoever comes by GET or HEAD.

    *by_name* are those of all CAs, whose certificates name them at ``/crl/NAME.crl``: a CA has its CRL
    there for as long as its certificates live.
    """

    def __init__(
        self, newest: Callable[[], StoredCrl], by_name: Mapping[str, Callable[[], StoredCrl]]
    ) -> None:
        self._newest = newest
        self._by_name = by_name

    def add_to(self, web: Bottle) -> None:
        """Lay the routes."""
        web.route("/crl", "GET", guarded(lambda: _answer(self._newest())))
        web.route("/crl/<name>.crl", "GET", guarded(self._named))

    def _named(self, name: str) -> HTTPResponse:
        if name not in self._by_name:
            return refuse(404, "no CA of that name is known here")
        return _answer(self._by_name[name]())


def http_date(time: datetime) -> str:
    """A time as HTTP writes it (RFC 9110 5.6.7)."""
    return format_datetime(time, usegmt=True)


def _answer(crl: StoredCrl) -> HTTPResponse:
    if not crl.der:
        return refuse(404, "this CA may not sign CRLs: its certificate lacks cRLSign; OCSP is at /ocsp")
    etag = f'"{crl.number}"'
    # Caches may keep it and have to ask each time: a revocation is not to wait for them.
    headers = {
        "Cache-Control": "public, no-cache",
        "ETag": etag,
        "Last-Modified": http_date(crl.this_update),
    }
    if etag in _known_tags():
        return HTTPResponse(b"", 304, headers)
    answer = reply(crl.der, "application/pkix-crl")
    for name, value in headers.items():
        answer.set_header(name, value)
    return answer


def _known_tags() -> list[str]:
    """What If-None-Match has; a weak tag is as good here (RFC 9110 13.1.2)."""
    given = request.environ.get("HTTP_IF_NONE_MATCH", "")
    return [tag.strip().removeprefix("W/") for tag in given.split(",")]
