"""waitress with its limits set on purpose, and an end that lets work finish.

Changes to waitress itself: its loop serves the requests, in rounds and without threads, and asks only those
connections what they wait for with which something happened; a request must be whole within a time; who has
waited longest gives way where there are too many; and errors are a line of text.
"""

import logging
import socket
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from wsgiref.types import WSGIApplication

from waitress.adjustments import Adjustments

from app.http.limits import Limits
from app.http.listener import Channel, ConnectionShare, Listener, NoOthers
from app.http.rounds import Rounds
from app.http.sockets import Sockets
from app.http.traffic import Traffic, Uncounted
from ca.journal import log_line

log = logging.getLogger(__name__)
# Docker waits for ten.
DRAIN_SECONDS = 8
# A connection that was made just before the end may have its request under way.
_GRACE_SECONDS = 0.3
BACKLOG = 1024
# Head and body of an answer leave in one packet.
_SEND_OCTETS = 1 << 20


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
    """What is served on a socket, what those who come to it may take, and who counts them."""

    web: WSGIApplication
    listener: socket.socket
    limits: Limits
    traffic: Traffic = field(default_factory=Uncounted)


class WebServer:
    """Serves each of several sockets with its application until it is told to stop."""

    def __init__(self, sites: Sequence[Site], share: ConnectionShare | None = None) -> None:
        self._share = share or NoOthers()
        self._map = Sockets()
        self._stopping = False
        self._rounds = Rounds(self._wake)
        self._listeners = [self._listen(site) for site in sites]

    def _listen(self, site: Site) -> Listener:
        limits, listener = site.limits, site.listener
        adjustments = Adjustments(
            sockets=[listener],
            ident="scepbox",
            # waitress refuses what is as large as the limit.
            max_request_body_size=limits.body_octets + 1,
            max_request_header_size=limits.header_octets,
            # It would count those of all listeners together; each counts its own.
            connection_limit=1 << 30,
            channel_timeout=limits.idle_seconds,
            cleanup_interval=min(5, limits.request_seconds, limits.idle_seconds),
            backlog=BACKLOG,
            log_socket_errors=False,
            # Nobody reads them here, so there is nothing to clear.
            clear_untrusted_proxy_headers=False,
        )
        # As an argument it draws a warning that it may go away.
        adjustments.send_bytes = _SEND_OCTETS
        return Listener(
            site.web,
            self._map,
            True,
            listener,
            # Its own would start threads.
            dispatcher=self._rounds,
            rounds=self._rounds,
            share=self._share,
            traffic=site.traffic,
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
            listener.del_channel(self._map)
            listener.socket.close()
        self._finish()
        self._map.close()

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
                    channel.end()
            self._turn(0.1)

    def _turn(self, seconds: float) -> None:
        """Wait so long at most for something to happen, take in what has, and serve it."""
        held = [listener.holding_back for listener in self._listeners]
        seconds = min([seconds, *filter(None, held)])
        # These look for what has idled too long whenever they are asked.
        self._map.stir(one.number for one in self._listeners if one.number is not None)
        self._map.turn(0 if self._rounds else seconds)
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

    def _channels(self) -> list[Channel]:
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
