"""``/crl``: the list of revoked certificates (RFC 5280, RFC 2585 4.2)."""

from collections.abc import Callable, Mapping
from datetime import datetime
from email.utils import format_datetime

from bottle import Bottle, HTTPResponse

from app.http.answers import cacheable, guarded, refuse
from app.http.counted import CountOutcome, counted, ignore
from ca.ports import StoredCrl


class CrlPage:
    """Gives *newest*, the CRL, to whoever comes by GET or HEAD.

    *by_name* are those of all CAs, whose certificates name them at ``/crl/NAME.crl``: a CA has its CRL
    there for as long as its certificates live. *count* is told what came of each request.
    """

    def __init__(
        self,
        newest: Callable[[], StoredCrl],
        by_name: Mapping[str, Callable[[], StoredCrl]],
        count: CountOutcome = ignore,
    ) -> None:
        self._newest = newest
        self._by_name = by_name
        self._count = count

    def add_to(self, web: Bottle) -> None:
        """Lay the routes."""
        newest = guarded(lambda: _answer(self._newest()))
        web.route("/crl", "GET", counted(newest, self._count))
        web.route("/crl/<name>.crl", "GET", counted(guarded(self._named), self._count))

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
    # Caches may keep it and have to ask each time: a revocation is not to wait for them.
    headers = {
        "Cache-Control": "public, no-cache",
        "ETag": f'"{crl.number}"',
        "Last-Modified": http_date(crl.this_update),
    }
    return cacheable(crl.der, "application/pkix-crl", headers)
