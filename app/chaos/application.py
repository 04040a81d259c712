"""The application of devices in chaos mode. It refuses nothing that would not be refused without."""

import logging
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import partial
from typing import Any
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from bottle import request

from app.chaos.fate import Fate, Fates
from app.http.rounds import wait_elsewhere
from app.http.scep import ASKED
from app.http.task import Unanswered
from ca.errors import ValidatorUnavailable
from ca.journal import Exchange, log_line
from ca.scep.codec import PKI_MESSAGE, Form, rewrite
from ca.scep.messages import MessageType, Outcome, Pending, Success

log = logging.getLogger(__name__)
_FATE = "scepbox.fate"
_CALM = Fate()
# Whoever asks for one of these can be told to come again.
_MAY_WAIT = {MessageType.PKCS_REQ.label, MessageType.RENEWAL_REQ.label, MessageType.CERT_POLL.label}
# No validator is called so.
_WAITING = "chaos mode"
# RFC 8894 3.5.2: clients ignore keywords that they do not know.
_UNKNOWN_KEYWORD = "X-SCEPBOX-CHAOS"


class Chaos:
    """What happens by *seed*."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self._fates = Fates(seed)

    def temper(self, outcome: Outcome, exchange: Exchange) -> Outcome:
        """PENDING in the place of a certificate, now and then: a poll or a resend gets what is there."""
        fate: Fate = request.environ.get(_FATE, _CALM)
        waits = fate.pending and isinstance(outcome, Success) and exchange.message_type in _MAY_WAIT
        exchange.add_note(f"chaos mode{', told PENDING' if waits else ''}")
        return Pending() if waits else outcome

    def around(self, web: WSGIApplication) -> WSGIApplication:
        """*web*, whose SCEP answers come late, oddly written, or not at all."""

        def serve(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
            fate = environ[_FATE] = self._fates.draw()
            answer = _Answer()
            answer.take(web(environ, answer.start))
            if ASKED not in environ:
                # No device asked by SCEP: this is left as it is.
                start_response(answer.status, answer.headers)
                return [answer.body]
            pieces, oddities = answer.oddly() if fate.odd else ([answer.body], [])
            log.warning(
                log_line(
                    chaos=self.seed,
                    lost="yes" if fate.lost else "",
                    late=f"{fate.seconds:.1f} s" if fate.seconds else "",
                    odd=", ".join(oddities),
                    path=environ.get("PATH_INFO", ""),
                    peer=environ.get("REMOTE_ADDR", ""),
                )
            )
            if fate.seconds:
                # Where too many wait already, this one does not.
                with suppress(ValidatorUnavailable):
                    wait_elsewhere(_WAITING, partial(time.sleep, fate.seconds))
            if fate.lost:
                raise Unanswered
            start_response(answer.status, answer.headers)
            return pieces

        return serve


class _Answer:
    """What an application answered, before it is sent."""

    def __init__(self) -> None:
        self.status = ""
        self.headers: list[tuple[str, str]] = []
        self.body = b""

    def start(self, status: str, headers: list[tuple[str, str]], *_: Any) -> Any:
        """What an application calls first (PEP 3333)."""
        self.status, self.headers = status, headers

    def take(self, pieces: Iterable[bytes]) -> None:
        """Read the body to its end, and be done with what it came from, as PEP 3333 has it."""
        try:
            self.body = b"".join(pieces)
        finally:
            close: Callable[[], None] | None = getattr(pieces, "close", None)
            if close is not None:
                close()

    def oddly(self) -> tuple[list[bytes], list[str]]:
        """The body in the pieces to send, and what is odd about the answer; the headers are changed."""
        oddities = []
        media_type = next((value for name, value in self.headers if name == "Content-Type"), "")
        if media_type == PKI_MESSAGE:
            self.body = rewrite(self.body, Form.STREAMED)
            oddities.append("BER")
        elif media_type == "text/plain" and self.status.startswith("200"):
            self.body = respell(self.body)
            oddities.append("keywords")
        # RFC 9110 8.3.1: its case does not count.
        self.headers = [
            (name, value.title() if name == "Content-Type" else value)
            for name, value in self.headers
            if name != "Content-Length"
        ]
        half = len(self.body) // 2
        return [self.body[:half], self.body[half:]], [*oddities, "chunks", "media type"]


def respell(capabilities: bytes) -> bytes:
    """The keywords in another order, with one that nobody knows, and CR LF (RFC 8894 3.5.2 allows either)."""
    words = capabilities.decode("ascii").split()
    return "".join(f"{word}\r\n" for word in (_UNKNOWN_KEYWORD, *reversed(words))).encode("ascii")
