"""The two servers, each started on its defaults with a CA and a folder of its own."""

import json
import secrets
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import click

from app.client.transport import Transport, TransportError
from benchmarks.messages import Target
from ca.scep.codec import decode_ca_certificates

RUN = Path(__file__).resolve().parent.parent / "run.py"
_SCEPSERVER_PORT = 8081
_START_SECONDS = 30


@dataclass(frozen=True, slots=True)
class Server:
    """A server that runs; *pid* is the root of its process tree."""

    name: str
    pid: int
    target: Target


@contextmanager
def scepbox(folder: Path, name: str = "scepbox", database: str = "", settings: str = "") -> Iterator[Server]:
    """Our server, with one challenge password that is good for ever.

    *database* is where it is not SQLite; *settings* are the other lines of its settings file.
    """
    challenge = make_scepbox(folder, database, settings)
    with serving_scepbox(folder, challenge, name) as server:
        yield server


def make_scepbox(folder: Path, database: str = "", settings: str = "") -> str:
    """Make the folder of our server, and return its challenge password."""
    challenge = secrets.token_hex(16)
    verbs = [sys.executable, str(RUN)]
    if database:
        # Not on the command line, which everybody sees.
        settings += f"[database]\nurl = {json.dumps(database)}\n"
    if settings:
        folder.mkdir()
        (folder / "scepbox.toml").write_text(settings)
    _run([*verbs, "init", "--data", str(folder)])
    unlimited = ["--secret", "-", "--uses", "unlimited", "--valid", "forever"]
    _run([*verbs, "challenge", "new", *unlimited, "--data", str(folder)], challenge)
    return challenge


@contextmanager
def serving_scepbox(folder: Path, challenge: str, name: str) -> Iterator[Server]:
    """Our server on a folder that was made."""
    options = ["--listen", "127.0.0.1:0", "--admin-listen", "off", "--data", str(folder)]
    command = [sys.executable, str(RUN), "serve", *options]
    with _started(command, folder, folder / "server.log") as process:
        ready = process.stdout.readline() if process.stdout else ""
        if not ready.startswith("ready: "):
            raise click.ClickException((folder / "server.log").read_text())
        yield _server(name, process.pid, ready.split()[1], challenge)


@contextmanager
def scepserver(folder: Path) -> Iterator[Server]:
    """Debian's scepserver (package ``scep``), its CA key of the size of ours."""
    challenge = secrets.token_hex(16)
    folder.mkdir()
    depot = str(folder / "depot")
    _run(["scepserver", "ca", "-init", "-keySize", "2048", "-depot", depot])
    command = ["scepserver", "-depot", depot, "-port", str(_SCEPSERVER_PORT), "-challenge", challenge]
    with _started(command, folder, folder / "server.log") as process:
        yield _server("scepserver", process.pid, f"http://127.0.0.1:{_SCEPSERVER_PORT}/scep", challenge)


@contextmanager
def _started(command: list[str], folder: Path, log: Path) -> Iterator[subprocess.Popen[str]]:
    with log.open("w") as lines:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=lines, cwd=folder, text=True)
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.communicate(timeout=_START_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()


def _server(name: str, pid: int, url: str, challenge: str) -> Server:
    """Ask for the CA certificate as soon as it answers."""
    deadline = time.monotonic() + _START_SECONDS
    while True:
        try:
            answer = Transport(url).get("GetCACert").body
            break
        except TransportError as error:
            if time.monotonic() > deadline:
                raise click.ClickException(f"{name} does not start: {error}") from error
            time.sleep(0.1)
    parts = urlsplit(url)
    address = (parts.hostname or "", parts.port or 80)
    return Server(name, pid, Target(address, parts.path, decode_ca_certificates(answer)[0], challenge))


def _run(command: list[str], text: str = "") -> None:
    try:
        done = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise click.ClickException(f"{command[0]} is missing; try: apt-get install scep") from None
    if done.returncode:
        raise click.ClickException(f"{' '.join(command[:4])}: {done.stderr}")
