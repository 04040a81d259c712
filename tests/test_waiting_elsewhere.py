"""Requests that wait for somebody outside: others are served meanwhile, and too many are told so."""

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future, wait
from contextlib import ExitStack, closing
from http.client import HTTPResponse

import pytest
from bottle import request

from app.daemon_pool import DaemonPool, PoolFull
from app.http import rounds
from app.http.rounds import MOST_WAITING, Rounds, wait_elsewhere
from ca.deviations import Deviations
from ca.errors import ValidatorUnavailable
from ca.ports import Peer
from ca.profiles import Profile
from tests.applicants import applicant
from tests.services import Reply, Service, bare_socket, running
from tests.test_http import serving
from tests.test_http_limits import POST, web_of
from tests.webhooks import webhook
from tests.world import ROOT

CROWD = 16


@pytest.fixture
def pool(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """Pools of the test's own in the place of the process's; what hangs in it goes on when this is set."""
    go_on = threading.Event()
    monkeypatch.setattr(rounds, "_WAITING", {})
    yield go_on
    go_on.set()


def send(connection: object, what: bytes) -> None:
    assert hasattr(connection, "sendall")
    connection.sendall(POST + b"X-Name: %b\r\nContent-Length: 1\r\n\r\n%b" % (what.upper(), what))


def body_of(connection: object) -> bytes:
    with closing(HTTPResponse(connection)) as response:  # type: ignore[arg-type]
        response.begin()
        body: bytes = response.read()
    return body


def test_what_it_returns_and_raises_comes_back(pool: threading.Event) -> None:
    """Into the request that waited for it, in a round or outside."""
    seen: list[object] = []
    woken = threading.Event()
    served = Rounds(woken.set)

    def task() -> None:
        seen.append(wait_elsewhere("mdm", lambda: threading.current_thread().name))
        with pytest.raises(ZeroDivisionError):
            wait_elsewhere("mdm", lambda: 1 // 0)
        seen.append("raised")

    served.add(task)
    while len(seen) < 2:
        woken.clear()
        served.run()
        if not served and len(seen) < 2:
            assert woken.wait(10)

    assert seen == ["waiting for mdm-0", "raised"]
    assert wait_elsewhere("mdm", lambda: threading.current_thread().name) == threading.current_thread().name


def test_a_crowd_that_waits_keeps_nobody_else(pool: threading.Event) -> None:
    """As many as a round has wait for a validator that hangs; the next request is answered at once."""

    def respond(message: bytes, _profile: Profile, _peer: Peer, _deviations: Deviations) -> bytes:
        if message == b"s":
            wait_elsewhere("mdm", lambda: pool.wait(30))
            return message + str(request.environ["HTTP_X_NAME"]).encode()
        return message

    with serving(web_of(respond)) as served, ExitStack() as stack:
        crowd = [stack.enter_context(served.connect()) for _ in range(CROWD)]
        for connection in crowd:
            send(connection, b"s")
        quick = stack.enter_context(served.connect())
        started = time.monotonic()
        for _ in range(50):
            send(quick, b"q")
            assert body_of(quick) == b"q"
        seconds = time.monotonic() - started
        pool.set()

        assert [body_of(connection) for connection in crowd] == [b"sS"] * CROWD
    assert seconds < 5


def test_others_are_served_at_full_speed_beside_a_slow_validator(pool: threading.Event) -> None:
    """Side by side: what waits costs those who do not wait next to nothing."""
    go_on, asked = threading.Event(), applicant()

    def slow(_: object) -> Reply:
        go_on.wait(30)
        return Reply.of({"allow": True})

    with running(Service(slow)) as slow_service:
        validator = webhook(slow_service, 20.0)

        def respond(message: bytes, _profile: Profile, _peer: Peer, _deviations: Deviations) -> bytes:
            if message == b"s":
                return type(wait_elsewhere("mdm", lambda: validator.decide(asked))).__name__.encode()
            return message

        with serving(web_of(respond)) as served, ExitStack() as stack:
            quick = stack.enter_context(served.connect())
            alone = _rate(quick)
            crowd = [stack.enter_context(served.connect()) for _ in range(CROWD)]
            for connection in crowd:
                send(connection, b"s")
            while len(slow_service.received) < CROWD:
                time.sleep(0.01)
            beside = _rate(quick)
            go_on.set()
            answers = [body_of(connection) for connection in crowd]

    assert answers == [b"Allowed"] * CROWD
    # A machine that is busy with other tests may halve it by itself.
    assert beside > alone / 3


def _rate(connection: object) -> float:
    """Requests a second, one after the other, over a third of a second."""
    started, count = time.monotonic(), 0
    while time.monotonic() - started < 0.33:
        send(connection, b"q")
        assert body_of(connection) == b"q"
        count += 1
    return count / (time.monotonic() - started)


def test_a_validator_that_hangs_is_answered_in_time(pool: threading.Event) -> None:
    """All of a crowd at once, and not one after the other."""

    def hang(connection: object) -> None:
        pool.wait(30)

    with bare_socket(hang) as url:
        validator = webhook(url, 0.8)

        def respond(message: bytes, _profile: Profile, _peer: Peer, _deviations: Deviations) -> bytes:
            try:
                wait_elsewhere("mdm", lambda: validator.decide(applicant()))
            except ValidatorUnavailable as refusal:
                return refusal.detail.encode()
            return b"a verdict"

        with serving(web_of(respond)) as served, ExitStack() as stack:
            crowd = [stack.enter_context(served.connect()) for _ in range(CROWD)]
            started = time.monotonic()
            for connection in crowd:
                send(connection, b"s")
            answers = [body_of(connection) for connection in crowd]
            seconds = time.monotonic() - started
        pool.set()

    assert answers == [b"validator mdm: no answer within 0.8 s"] * CROWD
    assert seconds < 4


def test_one_too_many_is_refused_at_once(pool: threading.Event) -> None:
    """It would be answered when its device has long given up."""
    served, refused = Rounds(), []

    def one_more() -> None:
        try:
            wait_elsewhere("mdm", lambda: pool.wait(30))
        except ValidatorUnavailable as refusal:
            refused.append(refusal.detail)

    for _ in range(2 * MOST_WAITING + 3):
        served.add(one_more)
    while served:
        served.run()

    assert len(refused) == 3
    assert str(2 * MOST_WAITING) in refused[0]


def test_a_validator_that_hangs_takes_no_place_of_another(pool: threading.Event) -> None:
    """Whoever brings down the service behind one profile must not shut all the others."""
    served, answered = Rounds(), []

    def hang() -> None:
        wait_elsewhere("down", lambda: pool.wait(30))

    for _ in range(2 * MOST_WAITING):
        served.add(hang)
    while served:
        served.run()
    woken = threading.Event()
    served.wake = woken.set

    served.add(lambda: answered.append(wait_elsewhere("sound", lambda: "a verdict")))
    served.run()
    assert woken.wait(10)
    served.run()

    assert answered == ["a verdict"]


def test_the_time_limit_holds_for_the_wait_for_a_turn_too(pool: threading.Event) -> None:
    """A device that is answered after twice the limit has given up; and nobody is asked in its name."""
    asked: list[object] = []

    def hang(connection: object) -> None:
        asked.append(connection)
        pool.wait(30)

    with bare_socket(hang) as url:
        validator, applied = webhook(url, 1.5), applicant()
        served, details = Rounds(), []

        def one() -> None:
            try:
                wait_elsewhere("mdm", lambda: validator.decide(applied))
            except ValidatorUnavailable as refusal:
                details.append(refusal.detail)

        for _ in range(2 * MOST_WAITING):
            served.add(one)
        started = time.monotonic()
        while len(details) < 2 * MOST_WAITING and time.monotonic() - started < 20:
            served.run()
            time.sleep(0.01)
        seconds, connections = time.monotonic() - started, len(asked)
        pool.set()

    assert set(details) == {"validator mdm: no answer within 1.5 s"}
    assert len(details) == 2 * MOST_WAITING
    assert seconds < 2.8
    assert connections <= MOST_WAITING


def test_a_pool_has_no_more_threads_than_it_needs() -> None:
    """Nor more than it may have."""
    pool = DaemonPool(3, "few", most_queued=10)

    def named() -> str:
        time.sleep(0.02)
        return threading.current_thread().name

    alone = {pool.submit(named).result() for _ in range(5)}
    together = {future.result() for future in [pool.submit(named) for _ in range(12)]}

    assert alone == {"few-0"}
    assert together == {"few-0", "few-1", "few-2"}


def test_a_pool_that_is_full_says_so_and_empties_again() -> None:
    """What it refused left nothing behind."""
    go_on = threading.Event()
    pool = DaemonPool(2, "full", most_queued=1)
    futures: list[Future[bool]] = [pool.submit(lambda: go_on.wait(30)) for _ in range(3)]

    with pytest.raises(PoolFull):
        pool.submit(lambda: True)
    go_on.set()
    wait(futures, 10)

    assert pool.submit(lambda: 7).result(10) == 7


def test_what_hangs_does_not_keep_the_program_from_ending() -> None:
    """A service manager would wait, and then kill it in the middle of something."""
    lines = (
        "import time; from app.daemon_pool import DaemonPool\n"
        "DaemonPool(2, 'x', most_queued=1).submit(lambda: time.sleep(60))"
    )

    done = subprocess.run([sys.executable, "-c", lines], cwd=ROOT, timeout=20, check=False)

    assert done.returncode == 0
