"""What listens on a socket, and the connections that it takes: how many, of whom, and for how long."""

import logging
import socket
import time
from collections.abc import Callable, Iterable
from typing import Any, Protocol

from greenlet import GreenletExit
from waitress.adjustments import Adjustments
from waitress.channel import HTTPChannel
from waitress.server import TcpWSGIServer

from app.http.connections import Connections
from app.http.limits import Limits
from app.http.parser import Refusal, RequestParser
from app.http.rounds import Rounds
from app.http.sockets import Sockets
from app.http.task import Task
from app.http.traffic import Closed, Traffic, TurnedAway
from ca.journal import log_line

log = logging.getLogger(__name__)
# For so long a process leaves a new connection to one that has fewer, and then takes it.
_COURTESY_SECONDS = 0.002
_OFFERED_SECONDS = 0.5
# When the system is out of files or memory, it is so for a while.
_RECOVERY_SECONDS = 1.0
# So many more than there may be are taken, to be told so.
_UNWELCOME = 16
# Seconds.
_RETRY = {"Retry_After": "5"}
_REFUSALS = {
    why: Refusal(503, "Service Unavailable", f"{what}; try again later", **_RETRY)
    for why, what in (
        (TurnedAway.QUEUE_FULL, "too many requests wait"),
        (TurnedAway.OF_ADDRESS, "too many connections of this address"),
        (TurnedAway.IN_ALL, "too many connections"),
    )
}


class Channel(HTTPChannel):  # type: ignore[misc] # waitress has no types
    """A connection. One that is *unwelcome* hears so instead of an answer."""

    parser_class = RequestParser
    task_class = Task
    requests: list[RequestParser]
    server: "Listener"
    unwelcome: TurnedAway | None = None

    def service(self) -> None:
        """Serve a request and send what can be sent at once."""
        if self.requests and isinstance(self.requests[0].error, Refusal):
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
        self.server.traffic.change_requests(-1)
        if self.writable():
            self.handle_write()
        if self._fileno is not None:
            self.server.served(self._fileno)

    def del_channel(self, map: Sockets | None = None) -> None:
        """Be forgotten, when it is closed."""
        number = self._fileno
        super().del_channel(map)
        if number is not None:
            self.server.connections.remove(number)
            self.server.traffic.change_connections(-1)

    def end(self) -> None:
        """Have it closed as soon as what it was told has left."""
        self.will_close = True
        self._map.stir([self._fileno])

    @property
    def busy(self) -> bool:
        """Whether a request is on its way in, or an answer on its way out."""
        return bool(self.request or self.requests or self.total_outbufs_len)

    @property
    def gives_way(self) -> bool:
        """Whether nothing is lost that the server has begun, or has yet to read, if it is closed."""
        return not self.requests and not self._has_unread()

    def _has_unread(self) -> bool:
        try:
            return bool(self.socket.recv(1, socket.MSG_PEEK))
        except OSError:
            # There is nothing, or the other side is gone.
            return False


class ConnectionShare(Protocol):
    """How many connections this process has, beside others that listen on the same address."""

    def note(self, connections: int) -> None:
        """Tell how many they are now."""

    def is_ahead(self, more: int = 0) -> bool:
        """Whether another process has clearly fewer, once this one has *more* than it told."""


class NoOthers:
    """The share of who is alone."""

    def note(self, connections: int) -> None:
        """Nothing: nobody asks."""

    def is_ahead(self, _: int = 0) -> bool:
        """Never."""
        return False


class Listener(TcpWSGIServer):  # type: ignore[misc]
    """Takes connections on a socket, and has their requests served in rounds."""

    connections: Connections[Channel]
    _map: Sockets

    def __init__(
        self,
        *arguments: Any,
        limits: Limits,
        rounds: Rounds,
        share: ConnectionShare,
        traffic: Traffic,
        **named: Any,
    ) -> None:
        self.traffic = traffic
        self._limits = limits
        self._rounds = rounds
        self._share = share
        self._held_until = 0.0
        # Whether the others were given time to take the connection that waits.
        self._offered = False
        self.connections = Connections()
        self._gave_way = 0
        super().__init__(*arguments, **named)

    def readable(self) -> bool:
        """Whether to look for a connection; not while another worker is given time to take it."""
        # waitress closes idle connections from here, so it is asked in any case.
        accepting: bool = super().readable()
        return accepting and not self._is_full and not self.holding_back

    @property
    def number(self) -> int | None:
        """That of its socket; None where it no longer listens."""
        return self._fileno if self.accepting else None

    @property
    def _is_full(self) -> bool:
        return len(self.active_channels) >= self._limits.connections + _UNWELCOME

    @property
    def holding_back(self) -> float:
        """For how many seconds it still leaves new connections to others, or to nobody."""
        return max(0.0, self._held_until - time.monotonic())

    def accept_all(self) -> None:
        """Take every connection that waits for it."""
        self._accept(lambda _: False)

    def _accept(self, are_enough: Callable[[int], bool]) -> None:
        """Take connections that wait, until none does or so many *are_enough*."""
        taken, before = 0, -1
        while before < len(self.active_channels) and not self._is_full and not (taken and are_enough(taken)):
            before = len(self.active_channels)
            super().handle_accept()
            taken += 1

    def handle_accept(self) -> None:
        """Take connections; one that has more of them than others first leaves them to these."""
        now = time.monotonic()
        offered = self._offered and now < self._held_until + _OFFERED_SECONDS
        self._offered = not offered and self._share.is_ahead()
        if self._offered:
            self._held_until = now + _COURTESY_SECONDS
            return
        self._accept(self._share.is_ahead)

    def accept(self) -> Any:
        """Take a connection from the system, or None where it is gone already."""
        try:
            return super().accept()
        except OSError as error:
            log.error(log_line(reason="no connection can be taken for a while", detail=error))
            self._held_until = time.monotonic() + _RECOVERY_SECONDS
            return None

    def channel_class(
        self, _: TcpWSGIServer, connection: socket.socket, address: Any, adj: Adjustments, map: Sockets
    ) -> None:
        """Take care of a connection (in the place of the class that waitress would make one of)."""
        channel = Channel(self, connection, address, adj, map=map)
        number = connection.fileno()
        self.connections.add(number, channel.addr[0], channel)
        self.traffic.change_connections(1)
        if self.connections.count_like(number) > self._limits.connections_per_source:
            why, others = TurnedAway.OF_ADDRESS, self.connections.like(number)
        elif len(self.connections) > self._limits.connections:
            why, others = TurnedAway.IN_ALL, self.connections.by_greed()
        else:
            return
        if not self._make_room(channel, others):
            channel.unwelcome = why

    def _make_room(self, newest: Channel, others: Iterable[Channel]) -> bool:
        """Close the first of *others* that gives way for the *newest*; False where none does."""
        for one in others:
            if one.gives_way and one is not newest:
                one.handle_close()
                self._gave_way += 1
                self.traffic.close(Closed.GAVE_WAY)
                return True
        return False

    def served(self, number: int) -> None:
        """A request of that connection has been answered."""
        self.connections.served(number)
        # It may have become one that is written to.
        self._map.stir([number])

    def add_task(self, task: Channel) -> None:
        """Have the first request of a connection served, or refused where too many wait."""
        why = task.unwelcome
        if why is None and self._rounds.count_waiting() >= self._limits.requests_waiting:
            why = TurnedAway.QUEUE_FULL
        if why is not None:
            task.requests[0].error = _REFUSALS[why]
            self.traffic.turn_away(why)
        self.traffic.change_requests(1)
        self._rounds.add(task.service)

    def pull_trigger(self) -> None:
        """Nothing: the loop that would be woken is the one that calls."""

    def maintenance(self, now: float) -> None:
        """Close connections that idle, and those that send a request a drop at a time."""
        wanted = [one for one in self.active_channels.values() if not one.will_close]
        super().maintenance(now)
        latest = time.monotonic() - self._limits.request_seconds
        for channel in wanted:
            unfinished = channel.request
            if unfinished is not None and unfinished.started < latest:
                log.info(log_line(http="closed", reason="the request took too long", peer=channel.addr[0]))
                channel.will_close = True
                self.traffic.close(Closed.SLOW)
            elif channel.will_close:
                self.traffic.close(Closed.IDLE)
        self._map.stir(number for number, one in self.active_channels.items() if one.will_close)
        if self._gave_way:
            reason = "connections that waited gave way to new ones"
            log.warning(log_line(http="closed", reason=reason, count=self._gave_way))
            self._gave_way = 0
