"""Several processes where the system cannot fork, as Windows: the whole server, on a system without fork.

What is Windows' own in it, the lock and how sockets are handed over, runs on Windows alone.
"""

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from shutil import copytree
from urllib.parse import urlsplit

import pytest

from app.workers.turn import Turn
from ca.scep.codec import decode_ca_certificates
from ca.scep.messages import Success
from ca.x509.certificate import Certificate
from tests.command_line import Service, did, serving
from tests.scraping import Scraped
from tests.test_reload import admin_url, answers, ask, write
from tests.world import ROOT, SECRET, Device, certificate_of, rsa_key

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="there other tests are about these")
WITHOUT_FORK = (sys.executable, str(ROOT / "tests" / "without_fork.py"))
WORKERS = 2
AT_ONCE = 12
ONCE = "good for one device"
MORE = '[profiles.more]\nchallenge = "required"\n'


@pytest.fixture
def data(made_ca: Path, tmp_path: Path) -> Path:
    """A CA with a challenge password without limit, and one of one use."""
    data = tmp_path / "data"
    copytree(made_ca, data)
    forever = ("--uses", "unlimited", "--valid", "forever")
    did("challenge", "new", "--data", data, "--secret", "-", *forever, stdin=SECRET)
    did("challenge", "new", "--data", data, "--secret", "-", stdin=ONCE)
    return data


@contextmanager
def spawning(data: Path) -> Iterator[Service]:
    """A server whose workers are there and serve."""
    where = ("--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0", "--workers", WORKERS)
    with serving("--data", data, *where, log=data.parent / "log", inside=WITHOUT_FORK) as service:
        await_(lambda: _all_listen(service))
        yield service


def await_(condition: Callable[[], object]) -> None:
    """Wait until it holds; each worker loads the program, which takes seconds of a busy machine."""
    deadline = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < deadline, "it did not come to that"
        time.sleep(0.1)


def workers(service: Service) -> list[int]:
    """Its workers; multiprocessing has another process beside them on POSIX."""
    listing = ["ps", "-ww", "-o", "pid=", "-o", "args=", "--ppid", str(service.process.pid)]
    listed = subprocess.run(listing, capture_output=True, text=True, check=False).stdout
    return [int(line.split()[0]) for line in listed.splitlines() if "--multiprocessing-fork" in line]


def _all_listen(service: Service) -> bool:
    """Whether all have begun to look at their sockets; none are, before they are there."""
    pids = workers(service)
    return len(pids) == WORKERS and all(map(_listens, pids))


def _listens(pid: int) -> bool:
    """Whether it has begun to look at its sockets."""
    try:
        return any("eventpoll" in os.readlink(one) for one in Path(f"/proc/{pid}/fd").iterdir())
    except FileNotFoundError:
        return False


def _sockets(pid: int) -> int:
    return sum(os.readlink(one).startswith("socket:") for one in Path(f"/proc/{pid}/fd").iterdir())


def _all_take_connections(service: Service) -> bool:
    """Whether each of them has some of many that come at once."""
    address, before = urlsplit(service.url), {pid: _sockets(pid) for pid in workers(service)}
    with ExitStack() as stack:
        for _ in range(30):
            stack.enter_context(socket.create_connection((address.hostname, address.port)))
        soon = time.monotonic() + 2
        while not (all_have := all(_sockets(pid) > many for pid, many in before.items())):
            if time.monotonic() > soon:
                break
            time.sleep(0.05)
        return all_have


def enrol(service: Service, ca: Certificate, names: list[str], secret: str = SECRET) -> list[str]:
    """Have devices enrol at the same time, on connections of their own; those that have a certificate."""

    def one(number: int, name: str) -> str:
        device = Device(name, rsa_key(number % 4), signing_time=None)
        message = device.message(ca, device.csr(secret), transaction_id=name)
        answer = ask(service.url, "POST", "/scep?operation=PKIOperation", message)
        outcome = device.read(answer.body, ca, name)
        if isinstance(outcome, Success):
            certificate_of(outcome)
        return name if isinstance(outcome, Success) else ""

    with ThreadPoolExecutor(AT_ONCE) as pool:
        return [name for name in pool.map(one, range(len(names)), names) if name]


def test_they_share_what_forked_ones_share_and_outlive_each_other(data: Path) -> None:
    """Sockets, the turn at the database, counts, settings: to who asks, it is one server."""
    token = did("admin", "metrics", "--data", data).strip()
    with spawning(data) as service:
        (ca,) = decode_ca_certificates(service.get("/scep?operation=GetCACert")[1])

        def scrape() -> Scraped:
            answer = ask(admin_url(service), "GET", "/metrics", Authorization=f"Bearer {token}")
            assert answer.status == 200
            return Scraped.read(answer.body)

        def insist(issued: int, starts: int) -> None:
            await_(lambda: scrape().value("scepbox_worker_starts_total") == starts)
            scraped = scrape()
            assert scraped.value("scepbox_operations_total", outcome="issued") == issued
            assert scraped.value("scepbox_certificates") == issued

        # Connections are shared out, as soon as both look for some.
        before = set(workers(service))
        await_(lambda: _all_take_connections(service))
        many = [f"device-{number}" for number in range(AT_ONCE)]
        assert enrol(service, ca, many) == many
        insist(AT_ONCE, WORKERS)

        # What is reloaded counts in each, and what comes of a console is not theirs.
        for pid in workers(service):
            os.kill(pid, signal.SIGINT)
        write(data, MORE)
        service.process.send_signal(signal.SIGHUP)
        await_(lambda: "the settings were taken in" in service.log)
        assert answers(service, "more") == {200}

        # A challenge password of one use is good for one of all who present it at the same moment.
        assert len(enrol(service, ca, [f"once-{number}" for number in range(AT_ONCE)], ONCE)) == 1

        # Killed, they are replaced by others that know what was reloaded, and count on.
        for victim in workers(service):
            os.kill(victim, signal.SIGKILL)
        await_(lambda: not before & set(workers(service)) and len(workers(service)) == WORKERS)
        insist(1 + AT_ONCE, 2 * WORKERS)
        assert answers(service, "more") == {200}
        again = [f"another-{number}" for number in range(AT_ONCE)]
        assert enrol(service, ca, again) == again
        insist(1 + 2 * AT_ONCE, 2 * WORKERS)
        subjects = did("cert", "list", "--data", data, "--limit", 100)
        assert all(f"CN={name}" in subjects for name in (*many, *again))

        # A warning, and that nobody can log in yet, is told once.
        assert len(re.findall("the administrator's site is closed", service.log)) == 1
    assert service.code == 0
    assert "stopped" in service.log
    assert "Traceback" not in service.log


def test_they_end_with_their_parent_and_only_when_it_says_so(data: Path) -> None:
    """What is under way is answered; and killed without a word, the parent leaves nobody behind."""
    with spawning(data) as service:
        pids, address = workers(service), urlsplit(service.url)
        # What a worker needs is gone when it is to begin: the other serves, and it is tried again.
        key = data / "ca" / "ca.key"
        key.rename(key.with_suffix(".away"))
        os.kill(pids[0], signal.SIGKILL)
        await_(lambda: "a worker cannot begin" in service.log)
        assert service.get("/healthz")[1]
        key.with_suffix(".away").rename(key)
        await_(lambda: _all_listen(service))
        pids = workers(service)
        with socket.create_connection((address.hostname, address.port), 10) as under_way:
            under_way.sendall(b"POST /scep?operation=PKIOperation HTTP/1.1\r\nContent-Length: 9\r\n\r\n")
            service.process.send_signal(signal.SIGINT)
            await_(lambda: not _takes_connections(address.hostname, address.port))
            under_way.sendall(b"no SCEP..")
            assert under_way.recv(12) == b"HTTP/1.1 400"
        assert service.process.wait(20) == 0
        assert not any(map(_is_alive, pids))
    assert "Traceback" not in service.log

    with spawning(data) as service:
        pids = workers(service)
        service.process.kill()
        await_(lambda: not any(map(_is_alive, pids)))


def _takes_connections(host: str | None, port: int | None) -> bool:
    try:
        socket.create_connection((host, port), 10).close()
    except ConnectionError:
        return False
    return True


def _is_alive(pid: int) -> bool:
    try:
        # A zombie has ended; when it is taken note of is its new parent's affair.
        return ") Z " not in Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False


def hold(turn: Turn, holding: Connection) -> None:
    """Take the turn, and keep it."""
    with turn(0):
        holding.send_bytes(b"mine")
        time.sleep(60)


def test_a_turn_passes_on_when_a_spawned_holder_dies() -> None:
    """Processes that have nothing in common but what was pickled have one lock; who dies gives it up."""
    context, turn = get_context("spawn"), Turn()
    ours, theirs = context.Pipe(duplex=False)
    holder = context.Process(target=hold, args=(turn, theirs), daemon=True)
    holder.start()
    assert ours.poll(30)
    got: list[float] = []

    def take() -> None:
        with turn(60):
            got.append(time.monotonic())

    with ThreadPoolExecutor(1) as pool:
        taken = pool.submit(take)
        with pytest.raises(TimeoutError):
            taken.result(0.2)
        killed = time.monotonic()
        holder.kill()
        taken.result(30)
    holder.join(10)
    assert got[0] >= killed
