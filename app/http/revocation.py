"""``/crl``: the list of revoked certificates (RFC 5280, RFC 2585 4.2)."""

from collections.abc import Callable
from datetime import datetime
from email.utils import format_datetime

from bottle import Bottle, HTTPResponse

from app.http.answers import cacheable, guarded, refuse
from ca.ports import StoredCrl


class CrlPage:
    """Gives *newest*, the CRL, to whoever comes by GET or HEAD."""

    def __init__(self, newest: Callable[[], StoredCrl]) -> None:
        self._newest = newest

    def add_to(self, web: Bottle) -> None:
        """Lay the route."""
        web.route("/crl", "GET", guarded(self._crl))

    def _crl(self) -> HTTPResponse:
        crl = self._newest()
        if not crl.der:
            return refuse(404, "this CA may not sign CRLs: its certificate lacks cRLSign; OCSP is at /ocsp")
        # Caches may keep it and have to ask each time: a revocation is not to wait for them.
        headers = {
            "Cache-Control": "public, no-cache",
            "ETag": f'"{crl.number}"',
            "Last-Modified": http_date(crl.this_update),
        }
        return cacheable(crl.der, "application/pkix-crl", headers)


def http_date(time: datetime) -> str:
    """A time as HTTP writes it (RFC 9110 5.6.7)."""
    return format_datetime(time, usegmt=True)
