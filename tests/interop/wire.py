"""A relay between a client and the service that records every byte and, as a rule, changes none.

Nothing in this suite says what a client sends: it is read off here, so that the tables tell what
was really negotiated, and every reply is held to what devices demand of HTTP.
"""

import base64
import http.client
import io
import re
import socket
import socketserver
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from email.message import Message
from pathlib import Path
from urllib.parse import parse_qsl, unquote, urlsplit

from .inspected import Seen, check_inspections
from .messages import PkiMessage, read_reply, read_request
from .server import Server

CONTENT_TYPES = {
    "GetCACaps": "text/plain",
    "GetCACert": "application/x-x509-ca-cert",
    "GetCACert with an RA": "application/x-x509-ca-ra-cert",
    "PKIOperation": "application/x-pki-message",
}


@dataclass(frozen=True, slots=True)
class Exchange:
    """One HTTP request, *asking* being its headers, and its reply."""

    method: str
    target: str
    asking: Message
    body: bytes
    status: int
    headers: Message
    reply: bytes

    @property
    def operation(self) -> str:
        """The operation of the query (RFC 8894 4.1)."""
        return dict(parse_qsl(urlsplit(self.target).query)).get("operation", "")

    @property
    def message(self) -> bytes:
        """The pkiMessage, from the body or from whatever dialect of base64 the client speaks."""
        if self.method == "POST":
            return self.body
        found = re.search(r"[?&]message=([^&]*)", self.target)
        assert found, self.target
        return base64.b64decode(unquote(found[1]).replace("-", "+").replace("_", "/") + "==")

    def check_transport(self, *, with_ra: bool) -> None:
        """Devices compare the Content-Type as a whole string, and some count on the length."""
        where = f"{self.method} {self.operation}: {self.status} {self.reply[:80]!r}"
        assert self.status == 200, where
        asked = f"{self.operation} with an RA" if with_ra else self.operation
        expected = CONTENT_TYPES.get(asked, CONTENT_TYPES[self.operation])
        assert self.headers.get_all("Content-Type") == [expected], where
        assert self.headers.get_all("Content-Length") == [str(len(self.reply))], where


@dataclass(frozen=True, slots=True)
class Operation:
    """A PKIOperation: what was asked and what was answered, both as openssl reads them."""

    method: str
    request: PkiMessage
    reply: PkiMessage

    @property
    def algorithm(self) -> str:
        """Name what this exchange was made with, for the table of devices."""
        cipher, digest = self.request.cipher, self.request.digest
        if self.reply.cipher and self.reply.cipher != cipher:
            cipher = f"{cipher} answered with {self.reply.cipher}"
        if self.reply.digest != digest:
            digest = f"{digest} answered with {self.reply.digest}"
        padding = ["RSASSA-PSS"] if self.request.signature == "rsassaPss" else []
        return ", ".join([cipher, digest, *padding, self.method])


@dataclass(slots=True)
class _Connection:
    sent: bytearray = field(default_factory=bytearray)
    received: bytearray = field(default_factory=bytearray)
    ended: threading.Event = field(default_factory=threading.Event)


class Wire(socketserver.ThreadingTCPServer):
    """The relay. With *capabilities* it answers GetCACaps itself, as an older server would."""

    daemon_threads = True

    def __init__(self, server: Server, capabilities: str | None = None) -> None:
        super().__init__(("127.0.0.1", 0), _Relay)
        self.server = server
        self.capabilities = capabilities
        self.connections: list[_Connection] = []
        self.url = f"http://127.0.0.1:{self.server_address[1]}/scep"
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()

    def exchanges(self) -> list[Exchange]:
        """Wait until the client has hung up, then list what was said, connection by connection."""
        found: list[Exchange] = []
        for connection in self.connections:
            assert connection.ended.wait(timeout=20), "the client keeps its connection open"
            found.extend(_exchanges(connection))
        return found

    def operations(self, key_file: Path | None = None) -> list[Operation]:
        """List the PKIOperations, each reply held to the CA certificate and to its request.

        What ``inspect`` says of them is held to what others read in them; *key_file* opens the last reply.
        """
        found, seen = [], []
        for exchange in self.exchanges():
            if exchange.operation == "PKIOperation":
                request = read_request(exchange.message)
                reply = read_reply(exchange.reply, request, self.server.ca_file)
                seen += [Seen(exchange.message, request, self.server.message_key_file)]
                seen += [Seen(exchange.reply, reply)]
                found.append(Operation(exchange.method, request, reply))
        if key_file and seen:
            seen[-1] = replace(seen[-1], key_file=key_file)
        check_inspections(seen)
        return found

    def close(self) -> None:
        """Stop relaying, and hold every reply to what devices demand of HTTP."""
        self.shutdown()
        self.server_close()
        for exchange in self.exchanges():
            exchange.check_transport(with_ra=self.server.ra_file is not None)


class _Relay(socketserver.BaseRequestHandler):
    server: Wire
    request: socket.socket

    def handle(self) -> None:
        self.connection = _Connection()
        self.server.connections.append(self.connection)
        with socket.create_connection(self.server.server.address) as upstream:
            for end in (upstream, self.request):
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            back = (upstream, self.request, self.connection.received)
            thread = threading.Thread(target=self._copy, args=back)
            thread.start()
            self._copy(self.request, upstream, self.connection.sent)
            thread.join()
        self.connection.ended.set()

    def _copy(self, source: socket.socket, sink: socket.socket, record: bytearray) -> None:
        with suppress(OSError):  # One side has hung up without waiting for the other.
            while chunk := source.recv(65536):
                record.extend(chunk)
                if answer := self._own_answer(chunk):
                    self.connection.received.extend(answer)
                    source.sendall(answer)
                else:
                    sink.sendall(chunk)
        with suppress(OSError):
            sink.shutdown(socket.SHUT_WR)

    def _own_answer(self, request: bytes) -> bytes | None:
        capabilities = self.server.capabilities
        if capabilities is None or b"operation=GetCACaps" not in request:
            return None
        head = f"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {len(capabilities)}"
        return f"{head}\r\n\r\n{capabilities}".encode()


def _exchanges(connection: _Connection) -> Iterator[Exchange]:
    asked, answered = _messages(connection.sent), _messages(connection.received)
    for (line, asking, body), (status, headers, reply) in zip(asked, answered, strict=True):
        method, target, _ = line.split(" ")
        yield Exchange(method, target, asking, body, int(status.split(" ")[1]), headers, reply)


def _messages(stream: bytearray) -> Iterator[tuple[str, Message, bytes]]:
    file = io.BytesIO(stream)
    while line := file.readline():
        headers = http.client.parse_headers(file)
        length = int(headers.get("Content-Length", 0))
        yield line.decode("ascii").strip(), headers, file.read(length)
