"""Several processes behind one address: they share the work, and outlive each other's death."""

import os
import signal
import socket
import sqlite3
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from pathlib import Path
from shutil import copytree
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

import pytest

from app.workers.share import Share
from app.workers.supervisor import settle_workers
from app.workers.turn import Turn
from ca.errors import StoreUnavailable
from ca.scep.codec import decode_ca_certificates
from ca.scep.messages import Failure, Success
from tests.command_line import Service, did, run, serving
from tests.processes import children
from tests.world import ROOT, Device, certificate_of, rsa_key

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
WORKERS = 3
DEVICES = 24


@pytest.fixture
def data(made_ca: Path, tmp_path: Path) -> Path:
    """A CA with one challenge password of one use."""
    data = tmp_path / "data"
    copytree(made_ca, data)
    did("challenge", "new", "--data", data, "--secret", "-", stdin="open sesame")
    return data


@pytest.fixture
def service(data: Path, tmp_path: Path) -> Iterator[Service]:
    """A server of several processes."""
    log = tmp_path / "log"
    with serving("--data", data, "--listen", "127.0.0.1:0", "--workers", WORKERS, log=log) as service:
        assert _await(lambda: len(children(service.process.pid)) == WORKERS)
        yield service


def _await(condition: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + 15
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.05)
    return condition()


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def _post(service: Service, message: bytes) -> bytes:
    with urlopen(Request(f"{service.url}?operation=PKIOperation", message), timeout=30) as answer:
        return bytes(answer.read())


def test_there_are_as_many_as_were_asked_for(service: Service) -> None:
    """``--workers 3``: the first process only watches."""
    assert _await(lambda: len(children(service.process.pid)) == WORKERS)


@pytest.mark.parametrize(
    ("counts", "enough"), [(b"\0\0\7", 2), (b"\4\3\7", 1), (b"\3\4\7", 4), (b"\5\x10", 17)]
)
def test_a_worker_is_ahead_once_it_has_clearly_more_than_another(counts: bytes, enough: int) -> None:
    """By a quarter it may be: else each would take one connection, and serve a round before the next."""
    share = _share(counts)

    assert not share.is_ahead(enough - 1)
    assert share.is_ahead(enough)


def test_one_that_is_alone_is_never_ahead() -> None:
    """It has nobody to leave a connection to."""
    assert not _share(b"\4").is_ahead(9)


def _share(counts: bytes) -> Share:
    return Share(memoryview(bytearray(counts)), memoryview(bytearray(len(counts))), 0)


def test_connections_that_come_at_once_are_shared_out(service: Service) -> None:
    """Each core has a process, and a connection stays where it is."""
    parts = urlsplit(service.url)
    workers = children(service.process.pid)
    before = {pid: _sockets(pid) for pid in workers}
    address = (parts.hostname or "", parts.port or 0)

    with ExitStack() as stack:
        for _ in range(30):
            stack.enter_context(socket.create_connection(address))

        assert _await(lambda: sum(_sockets(pid) - before[pid] for pid in workers) == 30)
        assert min(_sockets(pid) - before[pid] for pid in workers) > 0


def _sockets(pid: int) -> int:
    return sum(os.readlink(one).startswith("socket:") for one in Path(f"/proc/{pid}/fd").iterdir())


@pytest.mark.proves("R-2.4-b")
def test_a_challenge_of_one_use_gives_one_certificate_from_all_of_them(service: Service) -> None:
    """RFC 8894 7.3: single use holds when the requests reach different processes."""
    (ca,) = decode_ca_certificates(service.get("/scep?operation=GetCACert")[1])
    devices = [Device(f"phone-{number}", rsa_key(number % 4)) for number in range(DEVICES)]
    messages = [device.message(ca, device.csr("open sesame")) for device in devices]

    with ThreadPoolExecutor(DEVICES) as pool:
        replies = list(pool.map(lambda message: _post(service, message), messages))

    outcomes = [device.read(reply, ca) for device, reply in zip(devices, replies, strict=True)]
    assert sum(isinstance(outcome, Success) for outcome in outcomes) == 1
    assert sum(isinstance(outcome, Failure) for outcome in outcomes) == DEVICES - 1


@pytest.mark.proves("N-080")
def test_a_request_repeated_to_all_of_them_gets_one_certificate(service: Service) -> None:
    """RFC 8894 7.4: an impatient device repeats itself, and each repeat reaches another process."""
    (ca,) = decode_ca_certificates(service.get("/scep?operation=GetCACert")[1])
    device = Device()
    message = device.message(ca, device.csr("open sesame"))

    with ThreadPoolExecutor(DEVICES) as pool:
        replies = list(pool.map(lambda _: _post(service, message), range(DEVICES)))

    assert len({certificate_of(device.read(reply, ca)).der for reply in replies}) == 1


def test_one_that_dies_is_replaced(service: Service) -> None:
    """Killed by the system for its memory, say; nobody is there to start the service again."""
    victim, *others = children(service.process.pid)

    os.kill(victim, signal.SIGKILL)

    assert _await(lambda: len(set(children(service.process.pid)) - {victim}) == WORKERS)
    assert set(others) <= set(children(service.process.pid))
    assert _await(lambda: "a worker ended by itself" in service.log)
    assert service.get("/healthz")[1]


def test_all_end_with_the_first(service: Service) -> None:
    """What is killed without a chance to say goodbye must not leave a port taken."""
    pids = children(service.process.pid)

    service.process.kill()

    assert _await(lambda: not any(map(_is_alive, pids)))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_all_end_when_the_first_is_told_to(service: Service, number: signal.Signals) -> None:
    """A service manager's SIGTERM and a person's Ctrl-C end it with exit code 0."""
    pids = children(service.process.pid)

    service.process.send_signal(number)

    assert service.process.wait(15) == 0
    assert not any(map(_is_alive, pids))
    assert "stopped" in service.log


def test_nobody_new_is_let_in_while_they_end(service: Service) -> None:
    """Whoever connects then is refused at once and may go to another server, and hangs nowhere."""
    address = urlsplit(service.url)
    with socket.create_connection((address.hostname, address.port), 10) as under_way:
        under_way.sendall(b"POST /scep?operation=PKIOperation HTTP/1.1\r\nContent-Length: 9\r\n\r\n")
        service.process.send_signal(signal.SIGTERM)

        assert _await(lambda: not _takes_connections(service))
        assert service.process.poll() is None
        under_way.sendall(b"no SCEP..")
        # An answer, whatever it says.
        assert under_way.recv(12) == b"HTTP/1.1 400"


def _takes_connections(service: Service) -> bool:
    address = urlsplit(service.url)
    try:
        socket.create_connection((address.hostname, address.port), 10).close()
    except ConnectionError:
        return False
    return True


def test_by_default_there_is_one_for_each_core(tmp_path: Path, data: Path) -> None:
    """Up to four, as SQLite lets one write at a time; one alone needs nobody to watch it."""
    assert 1 <= settle_workers(0) <= 4
    assert settle_workers(7) == 7
    with serving(
        "--data", data, "--listen", "127.0.0.1:0", "--workers", "1", log=tmp_path / "log"
    ) as service:
        assert children(service.process.pid) == []


def test_a_senseless_number_is_wrong_use(data: Path) -> None:
    """One line, and exit code 2."""
    done = run("serve", "--data", data, "--workers", "many")

    assert done.code == 2
    assert "Traceback" not in done.err


def test_a_turn_passes_on_when_its_holder_dies() -> None:
    """Killed between BEGIN and COMMIT, a process must not stop the others for good."""
    turn = Turn()
    pid = _holder(turn)

    os.kill(pid, signal.SIGKILL)

    with turn(30):
        assert os.waitpid(pid, 0)[0] == pid


def _holder(turn: Turn) -> int:
    """A process that has the turn, and keeps it."""
    ready = os.pipe()
    pid = os.fork()
    if not pid:
        with turn(0):
            os.write(ready[1], b"x")
            time.sleep(120)
        os._exit(0)
    os.read(ready[0], 1)
    return pid


def test_a_turn_is_waited_for_once_and_then_those_who_come_are_told_soon() -> None:
    """All that a process serves waits with who waits: a holder that is stopped would be the end of it."""
    turn = Turn()
    pid = _holder(turn)
    os.kill(pid, signal.SIGSTOP)
    try:
        times = [time.monotonic()]
        for _ in range(10):
            with pytest.raises(StoreUnavailable, match="another process"), turn(2):
                pass
            times.append(time.monotonic())
    finally:
        os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)

    assert times[1] - times[0] >= 2
    assert times[-1] - times[1] < 9 * 2
    # What one had waited for in vain is given up at once, and is anybody's.
    assert _await(lambda: _can_take(turn))
    taker = os.fork()
    if not taker:
        os._exit(0 if _can_take(turn) else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(taker, 0)[1]) == 0


def _can_take(turn: Turn) -> bool:
    try:
        with turn(0):
            return True
    except StoreUnavailable:
        return False


@pytest.mark.skipif(sys.platform != "linux", reason="who holds a lock is told by Linux alone")
def test_one_that_is_stopped_while_it_writes_hangs_nobody_and_is_replaced(data: Path, tmp_path: Path) -> None:
    """As by a debugger, a container's freezer or a disk that fails: it answers nobody, and keeps its turn."""
    options = ("--data", data, "--listen", "127.0.0.1:0", "--workers", WORKERS)
    impatient = (sys.executable, str(ROOT / "tests" / "impatient.py"))
    with serving(*options, log=tmp_path / "log", inside=impatient) as service, ExitStack() as stack:
        (ca,) = decode_ca_certificates(service.get("/scep?operation=GetCACert")[1])
        device = Device()
        message = device.message(ca, device.csr("open sesame"))
        with closing(sqlite3.connect(data / "scepbox.db", isolation_level=None)) as other:
            # Who has its turn waits for this one.
            other.execute("BEGIN IMMEDIATE")
            pool = stack.enter_context(ThreadPoolExecutor(1))
            hung = pool.submit(_post, service, message)
            assert _await(lambda: bool(_turn_holders(service)))
            (victim,) = _turn_holders(service)
            os.kill(victim, signal.SIGSTOP)

        with pytest.raises(HTTPError) as refused:
            _post(service, message)
        meanwhile = service.get("/scep?operation=GetCACert")[1]

        assert refused.value.code == 503
        refused.value.close()
        assert decode_ca_certificates(meanwhile)[0].der == ca.der
        assert _await(lambda: "a worker does nothing any more" in service.log)
        assert _await(lambda: len(set(children(service.process.pid)) - {victim}) == WORKERS)
        certificate_of(device.read(_post(service, message), ca))
        assert isinstance(hung.exception(), ConnectionError)
    assert service.log.count("a worker does nothing any more") == 1
    assert "another process of this server writes" in service.log
    assert "Traceback" not in service.log
    assert service.code == 0


def _turn_holders(service: Service) -> list[int]:
    """The workers that have a whole file locked, as SQLite has none."""
    locks = [line.split() for line in Path("/proc/locks").read_text().splitlines()]
    whole = {int(one[4]) for one in locks if one[1] == "POSIX" and one[-2:] == ["0", "EOF"]}
    return [pid for pid in children(service.process.pid) if pid in whole]
