"""What strangers may take of the server: octets, time, connections. And what it does when it breaks."""

import base64
import http.client
import logging
import re
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, suppress

import pytest

from app.http.answers import PlainBottle
from app.http.limits import Limits
from app.http.scep import PkiOperation, ScepEndpoint
from ca.asn1 import writer
from ca.deviations import Deviations
from ca.errors import StoreUnavailable
from ca.ports import Peer
from ca.profiles import Profile
from tests.test_http import Served, insist_plain, serving

MEBIBYTE = 1 << 20
GET_CA_CERT = b"GET /scep?operation=GetCACert HTTP/1.1\r\nHost: x\r\n"
POST = b"POST /scep?operation=PKIOperation HTTP/1.1\r\nHost: x\r\n"
PKI_OPERATION = "/scep?operation=PKIOperation"


def web_of(respond: PkiOperation) -> PlainBottle:
    """The endpoint over another's answer to a pkiMessage."""
    web = PlainBottle()
    web.catchall = False
    certificates = ("application/x-x509-ca-cert", b"the certificate")
    ScepEndpoint(respond, {"default": Profile()}, lambda: certificates, lambda: b"").add_to(web)
    return web


def echo(message: bytes, _profile: Profile, _peer: Peer, _deviations: Deviations) -> bytes:
    return message


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    """A server with the limits of a default installation, whose PKIOperation echoes."""
    with serving(web_of(echo)) as served:
        yield served


@pytest.mark.proves("N-013", "H-08")
@pytest.mark.parametrize(
    "length", [256 * 1024 + 1, 10 * MEBIBYTE, 1 << 40], ids=["one octet more", "10 MiB", "1 TiB"]
)
def test_a_body_above_the_limit_is_a_413_before_it_is_read(served: Served, length: int) -> None:
    """RFC 9110 15.5.14: the length is enough to refuse, and the connection is of no use after. N-013."""
    insist_plain(served.throw(POST + b"Content-Length: %d\r\n\r\n" % length), 413)


@pytest.mark.proves("N-013")
def test_ten_mebibytes_are_refused_while_they_come(served: Served) -> None:
    """Many clients send all before they listen. N-013."""
    insist_plain(served.throw(POST + b"Content-Length: 10485760\r\n\r\n" + bytes(10 * MEBIBYTE)), 413)


@pytest.mark.proves("N-013")
def test_chunks_above_the_limit_are_a_413(served: Served) -> None:
    """RFC 9112 7.1: no length is announced, so that it is counted. N-013."""
    chunks = b"10000\r\n" + bytes(0x10000) + b"\r\n"

    insist_plain(served.throw(POST + b"Transfer-Encoding: chunked\r\n\r\n" + chunks * 5), 413)


@pytest.mark.proves("N-013")
@pytest.mark.parametrize("sent", [b"FFFFFFFFFFFFFFFF\r\n", b"1\r\nx\r\n40000\r\n"])
def test_a_chunk_that_is_announced_above_the_limit_is_a_413_before_it_comes(
    served: Served, sent: bytes
) -> None:
    """As with a Content-Length: whoever announces it need not be waited for. N-013."""
    started = time.monotonic()

    insist_plain(served.throw(POST + b"Transfer-Encoding: chunked\r\n\r\n" + sent), 413)

    assert time.monotonic() - started < Limits().request_seconds / 2


@pytest.mark.proves("N-107")
def test_a_bag_of_certificates_above_the_limit_is_a_413(served: Served) -> None:
    """No honest message comes near the limit. N-107."""
    certificate = writer.encode(0x30, bytes(5 * MEBIBYTE))

    insist_plain(served.throw(POST + b"Content-Length: %d\r\n\r\n" % len(certificate) + certificate), 413)


def test_a_body_of_exactly_the_limit_is_read(served: Served) -> None:
    """The limit is what may come, not what may not."""
    body = bytes(256 * 1024)

    assert served.ask("POST", PKI_OPERATION, body).body == body


@pytest.mark.proves("R-4.1-f")
def test_a_message_by_get_as_large_as_headers_may_be_is_read(served: Served) -> None:
    """A GET carries its message in the request line; a fleet's chain of certificates must fit."""
    message = bytes(60_000)
    text = base64.urlsafe_b64encode(message).decode()

    assert served.ask("GET", f"{PKI_OPERATION}&message={text}").body == message


@pytest.mark.proves("N-018", "R-4.1-f")
def test_a_request_line_of_a_mebibyte_is_a_414(served: Served) -> None:
    """RFC 9112 3: too long a line is told as such. N-018."""
    line = b"GET /scep?operation=PKIOperation&message=" + b"A" * MEBIBYTE + b" HTTP/1.1\r\n\r\n"

    insist_plain(served.throw(line), 414)


def test_header_fields_of_a_mebibyte_are_a_431(served: Served) -> None:
    """RFC 6585 5: it is not the request line that is too long. N-018."""
    insist_plain(served.throw(GET_CA_CERT + b"X-Much: " + b"A" * MEBIBYTE + b"\r\n\r\n"), 431)


@pytest.mark.proves("N-016", "H-06")
@pytest.mark.parametrize(
    "headers",
    [
        b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
        b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
        b"transfer-encoding: Chunked\r\nCONTENT-LENGTH: 0\r\n",
        b"Content-Length: 5\r\nContent-Length: 6\r\n",
        b"Content-Length: -5\r\n",
        b"Content-Length: 5x\r\n",
        b"Content-Length: +5\r\n",
    ],
)
def test_a_body_of_two_lengths_is_a_400(served: Served, headers: bytes) -> None:
    """RFC 9112 6.1, 6.3: a proxy in between may have believed the other one. N-016."""
    insist_plain(served.throw(POST + headers + b"\r\n5\r\nhello\r\n0\r\n\r\n"), 400)


@pytest.mark.parametrize(
    "octets",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
        b"NONSENSE\r\n\r\n",
        b"GET /scep HTTP/1.1\r\nno colon\r\n\r\n",
        b"get /scep?operation=GetCACert HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /scep?operation=GetCACert HTTP/1.1\r\nHost: x\nX: y\r\n\r\n",
        b"GET /scep?operation=GetCACaps HTTP/1.1\nHost: x\n\n",
        b"GET http://[::1/scep?operation=GetCACert HTTP/1.1\r\nHost: x\r\n\r\n",
    ],
    ids=["TLS", "one word", "no colon", "lower case", "bare LF", "bare LF alone", "no URI"],
)
def test_what_is_no_http_is_a_400_of_one_line(served: Served, octets: bytes) -> None:
    """RFC 9112 2.2: TLS on the wrong port is the common one."""
    insist_plain(served.throw(octets), 400)


@pytest.mark.parametrize("version", ["2.0", "9.9", "0.9"])
def test_a_version_of_http_that_nobody_speaks_here_is_a_400(served: Served, version: str) -> None:
    """RFC 9110 2.5: what another version means by its octets cannot be known."""
    insist_plain(
        served.throw(b"GET /scep?operation=GetCACert HTTP/%s\r\nHost: x\r\n\r\n" % version.encode()), 400
    )


@pytest.mark.proves("H-08")
def test_an_honest_device_is_served_beside_three_hundred_idle_connections(served: Served) -> None:
    """A stranger's open connections cost a place each, and no thread."""
    with ExitStack() as idle:
        for number in range(300):
            connection = idle.enter_context(served.connect())
            connection.sendall(POST if number % 2 else b"")
        started = time.perf_counter()

        answer = served.ask("POST", PKI_OPERATION, b"hello")

        assert (answer.status, answer.body) == (200, b"hello")
        assert time.perf_counter() - started < 2


@pytest.mark.proves("N-015", "H-08")
def test_who_sends_too_slowly_or_never_ends_is_cut_off() -> None:
    """RFC 9110 15.5.9: a body shorter than announced, a drop at a time, a head without end. N-015."""
    with serving(web_of(echo), Limits(request_seconds=1)) as served, ExitStack() as open_ones:
        slow, short, headless = (open_ones.enter_context(served.connect()) for _ in range(3))
        short.sendall(POST + b"Content-Length: 100\r\n\r\nonly this")
        headless.sendall(GET_CA_CERT)
        slow.sendall(POST + b"Content-Length: 100000\r\n\r\n")

        assert is_cut_off(slow, drop=b"x")
        for connection in (short, headless):
            connection.settimeout(2)
            assert connection.recv(1000)[:12] in (b"", b"HTTP/1.1 408")
        assert served.ask("POST", PKI_OPERATION, b"hello").body == b"hello"


def is_cut_off(connection: socket.socket, drop: bytes) -> bool:
    """Send a drop at a time for at most ten seconds, or until nobody listens."""
    connection.settimeout(0.1)
    for _ in range(100):
        try:
            connection.sendall(drop)
            with suppress(TimeoutError):
                return connection.recv(1000)[:12] in (b"", b"HTTP/1.1 408")
        except ConnectionError:
            return True
    return False


def test_a_stop_finishes_what_is_in_flight() -> None:
    """A certificate that was issued must reach its device; nobody new is taken in meanwhile."""
    stops: list[Callable[[], None]] = []

    def stopped_meanwhile(message: bytes, _profile: Profile, _peer: Peer, _deviations: Deviations) -> bytes:
        stops[0]()
        return message * 100_000

    with (
        serving(web_of(stopped_meanwhile)) as served,
        served.connect() as idle,
        served.connect() as connection,
    ):
        stops.append(served.server.stop)
        connection.sendall(POST + b"Content-Length: 5\r\n\r\nhello")
        wait_until_closed(served)

        with closing(http.client.HTTPResponse(connection)) as response:
            response.begin()
            assert (response.status, response.read()) == (200, b"hello" * 100_000)
        served.thread.join(5)
        assert not served.thread.is_alive()
        assert idle.recv(1) == b""


def test_a_second_stop_does_no_harm() -> None:
    """Who waits presses Ctrl-C again, and may do so when the end is already reached."""
    with serving(web_of(echo)) as served:
        served.server.stop()
        served.thread.join(10)

        served.server.stop()


def wait_until_closed(served: Served) -> None:
    for _ in range(500):
        try:
            served.connect().close()
        except ConnectionError:
            return
        time.sleep(0.01)
    raise AssertionError("the server still takes connections")


@pytest.mark.proves("H-04")
def test_a_bug_is_a_500_whose_id_is_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    """The administrator needs the traceback, the stranger must not have it."""

    def bug(*_: object) -> bytes:
        raise RuntimeError("the secret is open sesame")

    with serving(web_of(bug)) as served, caplog.at_level(logging.ERROR):
        answer = served.ask("POST", PKI_OPERATION, b"hello")
        assert served.ask("GET", "/scep?operation=GetCACert").status == 200

    insist_plain(answer, 500)
    assert b"sesame" not in answer.body
    assert b"RuntimeError" not in answer.body
    found = re.search(rb"[0-9a-f]{8}", answer.body)
    assert found
    (record,) = caplog.records
    assert f"error_id={found[0].decode()}" in record.getMessage()
    assert record.exc_info is not None


@pytest.mark.proves("H-04")
def test_a_store_that_cannot_write_is_a_503_to_come_back_from(caplog: pytest.LogCaptureFixture) -> None:
    """RFC 9110 15.6.4: nothing was issued, and the device may send the same again."""

    def full(*_: object) -> bytes:
        raise StoreUnavailable("the disk is full: /srv/scepbox.db")

    with serving(web_of(full)) as served, caplog.at_level(logging.INFO):
        answer = served.ask("POST", PKI_OPERATION, b"hello")

    insist_plain(answer, 503)
    assert int(answer.headers["retry-after"]) > 0
    assert b"/srv" not in answer.body
    (line,) = [one for one in caplog.messages if "http=503" in one]
    assert "/srv/scepbox.db" in line
    assert "path=/scep" in line
