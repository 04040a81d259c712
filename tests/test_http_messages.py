"""A pkiMessage reaches the CA at every path and in every dialect that devices have."""

import base64
import http.client
import logging
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote

import pytest

from ca.scep.messages import Outcome
from tests.forging import Answer
from tests.test_http import HttpWorld, insist_plain, serving, wired
from tests.world import Device, World, certificate_of, self_signed

PKI_OPERATION = "operation=PKIOperation"
VPN_SECRET = "sesame of the VPN"


@pytest.fixture(scope="module")
def http_world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HttpWorld]:
    """One server for the whole file, over a database that threads may share."""
    folder: Path = tmp_path_factory.mktemp("http")
    world = World(f"sqlite:///{folder / 'scepbox.db'}")
    world.add_challenge(VPN_SECRET, uses=None, profile="vpn")
    with serving(wired(world)) as served:
        yield world, served
    world.store.close()


def in_date(common_name: str = "ipad-17") -> Device:
    """A device whose own certificate is in date by the real clock, which the server goes by."""
    device = Device(common_name, signing_time=None)
    device.signer = self_signed(common_name, device.key, datetime.now(UTC))
    return device


def outcome(world: World, device: Device, answer: Answer, transaction_id: str = "t1") -> Outcome:
    assert (answer.status, answer.headers["content-type"]) == (200, "application/x-pki-message")
    return device.read(answer.body, world.ca, transaction_id)


def text_with_everything(world: World, device: Device) -> tuple[str, str]:
    """A transactionID and the base64 of its message, with ``+``, ``/`` and padding in it."""
    for length in range(1, 100):
        transaction_id = "t" * length
        text = base64.b64encode(device.message(world.ca, transaction_id=transaction_id)).decode()
        if "+" in text and "/" in text and text.endswith("="):
            return transaction_id, text
    raise AssertionError("no such message")


@pytest.mark.proves("R-4.1-b", "R-4.1-c")
@pytest.mark.parametrize(
    "path",
    [
        "/scep",
        "/scep/",
        "/scep/pkiclient.exe",
        "/cgi-bin/pkiclient.exe",
        "/cgi-bin/scep/scep",
        "/certsrv/mscep/mscep.dll",
        "/certsrv/mscep/mscep.dll/pkiclient.exe",
        "/scep/default",
        "/scep/default/pkiclient.exe",
    ],
)
def test_the_default_profile_answers_where_devices_look(http_world: HttpWorld, path: str) -> None:
    """RFC 8894 4.1 fixes no path; Cisco IOS, Windows and old clients have theirs."""
    world, served = http_world
    device = in_date()

    assert served.ask("GET", f"{path}?operation=GetCACert").body == world.ca.der
    answer = served.ask("POST", f"{path}?{PKI_OPERATION}", device.message(world.ca))

    certificate_of(outcome(world, device, answer))
    assert {one.profile for one in world.issued() if one.transaction_id == "t1"} == {"default"}


@pytest.mark.proves("R-4.1-c")
@pytest.mark.parametrize(
    "path",
    ["/scep/vpn", "/scep/vpn/", "/scep/vpn/pkiclient.exe", "/scep/vpn/any/further/suffix", "/scep/vpn/a/"],
)
def test_a_profile_answers_at_its_path_whatever_follows(
    http_world: HttpWorld, caplog: pytest.LogCaptureFixture, path: str
) -> None:
    """RFC 8894 4.1: clients append what they like to the address they were given."""
    world, served = http_world
    device = in_date(f"at {path}")
    message = device.message(world.ca, device.csr(VPN_SECRET), transaction_id=f"at {path}")

    assert served.ask("GET", f"{path}?operation=GetCACert").body == world.ca.der
    with caplog.at_level(logging.INFO, "ca.responder"):
        answer = served.ask("POST", f"{path}?{PKI_OPERATION}", message)

    certificate_of(outcome(world, device, answer, f"at {path}"))
    assert "profile=vpn " in caplog.messages[0]


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize(
    "path",
    [
        "/scep/nobody",
        "/scep/nobody/",
        "/scep/nobody/pkiclient.exe",
        "/scep/VPN",
        "/scep/vpn%00",
        "/scep/..",
        "/scep/%ff",
        "/scep/vp%ffn",
    ],
)
def test_an_unknown_profile_is_a_404(http_world: HttpWorld, path: str, method: str) -> None:
    """Deny by default: a misspelt address must not fall back to other rules."""
    world, served = http_world

    answer = served.ask(method, f"{path}?{PKI_OPERATION}", in_date().message(world.ca))

    insist_plain(answer, 404)


@pytest.mark.parametrize("path", ["/nowhere", "/scepx", "/cgi-bin/", "/SCEP", "/scep%0d%0aX-Header:1"])
def test_a_path_of_nothing_is_a_404_of_one_line(http_world: HttpWorld, path: str) -> None:
    """What a device reads is never a page."""
    _, served = http_world

    answer = served.ask("GET", f"{path}?operation=GetCACert")

    assert answer.status == 404
    assert answer.headers["content-type"].startswith("text/plain")
    assert answer.body.count(b"\n") == 1
    assert "x-header" not in answer.headers


# How it is written, and the deviations that are told of it.
DIALECTS: list[tuple[str, Callable[[str], str], str]] = [
    ("as the RFC says", lambda text: quote(text, safe=""), ""),
    ("bare plus and slash", lambda text: text, ""),
    ("%2B alone", lambda text: text.replace("+", "%2B"), ""),
    ("space for plus", lambda text: text.replace("+", "%20"), "repaired-plus"),
    (
        "lines by LF",
        lambda text: "%0A".join(text[i : i + 64] for i in range(0, len(text), 64)),
        "base64-line-breaks",
    ),
    (
        "lines by CRLF, one at the end",
        lambda text: "".join(f"{quote(text[i : i + 76])}%0D%0A" for i in range(0, len(text), 76)),
        "base64-line-breaks",
    ),
    ("URL alphabet", lambda text: text.replace("+", "-").replace("/", "_"), "base64url-alphabet"),
    ("no padding", lambda text: text.rstrip("="), "base64-padding"),
    (
        "URL alphabet without padding",
        lambda text: text.replace("+", "-").replace("/", "_").rstrip("="),
        "base64url-alphabet,base64-padding",
    ),
]


@pytest.mark.proves("R-4.1-e", "R-2.9-b", "L-01")
@pytest.mark.parametrize(("encode", "told"), [one[1:] for one in DIALECTS], ids=[one[0] for one in DIALECTS])
def test_a_message_by_get_is_read_in_every_dialect(
    http_world: HttpWorld, caplog: pytest.LogCaptureFixture, encode: Callable[[str], str], told: str
) -> None:
    """RFC 8894 4.1 says base64, percent-encoded; sscep, macOS and Cisco IOS each do it their way."""
    world, served = http_world
    device = in_date()
    transaction_id, text = text_with_everything(world, device)

    with caplog.at_level(logging.INFO, "ca.responder"):
        answer = served.ask("GET", f"/scep?{PKI_OPERATION}&message={encode(text)}")

    certificate_of(outcome(world, device, answer, transaction_id))
    (line,) = caplog.messages
    assert (f"deviations={told} " in line) if told else ("deviations=" not in line)


@pytest.mark.proves("R-4.1-a")
@pytest.mark.parametrize(
    "query", ["message={}&operation=PKIOperation", "x=1&operation=pkioperation&message={}"]
)
def test_the_order_in_the_query_does_not_matter(http_world: HttpWorld, query: str) -> None:
    """RFC 8894 4.1 shows one order and asks for none."""
    world, served = http_world
    device = in_date()
    text = quote(base64.b64encode(device.message(world.ca)), safe="")

    certificate_of(outcome(world, device, served.ask("GET", f"/scep?{query.format(text)}")))


@pytest.mark.proves("R-4.3-b", "L-19", "R-2.9-a", "R-3.5.2-f")
@pytest.mark.parametrize(
    "content_type",
    [
        None,
        "",
        "application/x-pki-message",
        "application/octet-stream",
        "application/x-www-form-urlencoded",
        "multipart/form-data",
        "application/json",
        "nonsense",
    ],
)
def test_the_type_of_a_post_is_not_asked(http_world: HttpWorld, content_type: str | None) -> None:
    """RFC 8894 4.3 names one; sscep and strongSwan send none, jscep octet-stream, curl a form's."""
    world, served = http_world
    device = in_date()
    headers = {} if content_type is None else {"Content_Type": content_type}

    answer = served.ask("POST", f"/scep?{PKI_OPERATION}", device.message(world.ca), **headers)

    certificate_of(outcome(world, device, answer))


@pytest.mark.proves("N-009", "R-4.3-a")
@pytest.mark.parametrize("target", ["/scep", "/scep?", "/scep?x=1", "/scep?operation="])
def test_a_post_without_an_operation_is_a_pki_operation(
    http_world: HttpWorld, caplog: pytest.LogCaptureFixture, target: str
) -> None:
    """Nothing else is sent by POST (RFC 8894 4.3), and some clients leave it out. N-009."""
    world, served = http_world
    device = in_date()

    with caplog.at_level(logging.INFO, "ca.responder"):
        answer = served.ask("POST", target, device.message(world.ca))

    certificate_of(outcome(world, device, answer))
    assert "deviations=post-without-operation " in caplog.messages[0]


@pytest.mark.proves("N-017", "H-09")
@pytest.mark.parametrize("pieces", [1, 7, 100_000], ids=["single octets", "of 7", "whole"])
def test_a_chunked_post_is_read(http_world: HttpWorld, pieces: int) -> None:
    """RFC 9112 7.1: Windows and proxies send chunks. N-017."""
    world, served = http_world
    device = in_date()
    message = device.message(world.ca)
    chunks = [message[i : i + pieces] for i in range(0, len(message), pieces)]
    body = b"".join(b"%x\r\n%s\r\n" % (len(one), one) for one in chunks) + b"0\r\n\r\n"
    head = b"POST /scep?operation=PKIOperation HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"

    answer = served.throw(head + b"Transfer-Encoding: chunked\r\n\r\n" + body)

    certificate_of(outcome(world, device, answer))
    assert answer.headers["content-length"] == str(len(answer.body))


@pytest.mark.proves("H-03")
def test_a_post_that_waits_for_100_continue_is_read(http_world: HttpWorld) -> None:
    """RFC 9110 10.1.1: curl asks before it sends more than a kilobyte."""
    world, served = http_world
    device = in_date()
    message = device.message(world.ca)

    with served.connect() as connection:
        head = f"POST /scep?{PKI_OPERATION} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(message)}\r\n"
        connection.sendall(f"{head}Expect: 100-continue\r\n\r\n".encode())
        assert connection.recv(1000) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(message)
        assert connection.recv(12) == b"HTTP/1.1 200"


@pytest.mark.proves("H-02")
@pytest.mark.parametrize("ending", [b"HTTP/1.0\r\n\r\n", b"HTTP/1.0\r\nHost: ca.example\r\n\r\n"])
def test_http_1_0_is_answered_and_the_connection_closed(http_world: HttpWorld, ending: bytes) -> None:
    """RFC 1945: Cisco IOS and sscep speak it, without Host, and read to the end."""
    world, served = http_world

    answer = served.throw(b"GET /scep?operation=GetCACert " + ending)

    assert (answer.status, answer.body) == (200, world.ca.der)
    assert answer.headers["content-length"] == str(len(answer.body))


def test_a_post_by_http_1_0_is_answered(http_world: HttpWorld) -> None:
    """RFC 1945 8.3: a body needs its Content-Length and nothing else."""
    world, served = http_world
    device = in_date()
    message = device.message(world.ca)
    head = f"POST /scep?{PKI_OPERATION} HTTP/1.0\r\nContent-Length: {len(message)}\r\n\r\n"

    certificate_of(outcome(world, device, served.throw(head.encode() + message)))


def test_a_connection_serves_one_request_after_another(http_world: HttpWorld) -> None:
    """RFC 9112 9.3: GetCACaps, GetCACert and PKIOperation come over one connection."""
    _, served = http_world

    connection = http.client.HTTPConnection("127.0.0.1", served.port, timeout=10)
    with closing(connection):
        connection.connect()
        first = connection.sock
        for _ in range(3):
            connection.request("GET", "/scep?operation=GetCACaps")
            assert connection.getresponse().read().startswith(b"AES\n")
        assert connection.sock is first


@pytest.mark.proves("N-020", "H-10")
@pytest.mark.parametrize("wrap", ["base64", "PEM"])
def test_a_posted_message_in_base64_is_a_400(http_world: HttpWorld, wrap: str) -> None:
    """RFC 8894 4.3: a POST is binary. N-020."""
    world, served = http_world
    text = base64.encodebytes(in_date().message(world.ca))
    body = b"-----BEGIN PKCS7-----\n" + text + b"-----END PKCS7-----\n" if wrap == "PEM" else text

    insist_plain(served.ask("POST", f"/scep?{PKI_OPERATION}", body), 400)


@pytest.mark.proves("N-104")
@pytest.mark.parametrize("agent", ["\x1b[31mred", 'x" outcome=issued', "\xe4\xf6\xfc", "a" * 5000])
def test_what_a_client_calls_itself_breaks_no_log_line(
    http_world: HttpWorld, caplog: pytest.LogCaptureFixture, agent: str
) -> None:
    """User-Agent is whatever a stranger says. N-104."""
    world, served = http_world

    with caplog.at_level(logging.INFO, "ca.responder"):
        answer = served.ask("POST", f"/scep?{PKI_OPERATION}", in_date().message(world.ca), User_Agent=agent)

    assert answer.status in (200, 400)
    for line in caplog.messages:
        assert line.isprintable()
        assert len(line) < 1000
