"""Runs the server: in a thread for the tests, or by itself.

``python -m tests.faults.server --fault NAME --port 0 --folder DIR`` prints its address when it is ready,
and leaves the CA's certificate as ca.pem in the folder, if one is given. Without a fault it is right.
The challenge password is ``open sesame``.
"""

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import ThreadingHTTPServer
from pathlib import Path
from threading import Thread

from cryptography.hazmat.primitives.serialization import Encoding

from tests.faults.catalogue import FAULTS
from tests.faults.conduct import FAULTLESS, Conduct
from tests.faults.deciding import CHALLENGE, Office
from tests.faults.material import tls_context
from tests.faults.web import Handler


class FaultServer(ThreadingHTTPServer):
    """Listens on 127.0.0.1; its connections end with it."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, conduct: Conduct, port: int = 0) -> None:
        self.office = Office(conduct)
        super().__init__(("127.0.0.1", port), self._handler())
        self._scheme = "https" if conduct.over_tls else "http"
        if conduct.over_tls:
            self.socket = tls_context(conduct.wants_certificate).wrap_socket(self.socket, server_side=True)

    def _handler(self) -> type[Handler]:
        server = self

        class OwnHandler(Handler):
            office = self.office

            def end(self) -> None:
                server.end()

        return OwnHandler

    @property
    def url(self) -> str:
        """Where it answers."""
        token = f"?{self.office.conduct.token}" if self.office.conduct.token else ""
        return f"{self._scheme}://127.0.0.1:{self.server_address[1]}/scep{token}"

    def run(self) -> None:
        """Answer until the end."""
        self.serve_forever(poll_interval=0.02)

    def end(self) -> None:
        """Answer no more, and refuse connections. Not to be called by the thread that runs it."""
        self.shutdown()
        self.server_close()

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that goes away is none of the server's business."""


@dataclass(frozen=True, slots=True)
class Running:
    """A server in a thread: its address, its challenge password, its CA's certificate in DER."""

    url: str
    challenge: str
    ca: bytes


@contextmanager
def running(conduct: Conduct = FAULTLESS) -> Iterator[Running]:
    """Run a server in a thread of this process."""
    server = FaultServer(conduct)
    thread = Thread(target=server.run, daemon=True)
    thread.start()
    try:
        yield Running(server.url, CHALLENGE, server.office.material.ca.public_bytes(Encoding.DER))
    finally:
        server.end()
        thread.join()


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults.server")
    parser.add_argument(
        "--fault", choices=sorted(FAULTS), help="in what it is wrong; without it all is right"
    )
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--folder", type=Path, help="where ca.pem is left, if anywhere")
    options = parser.parse_args()
    server = FaultServer(FAULTS[options.fault].conduct if options.fault else FAULTLESS, options.port)
    if options.folder:
        options.folder.mkdir(parents=True, exist_ok=True)
        certificate = server.office.material.ca.public_bytes(Encoding.PEM)
        (options.folder / "ca.pem").write_bytes(certificate)
    print(f"ready: {server.url}", flush=True)
    server.run()


if __name__ == "__main__":
    main()
