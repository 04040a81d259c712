"""waitress with its limits set on purpose, one-line refusals, and an end that lets work finish.

Changes to waitress itself: its loop serves the requests, in rounds and without threads; a request
must be whole within a time; a request line that is too long is a 414; Content-Length beside
Transfer-Encoding and versions of HTTP yet to come are refused; and errors are a line of text.
"""

import logging
import re
import select
import socket
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Protocol
from wsgiref.types import WSGIApplication

from greenlet import GreenletExit
from waitress import wasyncore
from waitress.adjustments import Adjustments
from waitress.channel import HTTPChannel
from waitress.parser import HTTPRequestParser, ParsingError
from waitress.server import TcpWSGIServer

from app.http.limits import Limits
from app.http.rounds import Rounds
from ca.journal import log_line

log = logging.getLogger(__name__)
# Docker waits for ten.
DRAIN_SECONDS = 8
# A connection that was made just before the end may have its request under way.
_GRACE_SECONDS = 0.3
BACKLOG = 1024
# Empty: a request line that says none is read as 1.0.
_VERSIONS = ("1.1", "1.0", "")
# Head and body of an answer leave in one packet.
_SEND_OCTETS = 1 << 20
# For so long a process leaves a new connection to one that has fewer, and then takes it.
_COURTESY_SECONDS = 0.002
_OFFERED_SECONDS = 0.05
# When the system is out of files or memory, it is so for a while.
_RECOVERY_SECONDS = 1.0
_BOTH_LENGTHS = re.compile(rb"(?m)^(content-length|transfer-encoding)[ \t]*:")


class _Refusal:
    """A refusal of waitress's parser, told in one line (stands in for ``waitress.utilities.Error``)."""

    def __init__(self, code: int, reason: str, why: str) -> None:
        self._status = f"{code} {reason}"
        self.line = f"{why}\n".encode("latin-1", "replace")

    def log_line(self, peer: str) -> str:
        """What the log says of it."""
        return log_line(http=self._status, reason=self.line.decode("latin-1").strip(), peer=peer)

    def to_response(self, ident: str | None = None) -> tuple[str, list[tuple[str, str]], bytes]:
        return self._status, [("Content-Type", "text/plain")], self.line


class _Parser(HTTPRequestParser):  # type: ignore[misc] # waitress has no types
    error: Any

    def __init__(self, adj: Adjustments) -> None:
        super().__init__(adj)
        self.started = time.monotonic()

    def received(self, data: bytes) -> int:
        consumed: int = super().received(data)
        if self.error is not None and not isinstance(self.error, _Refusal):
            self.error = self._in_one_line(self.error)
            # Nobody is to send what is refused already.
            self.expect_continue = False
        return consumed

    def parse_header(self, header_plus: bytes) -> None:
        lower = header_plus.lower()
        if b"transfer-encoding" in lower and len(set(_BOTH_LENGTHS.findall(lower))) == 2:
            # RFC 9112 6.1: two lengths are how requests are smuggled past a proxy.
            raise ParsingError("Content-Length and Transfer-Encoding together")
        try:
            super().parse_header(header_plus)
        except ParsingError:
            raise
        except ValueError as error:
            raise ParsingError("the request line has no valid address") from error
        if self.version not in _VERSIONS:
            raise ParsingError("HTTP/1.1 and HTTP/1.0 are spoken here")

    def _in_one_line(self, error: Any) -> _Refusal:
        if error.code == 431 and b"\n" not in self.header_plus:
            return _Refusal(414, "URI Too Long", "the request line is too long")
        if error.code == 413:
            most = self.adj.max_request_body_size - 1
            return _Refusal(413, error.reason, f"the body is larger than {most} octets")
        return _Refusal(error.code, error.reason, " ".join(str(error.body).split()))


class _Channel(HTTPChannel):  # type: ignore[misc]
    parser_class = _Parser
    requests: list[_Parser]

    def service(self) -> None:
        """Serve a request and send what can be sent at once."""
        if self.requests and isinstance(self.requests[0].error, _Refusal):
            log.info(self.requests[0].error.log_line(self.addr[0]))
        try:
            super().service()
        except GreenletExit:
            raise
        except BaseException:
            # Such as a panic of a library in another language: it is this request's alone.
            log.exception("a request ended in a fault of the server")
            self.requests = []
            self.will_close = True
        if self.writable():
            self.handle_write()

    @property
    def busy(self) -> bool:
        """Whether a request is on its way in, or an answer on its way out."""
        return bool(self.request or self.requests or self.total_outbufs_len)


class ConnectionShare(Protocol):
    """How many connections this process has, beside others that listen on the same address."""

    def note(self, connections: int) -> None:
        """Tell how many they are now."""

    def is_ahead(self) -> bool:
        """Whether another process has fewer."""


class _NoOthers:
    """The share of who is alone."""

    def note(self, connections: int) -> None:
        pass

    def is_ahead(self) -> bool:
        return False


class _Listener(TcpWSGIServer):  # type: ignore[misc]
    channel_class = _Channel

    def __init__(
        self, *arguments: Any, limits: Limits, rounds: Rounds, share: ConnectionShare, **named: Any
    ) -> None:
        self._limits = limits
        self._rounds = rounds
        self._share = share
        self._held_until = 0.0
        # Whether the others were given time to take the connection that waits.
        self._offered = False
        super().__init__(*arguments, **named)

    def readable(self) -> bool:
        """Whether to look for a connection; not while another worker is given time to take it."""
        # waitress closes idle connections from here, so it is asked in any case.
        accepting: bool = super().readable()
        return accepting and not self.holding_back

    @property
    def holding_back(self) -> float:
        """For how many seconds it still leaves new connections to others, or to nobody."""
        return max(0.0, self._held_until - time.monotonic())

    def accept_all(self) -> None:
        """Take every connection that waits for it."""
        before = -1
        while before < len(self.active_channels) < self.adj.connection_limit:
            before = len(self.active_channels)
            super().handle_accept()

    def handle_accept(self) -> None:
        """Take a connection; one that has more of them than others first leaves it to these."""
        now = time.monotonic()
        offered = self._offered and now < self._held_until + _OFFERED_SECONDS
        self._offered = not offered and self._share.is_ahead()
        if self._offered:
            self._held_until = now + _COURTESY_SECONDS
            return
        super().handle_accept()

    def accept(self) -> Any:
        """Take a connection from the system, or None where it is gone already."""
        try:
            return super().accept()
        except OSError as error:
            log.error(log_line(reason="no connection can be taken for a while", detail=error))
            self._held_until = time.monotonic() + _RECOVERY_SECONDS
            return None

    def add_task(self, task: HTTPChannel) -> None:
        self._rounds.add(task.service)

    def pull_trigger(self) -> None:
        """Nothing: the loop that would be woken is the one that calls."""

    def maintenance(self, now: float) -> None:
        """Close connections that idle, and those that send a request a drop at a time."""
        super().maintenance(now)
        latest = time.monotonic() - self._limits.request_seconds
        for channel in self.active_channels.values():
            unfinished = channel.request
            if unfinished is not None and unfinished.started < latest:
                log.info(log_line(http="closed", reason="the request took too long", peer=channel.addr[0]))
                channel.will_close = True


class _Lifeline:
    """What the loop sees of a pipe whose other end the parent process holds and never writes to."""

    accepting = False

    def __init__(self, stop: Callable[[], None]) -> None:
        self.handle_read_event = self.handle_close = stop

    def readable(self) -> bool:
        return True

    def writable(self) -> bool:
        return False


@dataclass(frozen=True, slots=True)
class Site:
    """What is served on a socket, and what those who come to it may take."""

    web: WSGIApplication
    listener: socket.socket
    limits: Limits


class WebServer:
    """Serves each of several sockets with its application until it is told to stop."""

    def __init__(self, sites: Sequence[Site], share: ConnectionShare | None = None) -> None:
        self._share = share or _NoOthers()
        self._map: dict[int, Any] = {}
        self._stopping = False
        self._poll = hasattr(select, "poll")  # not on Windows
        self._rounds = Rounds(self._wake)
        self._listeners = [self._listen(site) for site in sites]

    def _listen(self, site: Site) -> _Listener:
        limits, listener = site.limits, site.listener
        adjustments = Adjustments(
            sockets=[listener],
            ident="scepbox",
            # waitress refuses what is as large as the limit.
            max_request_body_size=limits.body_octets + 1,
            max_request_header_size=limits.header_octets,
            connection_limit=limits.connections,
            channel_timeout=limits.idle_seconds,
            cleanup_interval=min(5, limits.request_seconds, limits.idle_seconds),
            backlog=BACKLOG,
            asyncore_use_poll=self._poll,
            log_socket_errors=False,
            # Nobody reads them here, so there is nothing to clear.
            clear_untrusted_proxy_headers=False,
        )
        # As an argument it draws a warning that it may go away.
        adjustments.send_bytes = _SEND_OCTETS
        return _Listener(
            site.web,
            self._map,
            True,
            listener,
            # Its own would start threads.
            dispatcher=self._rounds,
            rounds=self._rounds,
            share=self._share,
            adj=adjustments,
            sockinfo=(listener.family, listener.type, listener.proto, listener.getsockname()),
            bind_socket=False,
            limits=limits,
        )

    def run(self, lifeline: int | None = None) -> None:
        """Serve until :meth:`stop`, or until *lifeline* comes to its end; then finish what is in flight."""
        if lifeline is not None:
            self._map[lifeline] = _Lifeline(self.stop)
        while not self._stopping:
            self._turn(1)
        if lifeline is not None:
            del self._map[lifeline]
        for listener in self._listeners:
            # Who was connected before the end is not sent away.
            listener.accept_all()
            listener.accepting = False
            listener.socket.close()
            listener.del_channel(self._map)
        self._finish()
        wasyncore.close_all(self._map)

    def _finish(self) -> None:
        """Answer what is in flight, and let go of every connection that is idle."""
        started = time.monotonic()
        while channels := self._channels():
            passed = time.monotonic() - started
            if passed > DRAIN_SECONDS:
                log.warning(log_line(reason="the end did not wait for all requests", count=len(channels)))
                return
            for channel in channels:
                if passed > _GRACE_SECONDS and not channel.busy:
                    channel.will_close = True
            self._turn(0.1)

    def _turn(self, seconds: float) -> None:
        """Wait so long at most for something to happen, take in what has, and serve it."""
        held = [listener.holding_back for listener in self._listeners]
        seconds = min([seconds, *filter(None, held)])
        timeout = 0 if self._rounds else seconds
        wasyncore.loop(timeout=timeout, use_poll=self._poll, map=self._map, count=1)
        self._rounds.run()
        self._share.note(len(self._channels()))

    def stop(self) -> None:
        """Ask :meth:`run` to end. May be called by a signal handler or from another thread."""
        if not self._stopping:
            self._stopping = True
            self._wake()

    def soon(self, work: Callable[[], None]) -> None:
        """Have the loop do *work* among its requests. May be called by a signal handler."""
        self._rounds.add(work)
        self._wake()

    def _wake(self) -> None:
        """Have the loop look at what there is to do. May be called from another thread."""
        with suppress(OSError):  # Closed: the loop has ended.
            self._listeners[0].trigger.pull_trigger()

    def _channels(self) -> list[_Channel]:
        return [channel for listener in self._listeners for channel in listener.active_channels.values()]


def bind(host: str, port: int) -> socket.socket:
    """A socket that listens. Port 0 takes a free one.

    Raises:
        OSError: The address is taken or not ours.

    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    one = socket.socket(family, socket.SOCK_STREAM)
    try:
        if hasattr(socket, "SO_EXCLUSIVEADDRUSE"):  # Windows: SO_REUSEADDR would share the port
            one.setsockopt(socket.SOL_SOCKET, socket.SO_EXCLUSIVEADDRUSE, 1)
        else:
            one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        one.bind((host, port))
        # At once: an address that can be bound may be one that cannot be listened on.
        one.listen(BACKLOG)
    except OSError:
        one.close()
        raise
    return one
