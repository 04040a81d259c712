"""A wire between the program and a server, which a test can cut, or stop in the midst of a word."""

import selectors
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress


class Relay:
    """Passes on what comes by TCP, both ways, until told otherwise.

    With *cut_behind* the wire is cut as soon as these octets have been passed on to the server. *heard* is
    what came from the clients, connection by connection.
    """

    def __init__(self, port: int) -> None:
        self._target = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self.cut_behind = b""
        self.heard: list[bytearray] = []
        self._stalled = False
        self._selector = selectors.DefaultSelector()
        self._peers: dict[socket.socket, socket.socket] = {}
        self._from_clients: dict[socket.socket, bytearray] = {}
        self._ended = False
        self._lock = threading.RLock()
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def stall(self) -> None:
        """Pass nothing on any more, and cut nothing either: as where packets are dropped."""
        self._stalled = True

    def resume(self) -> None:
        """Pass on what has come meanwhile."""
        self._stalled = False

    def cut(self) -> None:
        """Cut all that is connected."""
        with self._lock:
            for one in list(self._peers):
                self._drop(one)

    def close(self) -> None:
        """End it."""
        self._ended = True
        self._thread.join(5)
        self.cut()
        self._listener.close()
        self._selector.close()

    def _run(self) -> None:
        while not self._ended:
            if self._stalled:
                threading.Event().wait(0.01)
                continue
            for key, _ in self._selector.select(0.02):
                one = key.fileobj
                if not isinstance(one, socket.socket) or self._stalled:
                    continue
                with self._lock, suppress(OSError):
                    self._accept() if one is self._listener else self._pass_on(one)

    def _accept(self) -> None:
        client, _ = self._listener.accept()
        try:
            server = socket.create_connection(("127.0.0.1", self._target), 5)
        except OSError:
            client.close()
            return
        self._peers |= {client: server, server: client}
        self._from_clients[client] = bytearray()
        self.heard.append(self._from_clients[client])
        for one in (client, server):
            self._selector.register(one, selectors.EVENT_READ)

    def _pass_on(self, one: socket.socket) -> None:
        if one not in self._peers:
            return
        try:
            octets = one.recv(65536)
        except OSError:
            octets = b""
        if octets:
            self._from_clients.get(one, bytearray()).extend(octets)
            self._peers[one].sendall(octets)
        if not octets:
            self._drop(one)
        elif self.cut_behind and one in self._from_clients and self.cut_behind in octets:
            self.cut_behind = b""
            # Time for the server to do what it was told.
            threading.Event().wait(0.3)
            self._drop(one)

    def _drop(self, one: socket.socket) -> None:
        for end in (one, self._peers.get(one)):
            if end is not None and self._peers.pop(end, None) is not None:
                self._selector.unregister(end)
                self._from_clients.pop(end, None)
                end.close()


@contextmanager
def relaying(port: int) -> Iterator[Relay]:
    """A relay to *port* of this machine."""
    relay = Relay(port)
    try:
        yield relay
    finally:
        relay.close()
