"""The service at its edges: told to stop at any moment, short of files, beside programs in its way."""

import os
import select
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, suppress
from http.client import HTTPConnection
from pathlib import Path
from shutil import copytree

import pytest

from app.http import capacity
from app.http.limits import Limits
from tests.command_line import CLEAN, Service, did, run, serving
from tests.processes import children
from tests.test_http_limits import GET_CA_CERT
from tests.world import ROOT

POSIX = pytest.mark.skipif(os.name == "nt", reason="signals and limits of POSIX")
ANY_PORT = ("--listen", "127.0.0.1:0")
GET = GET_CA_CERT + b"\r\n"


@pytest.fixture
def data(made_ca: Path, tmp_path: Path) -> Path:
    """A CA."""
    copytree(made_ca, tmp_path / "data")
    return tmp_path / "data"


@pytest.fixture(params=[1, 2])
def service(request: pytest.FixtureRequest, data: Path, tmp_path: Path) -> Iterator[Service]:
    """A service of one process, and of two."""
    with serving("--data", data, *ANY_PORT, "--workers", request.param, log=tmp_path / "log") as service:
        yield service


def _by_shell(first: str, data: Path, log: Path, *, workers: int) -> subprocess.Popen[str]:
    """A service that a shell turns into after it did something *first*."""
    words = [sys.executable, str(ROOT / "run.py"), "--data", str(data), *ANY_PORT, "--workers", str(workers)]
    with log.open("w") as stderr:
        command = ["sh", "-c", f'{first} exec "$@"', "sh", *words]
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=stderr, text=True, env=CLEAN)


def _connect(service: Service) -> socket.socket:
    port = int(service.url.split(":")[2].split("/")[0])
    return socket.create_connection(("127.0.0.1", port), 10)


def _read(connection: socket.socket) -> bytes:
    with closing(connection), connection.makefile("rb") as file:
        return file.read()


@POSIX
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_right_after_ready_is_heeded(service: Service, number: signal.Signals) -> None:
    """A service manager that changes its mind; exit code 0 means that nothing was torn off."""
    service.process.send_signal(number)

    assert service.process.wait(15) == 0
    assert "stopped" in service.log


@POSIX
def test_who_is_connected_at_the_end_is_answered(service: Service) -> None:
    """Requests that were sent before the end are in flight, and so is an upload that has begun."""
    upload = _connect(service)
    upload.sendall(GET[:-1])
    time.sleep(0.3)
    crowd = [_connect(service) for _ in range(30)]
    for connection in crowd:
        connection.sendall(GET)

    service.process.terminate()
    time.sleep(0.1)
    upload.sendall(GET[-1:])

    assert [_read(connection)[:15] for connection in (upload, *crowd)] == [b"HTTP/1.1 200 OK"] * 31
    assert service.process.wait(15) == 0


@POSIX
def test_an_idle_connection_does_not_hold_up_the_end(service: Service) -> None:
    """Proxies keep theirs open for minutes."""
    idle = _connect(service)
    idle.sendall(GET)
    assert idle.recv(15) == b"HTTP/1.1 200 OK"
    started = time.monotonic()

    service.process.terminate()

    assert service.process.wait(15) == 0
    assert time.monotonic() - started < 5
    idle.close()


@POSIX
def test_other_peoples_children_do_not_end_it(data: Path, tmp_path: Path) -> None:
    """The first process of a container inherits them, and so does one that a shell turned into."""
    process = _by_shell("sleep 1 &", data, tmp_path / "log", workers=2)
    assert process.stdout
    with process.stdout as stdout:
        assert stdout.readline().startswith("ready: ")

        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(2)
        process.terminate()

        assert process.wait(15) == 0


@POSIX
def test_few_open_files_mean_fewer_connections_and_no_refused_work(data: Path, tmp_path: Path) -> None:
    """There are 256 on macOS by default. Who comes last is served, and nothing spins."""
    process = _by_shell("ulimit -n 160;", data, tmp_path / "log", workers=1)
    assert process.stdout
    with process.stdout as stdout, ExitStack() as stack:
        url = stdout.readline().removeprefix("ready: ").strip()
        service = Service(url, process, tmp_path / "log", "")
        for _ in range(200):
            stack.enter_context(closing(_connect(service)))
        last = stack.enter_context(closing(_connect(service)))
        before = _cpu_seconds(process.pid)
        time.sleep(2)

        last.sendall(b"GET /readyz HTTP/1.1\r\nHost: x\r\n\r\n")

        assert last.recv(15) == b"HTTP/1.1 200 OK"
        assert _cpu_seconds(process.pid) - before < 1
        assert "warning: this system lets a process have 96 connections" in service.log
        assert "it may have 160 files open (ulimit -n, LimitNOFILE)" in service.log
        process.terminate()
        assert process.wait(15) == 0


def test_what_cannot_be_loaded_is_told_in_one_line(tmp_path: Path) -> None:
    """Such as a library that there is no memory to map, before there is anything that tells of errors."""
    said = "x.so: failed to map segment\\nfrom shared object"
    (tmp_path / "pydantic.py").write_text(f"raise ImportError('{said}')")
    words = [sys.executable, str(ROOT / "run.py"), "version"]
    environment = {**CLEAN, "PYTHONPATH": str(tmp_path)}

    done = subprocess.run(words, capture_output=True, text=True, check=False, env=environment)

    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    what = "x.so: failed to map segment from shared object"
    assert line.startswith(f"scepbox: cannot be loaded: ImportError: {what};")


def _cpu_seconds(pid: int) -> float:
    listed = subprocess.run(
        ["ps", "-o", "cputimes=", "-p", str(pid)], capture_output=True, text=True, check=True
    )
    return float(listed.stdout)


def test_where_there_is_only_select_connections_are_fewer(monkeypatch: pytest.MonkeyPatch) -> None:
    """Python's select takes 512 sockets on Windows, and fails with more."""
    monkeypatch.delattr(select, "poll", raising=False)

    limits = capacity.within_capacity(Limits(connections=1000))

    assert limits.connections == 512 - 64
    assert capacity.within_capacity(Limits(connections=10)).connections == 10


@POSIX
def test_an_idle_server_sleeps(data: Path, tmp_path: Path) -> None:
    """Workers leave connections to each other for a moment, and not for ever after."""
    with serving("--data", data, *ANY_PORT, "--workers", 2, log=tmp_path / "log") as service:
        for connection in [_connect(service) for _ in range(9)]:
            connection.close()
        time.sleep(0.5)
        workers = children(service.process.pid)
        before = [_wakes(pid) for pid in workers]
        time.sleep(2)

        woken = [_wakes(pid) - earlier for pid, earlier in zip(workers, before, strict=True)]

        assert len(woken) == 2
        assert max(woken) < 50


def _wakes(pid: int) -> int:
    status = Path(f"/proc/{pid}/status")
    if not status.exists():
        pytest.skip("only Linux counts them")
    (line,) = [line for line in status.read_text().splitlines() if line.startswith("voluntary")]
    return int(line.split()[1])


def test_who_holds_the_database_does_not_hold_the_server(service: Service, data: Path) -> None:
    """A backup program, or a person with sqlite3: requests are told to come again, the rest goes on."""
    with closing(sqlite3.connect(data / "scepbox.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        started = time.monotonic()
        with ThreadPoolExecutor(4) as pool:
            paths = ["/healthz", "/readyz", "/", "/ca.pem"]
            answers = list(pool.map(service.get, paths))

        assert len(answers) == 4
        assert time.monotonic() - started < 2


def test_listing_keeps_nobody_waiting(service: Service, data: Path) -> None:
    """`cert list` over a big database while another program writes, and the other way round."""
    with closing(sqlite3.connect(data / "scepbox.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        done = run("cert", "list", "--data", data, "--json")

    assert (done.code, done.out.strip()) == (0, "[]")


@pytest.mark.parametrize("name", ["q?m=1", "p%20x", "with space", "umläut#1"])
def test_a_folder_may_have_any_name(tmp_path: Path, name: str) -> None:
    """The database's address is made of it, and in an address some characters mean something."""
    folder = tmp_path / name
    did("init", "--data", folder)

    did("challenge", "new", "--data", folder)

    assert {path.name for path in folder.iterdir()} == {"ca", "scepbox.db", "secrets.key"}
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_the_next_steps_are_for_this_folder(data: Path, tmp_path: Path) -> None:
    """What is printed is copied: it has to reach the same CA."""
    with serving("--data", data, *ANY_PORT, log=tmp_path / "log") as service:
        assert f"run.py challenge new --data {data}\n" in service.log

    absent = run("challenge", "new", "--data", tmp_path / "another one")
    assert f'run.py init --data "{tmp_path / "another one"}"' in absent.err


@POSIX
def test_a_secret_is_asked_for_and_not_shown(data: Path) -> None:
    """Somebody who types after ``--secret -`` waits for a word otherwise, and is read over the shoulder."""
    import pty

    words = ["challenge", "new", "--data", str(data), "--secret", "-"]
    pid, terminal = pty.fork()
    if not pid:
        os.execve(sys.executable, [sys.executable, str(ROOT / "run.py"), *words], CLEAN)
    seen = b""
    while b"new challenge password: " not in seen:
        seen += os.read(terminal, 1000)
    os.write(terminal, b"open sesame, please\n")
    # Linux says so when the other end of a terminal is gone.
    with suppress(OSError):
        while more := os.read(terminal, 1000):
            seen += more
    os.close(terminal)

    assert os.waitpid(pid, 0)[1] == 0
    # Once, as the answer on standard output; it was not echoed as well.
    assert seen.count(b"open sesame") == 1


@pytest.mark.parametrize("length", ["999999", "-1"])
def test_nobody_is_told_to_go_on_with_what_is_refused(service: Service, length: str) -> None:
    """RFC 9110 10.1.1: who expects 100 waits for it, and gets the refusal in its place."""
    host = service.url.removeprefix("http://").removesuffix("/scep")
    with closing(HTTPConnection(host, timeout=10)) as connection:
        connection.putrequest("POST", "/scep?operation=PKIOperation")
        connection.putheader("Content-Length", length)
        connection.putheader("Expect", "100-continue")
        connection.endheaders()

        answer = connection.getresponse()

        assert answer.status in (400, 413)
        assert answer.read().count(b"\n") == 1
    assert "peer=127.0.0.1" in service.log
