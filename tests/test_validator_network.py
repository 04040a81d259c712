"""A service on a bad day: down, slow, lying, endless. There is an answer in time, and no secret told."""

import gzip
import logging
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from app.validators.exchange import Caller, Deadline, NoAnswer, Request
from ca.errors import ValidatorUnavailable
from ca.ports import Allowed
from tests.applicants import PASSWORD, applicant
from tests.services import Identity, Reply, Service, bare_socket, make_identity, read_request, running
from tests.webhooks import SECRET, webhook

LIMIT = 0.8
# How much later than its limit an answer may come on a machine that is busy with other tests.
SLACK = 2.5
ALLOW = b'{"allow": true}'
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"


@pytest.fixture
def service() -> Iterator[Service]:
    """A receiver that allows everything until told otherwise."""
    with running(Service(lambda _: Reply.of({"allow": True}))) as service:
        yield service


@pytest.fixture(scope="module")
def identity(tmp_path_factory: pytest.TempPathFactory) -> Identity:
    """A certificate for this host."""
    return make_identity(tmp_path_factory.mktemp("tls"))


@pytest.fixture(autouse=True)
def no_secret_in_the_log(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Whatever happens, and at whichever level: neither the challenge password nor our secret is told."""
    with caplog.at_level(logging.DEBUG):
        yield
    assert PASSWORD not in caplog.text
    assert SECRET.decode() not in caplog.text


def refused_in_time(url: str, caller: Caller | None = None, limit: float = LIMIT) -> str:
    """The detail for the log, once it is sure that it came in time and has no secret in it."""
    started = time.monotonic()
    with pytest.raises(ValidatorUnavailable) as caught:
        webhook(url, limit, caller).decide(applicant())
    assert time.monotonic() - started < limit + SLACK
    assert PASSWORD not in caught.value.detail
    return caught.value.detail


def drip(head: bytes, pause: float = 0.05) -> Callable[[socket.socket], None]:
    """Send *head* at once, and then an octet now and then, for ever."""

    def talk(connection: socket.socket) -> None:
        read_request(connection)
        connection.sendall(head)
        while True:
            time.sleep(pause)
            connection.sendall(b" ")

    return talk


def silence(connection: socket.socket) -> None:
    """Take everything and answer nothing."""
    while connection.recv(100_000):
        pass


def test_nobody_listens() -> None:
    """It is tried again for as long as there is time, as a restart takes a moment."""
    started = time.monotonic()

    assert "refused" in refused_in_time("http://127.0.0.1:9")

    assert time.monotonic() - started > LIMIT / 2


@pytest.mark.parametrize(
    "talk",
    [
        pytest.param(silence, id="silence"),
        pytest.param(drip(b""), id="octets in the place of a status line"),
        pytest.param(drip(HEAD + b"X-Drip: "), id="a header drop by drop"),
        pytest.param(drip(HEAD + b"Content-Length: 1000\r\n\r\n" + ALLOW), id="a body drop by drop"),
        pytest.param(drip(HEAD + b"Transfer-Encoding: chunked\r\n\r\nF\r\n"), id="a chunk drop by drop"),
        pytest.param(drip(HEAD + b"\r\n" + ALLOW), id="a verdict that does not end"),
    ],
)
def test_a_slow_answer_is_none(talk: Callable[[socket.socket], None]) -> None:
    """Limits of single steps would never be reached by an octet every 50 ms."""
    with bare_socket(talk) as url:
        assert f"no answer within {LIMIT:g} s" in refused_in_time(url)


def test_a_slow_handshake_is_no_answer(identity: Identity) -> None:
    """Something that speaks no TLS listens there, and waits to be told what to do."""
    with bare_socket(silence) as url:
        detail = refused_in_time(url.replace("http", "https"), Caller(identity.ca))

    assert "no answer within" in detail or "timed out" in detail


def test_a_name_that_takes_for_ever_to_look_up_is_no_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name server that is down takes half a minute to say so, and cannot be interrupted."""
    go_on = threading.Event()

    def look_up(*_: object, **__: object) -> list[object]:
        go_on.wait(30)
        raise socket.gaierror("nothing known")

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    try:
        assert "no answer within" in refused_in_time("http://mdm.example.org")
    finally:
        go_on.set()


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"SSH-2.0-OpenSSH_9.2\r\n", id="another protocol"),
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n" + ALLOW, id="less than announced"),
        pytest.param(HEAD + b"Transfer-Encoding: chunked\r\n\r\nF\r\n" + ALLOW, id="no last chunk"),
        pytest.param(HEAD + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n", id="a chunk of no length"),
        pytest.param(b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 200 + b"\r\n", id="200 headers"),
        pytest.param(b"HTTP/1.1 200 OK\r\nX: " + b"y" * 100_000 + b"\r\n\r\n", id="an endless header"),
        pytest.param(b"HTTP/1.1 99999 OK\r\n\r\n", id="a status that is none"),
        pytest.param(
            HEAD + b"Content-Encoding: gzip\r\nContent-Length: 15\r\n\r\n" + ALLOW[:-1] + b"\xff", id="gzip"
        ),
    ],
)
def test_a_broken_answer_is_none(answer: bytes) -> None:
    """A verdict that was cut off may have gone on with a refusal."""

    def talk(connection: socket.socket) -> None:
        read_request(connection)
        connection.sendall(answer)

    with bare_socket(talk) as url:
        refused_in_time(url)


def test_a_compressed_answer_is_not_unpacked(service: Service) -> None:
    """A thousandth of it could fill the memory; nobody asked for it."""
    service.answer = lambda _: Reply(200, gzip.compress(ALLOW), {"Content-Encoding": "gzip"})

    assert "no JSON" in refused_in_time(service.url)


@pytest.mark.parametrize("chunked", [False, True])
def test_an_endless_answer_is_cut_off(*, chunked: bool) -> None:
    """It neither fills the memory nor has to be waited for."""
    length = b"Transfer-Encoding: chunked\r\n\r\n" if chunked else b"Content-Length: 100000000000\r\n\r\n"
    block = b"10000\r\n" + b" " * 65536 + b"\r\n" if chunked else b" " * 65536

    def talk(connection: socket.socket) -> None:
        read_request(connection)
        connection.sendall(HEAD + length)
        while True:
            connection.sendall(block)

    with bare_socket(talk) as url:
        assert "longer than 65536 octets" in refused_in_time(url, limit=10.0)


def test_a_certificate_of_an_unknown_ca_is_not_believed(service: Service, identity: Identity) -> None:
    """Whoever stands between could allow everything."""
    service.use_tls(identity.certificate)

    detail = refused_in_time(service.url)

    assert "certificate verify failed" in detail.lower() or "CERTIFICATE_VERIFY_FAILED" in detail
    assert service.received == []


def test_a_certificate_of_another_host_is_not_believed(
    service: Service, identity: Identity, tmp_path: Path
) -> None:
    """One of the same CA, for somebody else."""
    other = make_identity(tmp_path, "other.example.org")
    service.use_tls(other.certificate)

    refused_in_time(service.url, Caller(other.ca))

    assert service.received == []


def test_a_certificate_of_the_ca_that_was_named_is_believed(service: Service, identity: Identity) -> None:
    """``ca_file``: an inner CA that the system does not know."""
    service.use_tls(identity.certificate)

    assert webhook(service, caller=Caller(identity.ca)).decide(applicant()) == Allowed()


def test_clear_text_in_the_place_of_tls_is_no_answer(service: Service, identity: Identity) -> None:
    """Nothing is sent before the handshake."""
    refused_in_time(service.url.replace("http:", "https:"), Caller(identity.ca))

    assert all(PASSWORD.encode() not in request.body for request in service.received)


def test_a_service_that_comes_back_is_asked_again(service: Service) -> None:
    """A proxy says 503 while the service behind it restarts."""
    answers = iter([Reply(503), Reply(502), Reply(504), Reply.of({"allow": True})])
    service.answer = lambda _: next(answers)

    assert webhook(service).decide(applicant()) == Allowed()
    assert len(service.received) == 4


def test_a_service_that_stays_away_is_given_up_in_time(service: Service) -> None:
    """The device has to hear something."""
    service.answer = lambda _: Reply(503)

    assert "HTTP 503" in refused_in_time(service.url)
    assert 2 <= len(service.received) < 10


@pytest.mark.parametrize("status", [500, 501, 400, 429])
def test_a_service_that_answered_is_not_asked_again(service: Service, status: int) -> None:
    """It would say the same."""
    service.answer = lambda _: Reply(status)

    refused_in_time(service.url)

    assert len(service.received) == 1


def test_a_connection_is_used_again(service: Service) -> None:
    """A handshake for each request would cost more than the request."""
    caller = Caller()

    for _ in range(5):
        webhook(service, caller=caller).decide(applicant())

    assert (len(service.received), service.connections) == (5, 1)


def test_an_old_connection_that_was_closed_is_no_failure() -> None:
    """Services close connections that idle, at the very moment perhaps that one is used again."""
    served: list[int] = []

    def talk(connection: socket.socket) -> None:
        if read_request(connection):
            connection.sendall(HEAD + b"Content-Length: 15\r\n\r\n" + ALLOW)
            served.append(1)
            # Read, and closed without an answer.
            read_request(connection)

    caller = Caller()
    with bare_socket(talk) as url:
        verdicts = [webhook(url, caller=caller).decide(applicant()) for _ in range(3)]

    assert verdicts == [Allowed()] * 3
    assert len(served) == 3


def test_many_at_once_are_answered_side_by_side(service: Service) -> None:
    """A crowd of devices must not wait in line for a service that takes its time."""
    verdicts: list[object] = []

    def slow(_: object) -> Reply:
        time.sleep(0.5)
        return Reply.of({"allow": True})

    service.answer = slow
    validator = webhook(service)
    threads = [
        threading.Thread(target=lambda: verdicts.append(validator.decide(applicant()))) for _ in range(16)
    ]
    started = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert verdicts == [Allowed()] * 16
    assert time.monotonic() - started < 0.5 * 16 / 2


def test_those_that_hang_cannot_pile_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each holds a thread until its time is over."""
    monkeypatch.setattr("app.validators.exchange.MOST_AT_ONCE", 2)
    caller = Caller()
    with bare_socket(silence) as url, ExitStack() as stack:
        threads = [threading.Thread(target=lambda: refused_in_time(url, caller)) for _ in range(2)]
        for thread in threads:
            thread.start()
            stack.callback(thread.join)
        time.sleep(0.3)
        with pytest.raises(NoAnswer, match="hang already"):
            caller.send(Request(url, {}), Deadline.after(LIMIT))


def test_threads_end_with_what_hung() -> None:
    """Once its time is over the connection is cut, and nobody goes on reading a drop an hour."""
    with bare_socket(drip(HEAD + b"Content-Length: 1000\r\n\r\n")) as url:
        before = threading.active_count()
        refused_in_time(url)
        deadline = time.monotonic() + 5
        # One more is the service's own for the connection, until that finds it closed.
        while threading.active_count() > before and time.monotonic() < deadline:
            time.sleep(0.02)

        assert threading.active_count() <= before
