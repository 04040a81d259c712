"""HTTP to a service that decides, or is told: an answer within a time limit, whatever the other side does.

The limit is one of the clock on the wall: each request has a thread of its own, which is left alone when
its time is over. Limits of single steps would let a server send an octet a second, and looking up a name
has none at all.
"""

import http.client
import socket
import ssl
import threading
import time
from collections.abc import Mapping
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import urllib3
from urllib3 import exceptions as failures
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

from app import VERSION
from app.validators.verdict import MAX_OCTETS, safe_text

# More than wait at once (app.http.rounds), and not so many that hung ones could pile up for ever.
MOST_AT_ONCE = 64
_GRACE_SECONDS = 0.5
# Between tries of one request, in seconds; the last again and again.
_PAUSES = (0.1, 0.3, 1.0)
# The service behind a proxy is not there at the moment (RFC 9110 15.6.3, 15.6.4, 15.6.5).
_TRY_AGAIN = frozenset({502, 503, 504})
# The connection ended without an octet of an answer: it was an old one, which the server closed.
_CLOSED = (http.client.RemoteDisconnected, ConnectionResetError, BrokenPipeError)
_call = threading.local()


class NoAnswer(Exception):
    """There was no answer in time, or too long a one. The text is for the log and holds no secret."""


class NotReached(NoAnswer):
    """Nobody was there to answer, so that another try may find somebody."""


@dataclass(frozen=True, slots=True)
class Deadline:
    """A moment until which all has to be done. *seconds* is how long that was in the beginning."""

    seconds: float
    at: float

    @classmethod
    def after(cls, seconds: float, begin: float | None = None) -> "Deadline":
        """The moment *seconds* from *begin*, by ``time.monotonic``, or from now."""
        return cls(seconds, (time.monotonic() if begin is None else begin) + seconds)

    @property
    def remaining(self) -> float:
        """Seconds until then; not quite zero when it is over."""
        return max(0.001, self.at - time.monotonic())

    @property
    def is_over(self) -> bool:
        """Whether it is over."""
        return time.monotonic() >= self.at


@dataclass(frozen=True, slots=True)
class Request:
    """What is sent: a POST where there is a body, else a GET; *most* octets of an answer are read."""

    url: str
    headers: Mapping[str, str]
    body: bytes | None = None
    most: int = MAX_OCTETS


@dataclass(frozen=True, slots=True)
class Answer:
    """Status and body of an answer, whatever the status."""

    status: int
    body: bytes


class Caller:
    """Sends requests over connections that it keeps. Follows no redirect, and checks whom it talks to.

    *ca_file* holds the only CAs that are believed; without it they are those of the system.

    Raises:
        OSError: *ca_file* cannot be read, or holds no certificate (``ssl.SSLError``).

    """

    def __init__(self, ca_file: Path | None = None) -> None:
        context = ssl.create_default_context(cafile=ca_file)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        self._pools = urllib3.PoolManager(maxsize=MOST_AT_ONCE, ssl_context=context)
        self._pools.pool_classes_by_scheme = {"http": _Pool, "https": _SecurePool}
        self._free = threading.BoundedSemaphore(MOST_AT_ONCE)

    def send(self, request: Request, deadline: Deadline) -> Answer:
        """Send it, again if nobody was there, until *deadline*.

        Raises:
            NoAnswer: Nobody answered until then, or what came is no answer.

        """
        tries = 0
        while True:
            pause = _PAUSES[min(tries, len(_PAUSES) - 1)]
            try:
                answer = self._send_once(request, deadline)
                if answer.status not in _TRY_AGAIN:
                    return answer
                failure = NotReached(f"HTTP {answer.status}")
            except NotReached as error:
                failure = error
            if deadline.remaining <= pause:
                raise failure
            time.sleep(pause)
            tries += 1

    def _send_once(self, request: Request, deadline: Deadline) -> Answer:
        if deadline.is_over or not self._free.acquire(blocking=False):
            raise NoAnswer(_late(deadline) if deadline.is_over else f"{MOST_AT_ONCE} requests hang already")
        call = _Call()
        threading.Thread(target=self._serve, args=(call, request, deadline), daemon=True).start()
        try:
            return call.answer.result(deadline.remaining)
        except TimeoutError:
            call.cut()
            raise NoAnswer(_late(deadline)) from None

    def _serve(self, call: "_Call", request: Request, deadline: Deadline) -> None:
        """What the thread of one request does."""
        _call.current = call
        try:
            call.answer.set_result(self._exchange(request, deadline))
        except BaseException as error:
            call.answer.set_exception(error)
        finally:
            self._free.release()

    def _exchange(self, request: Request, deadline: Deadline) -> Answer:
        # A little later than the limit, so that it is the limit that is told.
        seconds = deadline.remaining + _GRACE_SECONDS
        timeout = urllib3.Timeout(connect=seconds, read=seconds)
        try:
            response = self._pools.request(
                "GET" if request.body is None else "POST",
                request.url,
                body=request.body,
                headers={"User-Agent": f"scepbox/{VERSION}", **request.headers},
                redirect=False,
                retries=False,
                timeout=timeout,
                preload_content=False,
                decode_content=False,
            )
            try:
                body = b""
                # One read more than seems needed: it is the one that finds an answer cut off.
                while len(body) <= request.most and (more := response.read(request.most + 1 - len(body))):
                    body += more
            except BaseException:
                response.close()
                raise
        except (failures.HTTPError, http.client.HTTPException, OSError) as error:
            raise _translate(error) from None
        if len(body) > request.most:
            response.close()
            raise NoAnswer(f"the answer is longer than {request.most} octets")
        response.release_conn()
        return Answer(response.status, body)


class _Call:
    """One request: its answer to come, and the connection that it comes by."""

    def __init__(self) -> None:
        self.answer: Future[Answer] = Future()
        self.socket: socket.socket | None = None

    def cut(self) -> None:
        """Have whoever reads from the connection find its end."""
        if self.socket is not None:
            with suppress(OSError):
                # Of the socket below TLS: that above it is another thread's at this moment.
                socket.socket.shutdown(self.socket, socket.SHUT_RDWR)


class _Connection(HTTPConnection):
    def getresponse(self) -> Any:
        _call.current.socket = self.sock
        return super().getresponse()


class _SecureConnection(HTTPSConnection):
    def getresponse(self) -> Any:
        _call.current.socket = self.sock
        return super().getresponse()


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Connection


class _SecurePool(HTTPSConnectionPool):
    ConnectionCls = _SecureConnection


def _translate(error: Exception) -> NoAnswer:
    """Whether another try may help, and the words for the log."""
    inner = error.args[1] if isinstance(error, failures.ProtocolError) and len(error.args) > 1 else error
    if isinstance(inner, http.client.HTTPException) and not isinstance(inner, _CLOSED):
        # Its text is what came, which may repeat what was sent.
        return NoAnswer("the answer is no HTTP")
    text = safe_text(str(error)) or type(error).__name__
    if isinstance(error, failures.NewConnectionError) or isinstance(inner, _CLOSED):
        return NotReached(text)
    return NoAnswer(text)


def _late(deadline: Deadline) -> str:
    return f"no answer within {deadline.seconds:g} s"
