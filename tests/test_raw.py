"""One exchange octet by octet: whatever a server does, it is told as it was, and in time."""

import os
import socket
import ssl
import struct
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import pytest

from app.client.raw import RawAnswer, Sent, converse, exchange
from tests.services import bare_socket, make_identity, read_request

# Of addresses that no machine has.
NO_FAMILY = 250
REQUEST = b"GET /scep?operation=GetCACaps HTTP/1.0\r\nContent-Length: 0\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\n"
Answer = Callable[[socket.socket], None]


@contextmanager
def answering(answer: Answer | bytes, context: ssl.SSLContext | None = None) -> Iterator[str]:
    """A server that reads a request's head, does *answer*, and hangs up."""

    def talk(plain: socket.socket) -> None:
        connection = context.wrap_socket(plain, server_side=True) if context else plain
        with closing(connection):
            read_request(connection)
            if callable(answer):
                answer(connection)
            else:
                connection.sendall(answer)

    with bare_socket(talk) as url:
        yield f"{url.replace('http', 'https') if context else url}/scep"


def ask(answer: Answer | bytes, *, timeout: float = 60, most: int = 1 << 20) -> Sent:
    """What is told of a server that answers so."""
    with answering(answer) as url:
        return exchange(url, REQUEST, "GetCACaps", timeout=timeout, most=most)


def whole(sent: Sent) -> RawAnswer:
    """The answer that came without any trouble."""
    assert not sent.trouble
    assert sent.answer is not None
    return sent.answer


def pieces(*octets: bytes) -> Answer:
    """Send these one after the other, until the client hangs up."""

    def send(connection: socket.socket) -> None:
        with suppress(OSError):
            for some in octets:
                connection.sendall(some)
            connection.recv(1)

    return send


FRAMINGS = {
    "length": (OK + b"Content-Length: 4\r\n\r\nAES\nmore than it says", b"AES\n"),
    "nothing": (OK + b"Content-Length: 0\r\n\r\n", b""),
    "no content": (b"HTTP/1.1 204 No Content\r\n\r\n", b""),
    "until the end": (OK + b"\r\nAES\n", b"AES\n"),
    "HTTP/1.0": (b"HTTP/1.0 200 OK\r\n\r\nAES\n", b"AES\n"),
    "bare line feeds": (b"HTTP/1.0 200\nContent-Length: 4\n\nAES\n", b"AES\n"),
    "chunks": (
        OK + b"Transfer-Encoding: chunked\r\n\r\n2\r\nAE\r\n2;x=y\r\nS\n\r\n0\r\nT: x\r\n\r\n",
        b"AES\n",
    ),
    "another coding": (OK + b"Transfer-Encoding: identity\r\nContent-Length: 2\r\n\r\nAES\n", b"AES\n"),
    "same length twice": (OK + b"Content-Length: 4\r\nContent-Length: 4\r\n\r\nAES\n", b"AES\n"),
}


@pytest.mark.parametrize("framing", FRAMINGS)
def test_the_body_ends_where_its_framing_says(framing: str) -> None:
    """RFC 9112 6.3; every server of the field has one of these ways."""
    octets, body = FRAMINGS[framing]

    assert whole(ask(octets)).body == body


def test_an_answer_is_kept_as_it_came() -> None:
    """What is wrong with a header shows in its very letters, and interim responses are no answers."""
    octets = b"HTTP/1.1 302 Over  There\r\nLOCATION:\thttps://x \r\nA: 1\r\nA:\r\n\r\n"

    sent = ask(b"HTTP/1.1 100 Continue\r\n\r\n" + octets)

    answer = whole(sent)
    assert (sent.operation, sent.request) == ("GetCACaps", REQUEST)
    assert (answer.version, answer.status, answer.reason) == ("HTTP/1.1", 302, "Over  There")
    assert answer.headers == (("LOCATION", "https://x"), ("A", "1"), ("A", ""))
    assert (answer.header("location"), answer.header("Server")) == ("https://x", None)
    assert answer.raw == octets
    assert answer.seconds > 0


BROKEN = {
    "closed too soon": (OK + b"Content-Length: 9\r\n\r\nAES\n", "closed 5 octets before the end", b"AES\n"),
    "chunk cut": (OK + b"Transfer-Encoding: chunked\r\n\r\n8\r\nAES\n", "closed 4 octets before", b"AES\n"),
    "no last chunk": (
        OK + b"Transfer-Encoding: chunked\r\n\r\n4\r\nAES\n\r\n",
        "within the answer",
        b"AES\n",
    ),
    "no chunks": (OK + b"Transfer-Encoding: chunked\r\n\r\nAES\n", "no size: AES", b""),
    "chunk too long": (
        OK + b"Transfer-Encoding: chunked\r\n\r\n2\r\nAES\n\r\n",
        "longer than it says",
        b"AE",
    ),
    "two lengths": (OK + b"Content-Length: 4\r\nContent-Length: 2\r\n\r\nAES\n", "Content-Length", b""),
    "no number": (OK + b"Content-Length: +4\r\n\r\nAES\n", "Content-Length", b""),
}


@pytest.mark.parametrize("fault", BROKEN)
def test_what_came_of_a_broken_answer_is_there_with_what_broke_it(fault: str) -> None:
    """A proxy that cuts answers short is found by what is missing."""
    octets, words, body = BROKEN[fault]

    sent = ask(octets)

    assert words in sent.trouble
    assert sent.answer is not None
    assert (sent.answer.status, sent.answer.body, sent.answer.raw) == (200, body, octets)


NOTHING = {
    "silence": (b"", "closed without an answer"),
    "half a head": (OK, "within the answer"),
    "no HTTP": (b"220 \x1b[2Jmail ready\r\n", "no HTTP response: 220  [2Jmail ready"),
    "no header": (OK + b"AES\r\n\r\n", "no colon: AES"),
    "endless line": (b"HTTP/1.1 200 " + b"x" * 70000, "longer than 65536"),
    "endless headers": (OK + b"A: x\r\n" * 11000, "longer than 65536"),
}


@pytest.mark.parametrize("fault", NOTHING)
def test_what_is_no_answer_is_told_in_words(fault: str) -> None:
    """The words go to a terminal, and so hold nothing that would move its cursor."""
    octets, words = NOTHING[fault]

    sent = ask(octets)

    assert sent.answer is None
    assert words in sent.trouble
    assert sent.trouble.isprintable()


def test_a_server_that_never_answers_is_given_up() -> None:
    """All of an exchange has one time limit."""
    sent = ask(pieces(), timeout=0.3)

    assert (sent.answer, sent.trouble) == (None, "timed out after 0.3 seconds")


def test_a_server_that_does_not_end_its_answer_is_given_up_with_what_came() -> None:
    """A server that says no length and keeps the connection hangs HTTP/1.0 clients."""
    sent = ask(pieces(OK + b"\r\nAES\n"), timeout=2)

    assert sent.trouble == "timed out after 2 seconds"
    assert sent.answer is not None
    assert sent.answer.body == b"AES\n"


def test_an_endless_answer_is_read_up_to_the_bound() -> None:
    """A stranger's server must not fill the memory."""
    sent = ask(pieces(OK + b"\r\n", *[bytes(65536)] * 64), most=100_000)

    assert "100000 octets" in sent.trouble
    assert sent.answer is not None
    assert len(sent.answer.raw) == 100_000


def test_an_answer_before_the_whole_request_was_taken_is_read() -> None:
    """A 413 comes while the client still sends, and the server hangs up."""

    def refuse(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n")
        with suppress(OSError):
            while connection.recv(65536):
                pass

    with answering(refuse) as url:
        sent = exchange(url, REQUEST + bytes(1 << 20), "PKIOperation", timeout=60)

    assert whole(sent).status == 413


def test_a_reset_connection_and_a_closed_port_are_told_apart() -> None:
    """One is a server that broke, the other is none."""

    def reset(connection: socket.socket) -> None:
        # Windows has its own form of it.
        linger = struct.pack("hh" if os.name == "nt" else "ii", 1, 0)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)

    with answering(reset) as url:
        broken = exchange(url, REQUEST, "GetCACaps", timeout=60)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    absent = exchange(f"http://127.0.0.1:{port}", REQUEST, "GetCACaps", timeout=60)

    assert broken.trouble == "the connection was reset"
    assert absent.trouble == "the connection was refused"


def test_tls_is_spoken_and_its_troubles_are_named(tmp_path: Path) -> None:
    """A device stops at a certificate that it does not trust, before any SCEP."""
    identity = make_identity(tmp_path)
    served = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    served.load_cert_chain(identity.certificate)
    trust = ssl.create_default_context(cafile=str(identity.ca))

    with answering(FRAMINGS["length"][0], served) as url:
        trusted = exchange(url, REQUEST, "GetCACaps", timeout=60, trust=trust)
        untrusted = exchange(url, REQUEST, "GetCACaps", timeout=60)

    def speak_plainly(connection: socket.socket) -> None:
        connection.recv(1)
        connection.sendall(b"HTTP/1.0 400 Bad Request\r\n\r\n")

    with bare_socket(speak_plainly) as url:
        plain = exchange(url.replace("http", "https"), REQUEST, "GetCACaps", timeout=60)

    assert whole(trusted).body == b"AES\n"
    assert untrusted.answer is None
    assert "TLS: the server's certificate is not trusted" in untrusted.trouble
    assert plain.answer is None
    assert plain.trouble.startswith("TLS: ")


def trusting() -> ssl.SSLContext:
    """For whoever wants to see what is behind a certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_server_that_wants_a_client_certificate_is_told_from_one_without_a_common_cipher(
    tmp_path: Path, version: ssl.TLSVersion
) -> None:
    """A device has no certificate before it enrols; up to TLS 1.2 both are one and the same alert."""
    served = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    served.load_cert_chain(make_identity(tmp_path).certificate)
    served.maximum_version, served.verify_mode = version, ssl.CERT_REQUIRED
    with refusing(served) as url:
        wanted = exchange(url, REQUEST, "GetCACaps", timeout=60, trust=trusting())
    served.verify_mode = ssl.CERT_NONE
    served.set_ciphers("ECDHE-RSA-AES256-GCM-SHA384")
    ours = trusting()
    ours.set_ciphers("ECDHE-RSA-AES128-GCM-SHA256")
    ours.maximum_version = ssl.TLSVersion.TLSv1_2
    with refusing(served) as url:
        other = exchange(url, REQUEST, "GetCACaps", timeout=60, trust=ours)

    assert wanted.answer is None
    assert "the server wants a client certificate" in wanted.trouble
    assert other.answer is None
    assert "no version or cipher in common" in other.trouble


@contextmanager
def refusing(context: ssl.SSLContext) -> Iterator[str]:
    """A server of TLS with which none comes about."""

    def talk(plain: socket.socket) -> None:
        with suppress(OSError), closing(context.wrap_socket(plain, server_side=True)) as connection:
            connection.recv(1)

    with bare_socket(talk) as url:
        yield url.replace("http", "https")


def test_a_slow_server_of_tls_is_not_taken_for_one_of_plain_http(tmp_path: Path) -> None:
    """Who says nothing for a while is asked once more, and with all the time that is left."""
    served = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    served.load_cert_chain(make_identity(tmp_path).certificate)
    came: list[socket.socket] = []

    def talk(plain: socket.socket) -> None:
        came.append(plain)
        if len(came) == 1:
            # It is not up to anything yet, and hangs up with the client.
            while plain.recv(4096):
                pass
            return
        with closing(served.wrap_socket(plain, server_side=True)) as connection:
            read_request(connection)
            connection.sendall(OK + b"Content-Length: 4\r\n\r\nAES\n")

    with bare_socket(talk) as url:
        sent = exchange(url.replace("http", "https"), REQUEST, "GetCACaps", timeout=60, trust=trusting())

    assert whole(sent).body == b"AES\n"


def test_http_and_tls_that_meet_each_other_are_told_apart() -> None:
    """The address is wrong by one letter: the words say which."""

    def wait_for_the_end(connection: socket.socket) -> None:
        octets = b""
        while not octets.endswith(b"\r\n\r\n"):
            octets += connection.recv(4096)
        connection.sendall(b"HTTP/1.0 400 Bad Request\r\n\r\n")

    with bare_socket(wait_for_the_end) as url:
        plain = exchange(url.replace("http", "https"), REQUEST, "GetCACaps", timeout=600)
    alerts = {ask(b"\x15\x03\x03\x00\x02\x02" + kind).trouble for kind in (b"\x0a", b"\x46")}

    assert plain.trouble == "TLS: the server does not speak it at this port: it may be one for http://"
    assert alerts == {"the server speaks TLS at this port: write https://"}


def test_a_host_is_reached_at_whichever_address_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Names have an IPv6 address at which nobody listens, every other day, or of which a machine has none."""
    find = socket.getaddrinfo
    with socket.create_server(("127.0.0.1", 0)) as listener:
        absent = find("127.0.0.1", listener.getsockname()[1], type=socket.SOCK_STREAM)
    absent = [(NO_FAMILY, *absent[0][1:]), *absent]
    with answering(FRAMINGS["length"][0]) as url, monkeypatch.context() as patch:
        patch.setattr(socket, "getaddrinfo", lambda *where, **how: [*absent, *find(*where, **how)])
        sent = exchange(url, REQUEST, "GetCACaps", timeout=60)
        patch.setattr(socket, "getaddrinfo", lambda *_, **__: absent)
        nowhere = exchange(url, REQUEST, "GetCACaps", timeout=60)

    assert whole(sent).body == b"AES\n"
    assert nowhere.trouble == "the connection was refused"


KEPT = OK + b"Content-Length: 4\r\n\r\nAES\n"
ON_ONE = {
    "kept": ((KEPT, KEPT), ["", ""]),
    "left over": ((KEPT + b"0\r\n\r\n", KEPT), ["", "what came is no HTTP response: 0"]),
    "closed in silence": ((KEPT, b""), ["", "the connection was closed without an answer"]),
    "closed with a word": ((OK + b"Connection: close\r\nContent-Length: 0\r\n\r\n",), [""]),
    "closed by its version": ((b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n",), [""]),
    "closed by its framing": ((OK + b"\r\nAES\n",), [""]),
}


@pytest.mark.parametrize("way", ON_ONE)
def test_requests_on_one_connection_are_read_as_a_client_reads_them(way: str) -> None:
    """What is left over of one answer is taken for the next; who says that the connection ends may end it."""
    answers, troubles = ON_ONE[way]

    def talk(connection: socket.socket) -> None:
        for answer in answers:
            read_request(connection)
            connection.sendall(answer)

    with bare_socket(talk) as url:
        sent = converse(url, [("GetCACert", REQUEST), ("GetCACaps", REQUEST)], timeout=60)

    assert [one.trouble for one in sent] == troubles
    assert [one.operation for one in sent] == ["GetCACert", "GetCACaps"][: len(troubles)]


@pytest.mark.parametrize("url", ["ftp://x/", "scep", "http:///scep"])
def test_what_is_no_address_is_a_mistake_of_the_caller(url: str) -> None:
    """It is not the server's doing."""
    with pytest.raises(ValueError, match="not an http"):
        exchange(url, REQUEST, "GetCACaps")
