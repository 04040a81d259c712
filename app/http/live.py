"""The application that is served while what it is made of changes: built anew, and put in its place."""

import logging
import time
from collections.abc import Callable, Iterable
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from ca.journal import log_line

log = logging.getLogger(__name__)
RETRY_SECONDS = 1.0


class LiveApplication:
    """What *build* made last. It is built anew before the first request after *version* has changed.

    *version* is asked at every request, and has to be quick. A request that is under way ends in the
    application that it began in, so that none sees two states. What cannot be built is tried again
    while what there was goes on.
    """

    def __init__(self, build: Callable[[], WSGIApplication], version: Callable[[], object]) -> None:
        """Build it for the first time, and raise whatever *build* raises."""
        self._build = build
        self._version = version
        # Asked before it is built: what changes meanwhile is then seen.
        self._built_of = version()
        self._application = build()
        self._retry_at = 0.0

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer a request (PEP 3333)."""
        version = self._version()
        if version != self._built_of and time.monotonic() >= self._retry_at:
            self._renew(version)
        return self._application(environ, start_response)

    def _renew(self, version: object) -> None:
        try:
            self._application = self._build()
        except Exception as error:
            self._retry_at = time.monotonic() + RETRY_SECONDS
            log.exception(
                log_line(reason="the change cannot be taken in; what there was goes on", detail=error)
            )
            return
        self._built_of = version
        log.info(log_line(message="a change was taken in"))
