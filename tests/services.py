"""Services of others, on this host: real HTTP and TLS, answering as a test says and keeping what came."""

import datetime
import ipaddress
import json
import re
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from tests.world import name, rsa_key


@dataclass(frozen=True, slots=True)
class Received:
    """A request that came; *headers* by their names in lower case."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Reply:
    """What is answered."""

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, content: object, status: int = 200) -> "Reply":
        """JSON."""
        return cls(status, json.dumps(content).encode(), {"Content-Type": "application/json"})


class Service:
    """An HTTP server whose *answer* a test may replace at any time."""

    def __init__(self, answer: Callable[[Received], Reply], port: int = 0) -> None:
        self.answer = answer
        self.received: list[Received] = []
        self.connections = 0
        service = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def setup(self) -> None:
                super().setup()
                service.connections += 1

            def do_POST(self) -> None:
                length = int(self.headers.get("Content-Length", "0"))
                headers = {key.lower(): value for key, value in self.headers.items()}
                request = Received(self.command, self.path, headers, self.rfile.read(length))
                service.received.append(request)
                reply = service.answer(request)
                self.send_response(reply.status)
                for key, value in reply.headers.items():
                    self.send_header(key, value)
                self.send_header("Content-Length", str(len(reply.body)))
                self.end_headers()
                self.wfile.write(reply.body)

            do_GET = do_POST

            def log_message(self, format: str, *args: object) -> None:
                pass

        class Server(ThreadingHTTPServer):
            def handle_error(self, request: object, client_address: object) -> None:
                """Nothing: who gives up waiting closes the connection."""

        self.server = Server(("127.0.0.1", port), Handler)
        self.scheme = "http"

    @property
    def url(self) -> str:
        """Its address, without a slash at the end."""
        return f"{self.scheme}://127.0.0.1:{self.server.server_address[1]}"

    def use_tls(self, certificate: Path) -> None:
        """Speak TLS, with the certificate and key of a PEM file."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        self.server.socket = context.wrap_socket(
            self.server.socket, server_side=True, do_handshake_on_connect=False
        )
        self.scheme = "https"


@contextmanager
def running(service: Service) -> Iterator[Service]:
    """Run it until the test is done."""
    thread = threading.Thread(target=service.server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield service
    finally:
        service.server.shutdown()
        thread.join(10)
        service.server.server_close()


@contextmanager
def bare_socket(talk: Callable[[socket.socket], None]) -> Iterator[str]:
    """An address where *talk* has the bare connection, in a thread of its own for each."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        # Woken by a connection of the test's own at the end.
        while not over.is_set():
            connection, _ = listener.accept()
            threading.Thread(target=talk_to, args=(connection,), daemon=True).start()

    def talk_to(connection: socket.socket) -> None:
        with connection, suppress(OSError):
            talk(connection)

    over = threading.Event()
    thread = threading.Thread(target=serve)
    thread.start()
    address = listener.getsockname()
    try:
        yield f"http://127.0.0.1:{address[1]}"
    finally:
        over.set()
        socket.create_connection(address).close()
        thread.join(10)
        listener.close()


def read_request(connection: socket.socket) -> bytes:
    """A whole request from a bare connection; empty where it was closed instead."""
    octets = b""
    while not (found := re.search(rb"(?is)content-length: (\d+).*?\r\n\r\n", octets)) or len(
        octets
    ) < found.end() + int(found[1]):
        more = connection.recv(100_000)
        if not more:
            return b""
        octets += more
    return octets


@dataclass(frozen=True, slots=True)
class Identity:
    """A certificate for this host and whoever issued it, in PEM files."""

    certificate: Path
    ca: Path


def make_identity(folder: Path, host: str = "127.0.0.1") -> Identity:
    """A new CA, and a certificate of it for *host*, with its key."""
    ca_key, key = rsa_key(10), rsa_key(11)
    ca = _certificate("Services CA", ca_key, "Services CA", ca_key, is_ca=True)
    alternative: x509.GeneralName
    try:
        alternative = x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        alternative = x509.DNSName(host)
    leaf = _certificate("Services CA", ca_key, host, key, san=alternative)
    identity = Identity(folder / "service.pem", folder / "service-ca.pem")
    pem, private = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    secret = key.private_bytes(pem, private, serialization.NoEncryption())
    identity.certificate.write_bytes(leaf.public_bytes(pem) + secret)
    identity.ca.write_bytes(ca.public_bytes(pem))
    return identity


def _certificate(
    issuer: str,
    issuer_key: rsa.RSAPrivateKey,
    subject: str,
    key: rsa.RSAPrivateKey,
    *,
    is_ca: bool = False,
    san: x509.GeneralName | None = None,
) -> x509.Certificate:
    now = datetime.datetime.now(datetime.UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(name(subject))
        .issuer_name(name(issuer))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=7))
        .add_extension(x509.BasicConstraints(ca=is_ca, path_length=None), critical=True)
    )
    if san is not None:
        builder = builder.add_extension(x509.SubjectAlternativeName([san]), critical=False)
    return builder.sign(issuer_key, hashes.SHA256())
