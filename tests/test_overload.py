"""More than the server can take: who gives way, who is told to come again, and that nobody else notices."""

import http.client
import logging
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing

import pytest

from app.http import rounds
from app.http.connections import Connections
from app.http.limits import Limits
from app.http.rounds import wait_elsewhere
from app.http.server import Site, WebServer, bind
from app.http.traffic import Closed, TurnedAway
from app.metrics.catalogue import CONNECTIONS, CONNECTIONS_CLOSED, REQUESTS_QUEUED, REQUESTS_TURNED_AWAY
from app.metrics.meter import Meter
from ca.deviations import Deviations
from ca.ports import Peer
from ca.profiles import Profile
from tests.forging import Answer
from tests.test_http import Served, answer_of, insist_plain, serving
from tests.test_http_limits import GET_CA_CERT, POST, echo, web_of
from tests.test_reload import await_

HELLO = POST + b"Content-Length: 5\r\n\r\nhello"


@pytest.fixture
def opened() -> Iterator[ExitStack]:
    """Connections that are closed with the test."""
    with ExitStack() as stack:
        yield stack


def connect(served: Served, stack: ExitStack, source: str = "127.0.0.1", sent: bytes = b"") -> socket.socket:
    """A connection from *source*, which the server has taken."""
    address = ("127.0.0.1", served.port)
    connection = stack.enter_context(socket.create_connection(address, 10, (source, 0)))
    connection.sendall(sent)
    # Whoever is served after it knows that the server has looked at it.
    time.sleep(0.05)
    return connection


def is_open(connection: socket.socket) -> bool:
    """Whether an answer still comes on it."""
    try:
        connection.sendall(GET_CA_CERT + b"\r\n")
        return connection.recv(12) == b"HTTP/1.1 200"
    except ConnectionError:
        return False


def counted(meter: Meter) -> dict[tuple[str, ...], float]:
    """What there is of connections and requests, without what is at zero."""
    return {key: number for key, (number, *_) in meter.numbers.read() if number}


def test_who_is_closed_is_counted_by_why(opened: ExitStack) -> None:
    """A flood that the log tells of in one line has a course, and shows how many there still are."""
    meter = Meter()
    limits = Limits(connections_per_source=3, request_seconds=1, idle_seconds=1)
    with serving(web_of(echo), limits, meter) as served:
        gone, idle, _slow, leaving = (connect(served, opened, sent=sent) for sent in (b"", b"", POST, b""))
        assert gone.recv(1) == b""
        assert counted(meter) == {(CONNECTIONS.name,): 3, (CONNECTIONS_CLOSED.name, Closed.GAVE_WAY): 1}

        leaving.close()
        idle.settimeout(20)
        assert idle.recv(1) == b""
        await_(lambda: (CONNECTIONS.name,) not in counted(meter))

        assert counted(meter) == {
            (CONNECTIONS_CLOSED.name, why): 1 for why in (Closed.GAVE_WAY, Closed.IDLE, Closed.SLOW)
        }


def test_of_one_address_who_waited_longest_gives_way(opened: ExitStack) -> None:
    """A fleet behind one router keeps the connections that it uses; those that only hang are closed."""
    limits = Limits(connections_per_source=3, requests_waiting=9)
    with serving(web_of(echo), limits) as served:
        used, dropping, idle = (connect(served, opened) for _ in range(3))
        dropping.sendall(POST + b"Content-Length: 100\r\n\r\na drop")
        assert is_open(used)
        used.recv(10_000)

        newest = connect(served, opened)

        assert is_open(newest)
        assert not is_open(dropping)
        assert is_open(idle)
        assert is_open(used)


def test_where_all_is_taken_the_greediest_address_gives_way(
    opened: ExitStack, caplog: pytest.LogCaptureFixture
) -> None:
    """A stranger with as many connections as there are keeps no other out; and the log says so once."""
    with serving(web_of(echo), Limits(connections=5, idle_seconds=1)) as served:
        honest = connect(served, opened, "127.0.0.2")
        greedy = [connect(served, opened, "127.0.0.3", GET_CA_CERT) for _ in range(4)]

        with caplog.at_level(logging.WARNING):
            late = connect(served, opened, "127.0.0.4")
            assert [is_open(late), is_open(honest)] == [True, True]
            assert not is_open(greedy[0])
            until = time.monotonic() + 20
            while not caplog.messages and time.monotonic() < until:
                time.sleep(0.05)

    (line,) = caplog.messages
    assert "gave way to new ones" in line
    assert "count=1" in line


@pytest.fixture
def go_on(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """When it is set, the answers go out that wait for it; the pools of the process are left alone."""
    event = threading.Event()
    monkeypatch.setattr(rounds, "_WAITING", {})
    yield event
    event.set()


def test_a_request_that_is_being_served_never_gives_way(opened: ExitStack, go_on: threading.Event) -> None:
    """Its certificate may have been issued; the newest is told to come again."""

    def slow(message: bytes, _profile: Profile, _peer: Peer, _deviations: Deviations) -> bytes:
        wait_elsewhere("mdm", go_on.wait)
        return message

    meter = Meter()
    with serving(web_of(slow), Limits(connections_per_source=2), meter) as served:
        busy = [connect(served, opened, sent=HELLO) for _ in range(2)]

        refused = answer(connect(served, opened, sent=GET_CA_CERT + b"\r\n"))
        await_(lambda: counted(meter)[(REQUESTS_QUEUED.name,)] == len(busy))
        assert counted(meter)[(REQUESTS_TURNED_AWAY.name, TurnedAway.OF_ADDRESS)] == 1
        go_on.set()

        insist_plain(refused, 503)
        assert refused.headers["retry-after"] == "5"
        assert b"too many connections of this address" in refused.body
        assert [answer(one).body for one in busy] == [b"hello", b"hello"]


def answer(connection: socket.socket) -> Answer:
    """What comes back on it."""
    with closing(http.client.HTTPResponse(connection)) as response:
        response.begin()
        return answer_of(response)


def test_past_the_queue_who_comes_is_told_to_come_again(
    opened: ExitStack, caplog: pytest.LogCaptureFixture
) -> None:
    """At once, so that it costs nothing; a device that waits for a minute would have gone by then."""
    begun, first = threading.Event(), threading.Event()

    def slow(message: bytes, _profile: Profile, _peer: Peer, _deviations: Deviations) -> bytes:
        if not first.is_set():
            # All others come meanwhile.
            begun.set()
            first.wait(20)
        return message

    meter = Meter()
    with serving(web_of(slow), Limits(requests_waiting=20), meter) as served, caplog.at_level(logging.INFO):
        crowd = [connect(served, opened) for _ in range(31)]
        for one in crowd:
            one.sendall(HELLO)
            begun.wait(20)
        first.set()

        answers = [answer(one) for one in crowd]
        await_(lambda: (REQUESTS_QUEUED.name,) not in counted(meter))

    assert counted(meter)[(REQUESTS_TURNED_AWAY.name, TurnedAway.QUEUE_FULL)] == 10
    refused = [one for one in answers if one.status != 200]
    assert (answers[0].status, len(answers) - len(refused)) == (200, 21)
    for told in refused:
        insist_plain(told, 503)
        assert told.headers["retry-after"] == "5"
    lines = [line for line in caplog.messages if "too many requests wait" in line]
    assert len(lines) == 10
    assert "peer=127.0.0.1" in lines[0]


def test_a_crowd_at_one_door_does_not_shut_another(opened: ExitStack) -> None:
    """The administrator comes to a socket of his own, and sees what is the matter."""
    devices, administrator = bind("127.0.0.1", 0), bind("127.0.0.1", 0)
    few = Limits(connections=5)
    server = WebServer([Site(web_of(echo), devices, Limits()), Site(web_of(echo), administrator, few)])
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        crowd = Served(server, thread, devices.getsockname()[1])
        for _ in range(40):
            connect(crowd, opened)

        assert is_open(connect(Served(server, thread, administrator.getsockname()[1]), opened))
    finally:
        server.stop()
        thread.join(30)


def test_a_64_of_ipv6_is_one_source() -> None:
    """Whoever has one has 2^64 addresses."""
    connections: Connections[str] = Connections()
    for number, remote in enumerate(["2001:db8::1", "2001:db8::2", "2001:db8:0:1::1", "192.0.2.1"]):
        connections.add(number, remote, remote)

    assert [connections.count_like(number) for number in range(4)] == [2, 2, 1, 1]
    assert connections.like(1) == ["2001:db8::1", "2001:db8::2"]
    connections.served(0)
    assert connections.by_greed()[:2] == ["2001:db8::2", "2001:db8::1"]
    connections.remove(0)
    connections.remove(0)
    assert len(connections) == 3


def test_a_thousand_idle_connections_cost_a_turn_nothing(opened: ExitStack) -> None:
    """Whoever asks all of them what they wait for at each request spends more on that than on the request."""
    with serving(web_of(echo), Limits(connections=2000, connections_per_source=2000)) as served:
        device = connect(served, opened)
        alone = asked(served)
        for _ in range(600):
            address = ("127.0.0.1", served.port)
            opened.enter_context(socket.create_connection(address, 10)).sendall(POST)

        assert is_open(device)
        device.recv(10_000)

        # Those that have just come are asked once or twice.
        assert min(asked(served) for _ in range(5)) < alone + 300


def asked(served: Served) -> int:
    """How often connections were asked, in ten requests, what they wait for."""
    count = 0
    channels = served.server._channels()
    kind = type(channels[0])
    plain = kind.readable

    def counting(self: object) -> bool:
        nonlocal count
        count += 1
        return bool(plain(self))

    kind.readable = counting
    try:
        for _ in range(10):
            assert served.ask("GET", "/scep?operation=GetCACert").status == 200
    finally:
        kind.readable = plain
    return count
