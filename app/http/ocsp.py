"""``/ocsp``: OCSP over HTTP (RFC 6960 A, RFC 5019 5), by POST, and by GET with the request in the path."""

import base64
import binascii
from collections.abc import Callable
from hashlib import sha256

from bottle import Bottle, HTTPResponse, request

from app.http.answers import cacheable, guarded, refuse, reply
from app.http.counted import OUTCOME, CountOutcome, counted, ignore
from app.http.revocation import http_date
from ca.errors import StoreUnavailable
from ca.ocsp.errors import OcspRefusal, ResponseStatus
from ca.ocsp.request import MAX_REQUEST_OCTETS
from ca.ocsp.responder import OcspAnswer

_MEDIA_TYPE = "application/ocsp-response"
# What became of "+" on the way, and base64url; line breaks are no part of it.
_DIALECTS = str.maketrans(" -_", "++/", "\r\n\t")
_MOST_TEXT = MAX_REQUEST_OCTETS * 3 // 2
_TRY_LATER = OcspRefusal(ResponseStatus.tryLater, "the store does not answer").encode()


class OcspEndpoint:
    """Answers at ``/ocsp`` and below.

    *respond* maps a request to an answer, *count* is told what came of each.
    """

    def __init__(self, respond: Callable[[bytes], OcspAnswer], count: CountOutcome = ignore) -> None:
        self._respond = respond
        self._count = count

    def add_to(self, web: Bottle) -> None:
        """Lay the routes; every method comes here, so that a wrong one is answered here too."""
        handler = counted(guarded(self._handle), self._count)
        # A line break is a character like any other here.
        for path in ("/ocsp", "/ocsp/", "/ocsp/<text:re:(?s:.+)>"):
            web.route(path, "ANY", handler)

    def _handle(self, text: str = "") -> HTTPResponse:
        if request.method == "POST":
            # The server has it whole; what is larger than a request can be is refused by its reader.
            length = min(max(request.content_length, 0), MAX_REQUEST_OCTETS + 1)
            return self._answer(request.environ["wsgi.input"].read(length), may_keep=False)
        if request.method not in ("GET", "HEAD"):
            return refuse(405, "use GET or POST", Allow="GET, HEAD, POST")
        if not text:
            return refuse(400, "an OCSP request comes by POST, or in base64 behind /ocsp/")
        return self._answer(decode_path(text), may_keep=True)

    def _answer(self, body: bytes, *, may_keep: bool) -> HTTPResponse:
        try:
            answer = self._respond(body)
        except StoreUnavailable:
            request.environ[OUTCOME] = "unavailable"
            return reply(_TRY_LATER, _MEDIA_TYPE, store=False)
        if answer.until is None:
            # RFC 6960 2.3: an error, which is no failure of HTTP.
            request.environ[OUTCOME] = "refused"
        if answer.until is None or answer.produced_at is None or not may_keep:
            return reply(answer.der, _MEDIA_TYPE, store=False)
        # RFC 5019 6.2, but with an age of zero: a revocation is not to wait for caches.
        headers = {
            "Cache-Control": "public, no-transform, must-revalidate, max-age=0",
            "ETag": f'"{sha256(answer.der).hexdigest()}"',
            "Last-Modified": http_date(answer.produced_at),
            "Expires": http_date(answer.until),
        }
        return cacheable(answer.der, _MEDIA_TYPE, headers)


def decode_path(text: str) -> bytes:
    """The request in a path, from which the server took the percent-encoding already.

    Empty where it is no base64: no request either, and answered so. Slashes of base64 are part of
    it, "+" may have been made a space on the way, and the padding may be missing.
    """
    if len(text) > _MOST_TEXT:
        return b""
    # An address that ends in a slash may bring a second one; no request begins so.
    plain = text.lstrip("/").translate(_DIALECTS).rstrip("=")
    try:
        return base64.b64decode(plain + "=" * (-len(plain) % 4), validate=True)
    except (binascii.Error, ValueError):
        return b""
