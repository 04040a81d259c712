"""The service as a user starts it: run.py in a process of its own, on a free port of 127.0.0.1."""

import json
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import urlopen

from tests import command_line

# The underscore is no character of PrintableString, yet half of the clients write it as one.
CHALLENGE = "open_sesame"


@dataclass(frozen=True, slots=True)
class Server:
    """A running service and what a client has to know of it.

    *ca_file* begins with the issuing CA and goes up to the root; *ra_file* is there where a
    registration authority signs and opens the messages.
    """

    data: Path
    url: str
    ca_file: Path
    ra_file: Path | None = None
    challenge: str = CHALLENGE

    @property
    def message_file(self) -> Path:
        """The certificate that messages are encrypted to, and that signs the replies."""
        return self.ra_file or self.ca_file

    @property
    def message_key_file(self) -> Path:
        """The key that opens what clients send."""
        return self.ra_file.with_suffix(".key") if self.ra_file else self.data / "ca" / "ca.key"

    @property
    def address(self) -> tuple[str, int]:
        """The host and port to connect to."""
        parts = urlsplit(self.url)
        assert parts.hostname
        assert parts.port
        return parts.hostname, parts.port

    def new_challenge(self) -> str:
        """Make a challenge password that is good for one enrolment."""
        return run(self.data, "challenge", "new").strip()

    def await_request(self, common_name: str) -> str:
        """Wait until a request for that name waits for approval, and return its number."""
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            pending = run(self.data, "request", "list", "--status", "pending", "--json")
            for row in json.loads(pending):
                if f"CN={common_name}" in row["subject"]:
                    return str(row["id"])
        raise AssertionError(f"no request for {common_name} waits")

    def show(self, common_name: str) -> str:
        """What a person is shown of the request for that name."""
        return run(self.data, "request", "show", self.await_request(common_name))

    def approve(self, common_name: str) -> None:
        """Approve the request for that name as a person does."""
        run(self.data, "request", "approve", self.await_request(common_name))

    def reject(self, common_name: str) -> None:
        """Reject it."""
        run(self.data, "request", "reject", self.await_request(common_name), "--reason", "not one of ours")

    def serials(self) -> set[int]:
        """List the serial numbers of the valid certificates, as the service has them on record."""
        listed: list[dict[str, Any]] = json.loads(run(self.data, "cert", "list", "--json"))
        return {int(row["serial"], 16) for row in listed if row["status"] == "valid"}


@contextmanager
def serving(data: Path, settings: str, *init: str, profile: str = "default") -> Iterator[Server]:
    """Make a CA in *data* as *init* says, serve it, and stop it again as a service manager does.

    *profile* is where the challenge password of the clients is good.

    Whatever the clients did meanwhile, the service must end with exit status 0 and must not have
    met a fault of its own.
    """
    run(data, "init", *init)
    (data / "scepbox.toml").write_text(settings)
    forever = ("--profile", profile, "--secret", "-", "--uses", "unlimited", "--valid", "forever")
    run(data, "challenge", "new", *forever, stdin=CHALLENGE)
    log = data / "stderr.log"
    words = ("serve", "--listen", "127.0.0.1:0", "--admin-listen", "off", "--data", data)
    with (
        log.open("w") as stderr,
        command_line.start(*words, stdout=subprocess.PIPE, stderr=stderr) as process,
    ):
        try:
            yield _server(data, _ready_url(process, log))
        finally:
            process.terminate()
            status = process.wait(timeout=30)
    assert status == 0, f"SIGTERM ended the service with {status}:\n{log.read_text()}"
    assert "Traceback" not in log.read_text(), log.read_text()


def run(data: Path, *arguments: str, stdin: str = "") -> str:
    """Run one verb of the command line to its end and return its standard output."""
    return command_line.did(*arguments, "--data", data, stdin=stdin)


def _ready_url(process: subprocess.Popen[str], log: Path) -> str:
    assert process.stdout
    deadline = threading.Timer(30, process.kill)
    deadline.start()
    line = process.stdout.readline()
    deadline.cancel()
    assert line.startswith("ready: http://"), f"not ready but {line!r}:\n{log.read_text()}"
    return line.removeprefix("ready: ").strip()


def _server(data: Path, url: str) -> Server:
    ca_file, ra_file = data / "ca-as-served.pem", data / "ca" / "ra-1.pem"
    with urlopen(url.removesuffix("/scep") + "/ca.pem", timeout=10) as response:
        ca_file.write_bytes(response.read())
    chain = run(data, "ca", "export", "--chain")
    assert chain.startswith(ca_file.read_text())
    ca_file.write_text(chain)
    return Server(data, url, ca_file, ra_file if ra_file.exists() else None)
