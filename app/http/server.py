"""waitress with its limits set on purpose, one-line refusals, and an end that lets work finish.

Changes to waitress itself: a request must be whole within a time, a request line that is too long
is a 414, Content-Length beside Transfer-Encoding is refused, and errors are a line of text.
"""

import logging
import re
import select
import socket
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from bottle import Bottle
from waitress import wasyncore
from waitress.adjustments import Adjustments
from waitress.channel import HTTPChannel
from waitress.parser import HTTPRequestParser, ParsingError
from waitress.server import TcpWSGIServer
from waitress.task import ThreadedTaskDispatcher

from ca.journal import log_line

log = logging.getLogger(__name__)
DRAIN_SECONDS = 20
_BOTH_LENGTHS = re.compile(rb"(?im)^(content-length|transfer-encoding)[ \t]*:")


@dataclass(frozen=True, slots=True)
class Limits:
    """What a stranger may take of us. Times are seconds, sizes octets.

    *request_seconds* is how long a whole request may take to arrive, *idle_seconds* how long a
    connection may wait between requests.
    """

    body_octets: int = 256 * 1024
    header_octets: int = 96 * 1024
    connections: int = 1000
    threads: int = 8
    request_seconds: int = 30
    idle_seconds: int = 60


class _Refusal:
    """A refusal of waitress's parser, told in one line (stands in for ``waitress.utilities.Error``)."""

    def __init__(self, code: int, reason: str, why: str) -> None:
        self._status = f"{code} {reason}"
        self.line = f"{why}\n".encode("latin-1", "replace")

    def to_response(self, ident: str | None = None) -> tuple[str, list[tuple[str, str]], bytes]:
        return self._status, [("Content-Type", "text/plain")], self.line


class _Parser(HTTPRequestParser):  # type: ignore[misc] # waitress has no types
    error: Any

    def __init__(self, adj: Adjustments) -> None:
        super().__init__(adj)
        self.started = time.time()

    def received(self, data: bytes) -> int:
        consumed: int = super().received(data)
        if self.error is not None and not isinstance(self.error, _Refusal):
            self.error = self._in_one_line(self.error)
            log.info(log_line(http=self.error._status, reason=self.error.line.decode("latin-1").strip()))
        return consumed

    def parse_header(self, header_plus: bytes) -> None:
        names = {name.lower() for name in _BOTH_LENGTHS.findall(header_plus)}
        if len(names) == 2:
            # RFC 9112 6.1: two lengths are how requests are smuggled past a proxy.
            raise ParsingError("Content-Length and Transfer-Encoding together")
        try:
            super().parse_header(header_plus)
        except ParsingError:
            raise
        except ValueError as error:
            raise ParsingError("the request line has no valid address") from error

    def _in_one_line(self, error: Any) -> _Refusal:
        if error.code == 431 and b"\n" not in self.header_plus:
            return _Refusal(414, "URI Too Long", "the request line is too long")
        return _Refusal(error.code, error.reason, " ".join(str(error.body).split()))


class _Channel(HTTPChannel):  # type: ignore[misc]
    parser_class = _Parser


class _Listener(TcpWSGIServer):  # type: ignore[misc]
    channel_class = _Channel

    def __init__(self, *arguments: Any, limits: Limits, **named: Any) -> None:
        self._limits = limits
        super().__init__(*arguments, **named)

    def maintenance(self, now: float) -> None:
        """Close connections that idle, and those that send a request a drop at a time."""
        super().maintenance(now)
        for channel in self.active_channels.values():
            unfinished = channel.request
            if unfinished is not None and unfinished.started < now - self._limits.request_seconds:
                log.info(log_line(http="closed", reason="the request took too long", peer=channel.addr[0]))
                channel.will_close = True


class WebServer:
    """Serves one application on several sockets until it is told to stop."""

    def __init__(self, web: Bottle, sockets: Sequence[socket.socket], limits: Limits) -> None:
        self._map: dict[int, Any] = {}
        self._stopping = False
        self._poll = hasattr(select, "poll")  # not on Windows
        adjustments = Adjustments(
            sockets=list(sockets),
            ident="scepbox",
            # waitress refuses what is as large as the limit.
            max_request_body_size=limits.body_octets + 1,
            max_request_header_size=limits.header_octets,
            connection_limit=limits.connections,
            channel_timeout=limits.idle_seconds,
            cleanup_interval=min(5, limits.request_seconds, limits.idle_seconds),
            threads=limits.threads,
            asyncore_use_poll=self._poll,
            log_socket_errors=False,
            clear_untrusted_proxy_headers=True,
        )
        self._dispatcher = ThreadedTaskDispatcher()
        self._dispatcher.set_thread_count(limits.threads)
        self._listeners = [
            _Listener(
                web,
                self._map,
                True,
                one,
                dispatcher=self._dispatcher,
                adj=adjustments,
                sockinfo=(one.family, one.type, one.proto, one.getsockname()),
                bind_socket=False,
                limits=limits,
            )
            for one in sockets
        ]

    def run(self) -> None:
        """Serve until :meth:`stop`; then finish what is in flight."""
        while not self._stopping:
            wasyncore.loop(timeout=1, use_poll=self._poll, map=self._map, count=1)
        for listener in self._listeners:
            listener.accepting = False
            listener.socket.close()
            listener.del_channel(self._map)
        deadline = time.monotonic() + DRAIN_SECONDS
        while self._busy() and time.monotonic() < deadline:
            wasyncore.loop(timeout=0.1, use_poll=self._poll, map=self._map, count=1)
        self._dispatcher.shutdown()
        wasyncore.close_all(self._map)

    def stop(self) -> None:
        """Ask :meth:`run` to end. May be called by a signal handler or from another thread."""
        if not self._stopping:
            self._stopping = True
            self._listeners[0].pull_trigger()

    def _busy(self) -> bool:
        return any(
            channel.requests or channel.total_outbufs_len
            for listener in self._listeners
            for channel in listener.active_channels.values()
        )


def bind(host: str, port: int) -> socket.socket:
    """A bound socket. Port 0 takes a free one.

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
    except OSError:
        one.close()
        raise
    return one
