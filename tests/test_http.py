"""The SCEP operations over a real server: which request gets which status, type and body."""

import base64
import http.client
import socket
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias
from urllib.parse import quote

import pytest
from bottle import Bottle

from app.config import Config
from app.http.limits import Limits
from app.http.server import Site, WebServer, bind
from app.http.traffic import Traffic, Uncounted
from app.succession import Ca, Succession
from app.wiring import build_web
from ca.algorithms.levels import CryptoLevel
from ca.pkcs7 import SignedData
from ca.x509.certificate import Certificate
from tests.forging import Answer
from tests.forging_csr import assert_refused
from tests.world import Device, World, certificate_of

PROFILES = {"vpn": {}, "modern": {"crypto": "modern"}, "legacy": {"crypto": "legacy"}}
CONFIG = Config.model_validate({"profiles": PROFILES})
GET, POST = "GET", "POST"


@dataclass(frozen=True, slots=True)
class Served:
    """A server on a port of this machine, while it runs."""

    server: WebServer
    thread: threading.Thread
    port: int

    def ask(self, method: str, target: str, body: bytes | None = None, **headers: str) -> Answer:
        """One request, without a Content-Type unless one is given."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        with closing(connection):
            named = {name.replace("_", "-"): value for name, value in headers.items()}
            connection.request(method, target, body, named)
            return answer_of(connection.getresponse())

    def connect(self) -> socket.socket:
        """A bare connection."""
        return socket.create_connection(("127.0.0.1", self.port), timeout=10)

    def throw(self, octets: bytes) -> Answer:
        """Send *octets* as they are, read one answer, and insist that the server hangs up then."""
        with self.connect() as connection:
            # A server that has seen enough closes before all is sent.
            with suppress(ConnectionError):
                connection.sendall(octets)
            with closing(http.client.HTTPResponse(connection)) as response:
                response.begin()
                answer = answer_of(response)
            with suppress(ConnectionError):
                assert connection.recv(1) == b""
            return answer


def answer_of(response: http.client.HTTPResponse) -> Answer:
    body = response.read()
    return Answer(response.status, {name.lower(): value for name, value in response.getheaders()}, body)


@contextmanager
def serving(web: Bottle, limits: Limits | None = None, traffic: Traffic | None = None) -> Iterator[Served]:
    """Serve *web* on a free port, as the ``serve`` verb does."""
    listener = bind("127.0.0.1", 0)
    server = WebServer([Site(web, listener, limits or Limits(), traffic or Uncounted())])
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        yield Served(server, thread, listener.getsockname()[1])
    finally:
        if thread.is_alive():
            server.stop()
        thread.join(30)
        assert not thread.is_alive()


def wired(world: World, config: Config = CONFIG) -> Bottle:
    """The whole application over the CA and the store of *world*."""
    return build_web(
        Succession(Ca(world.ca, (), world.responder.authority, world.responder.identity)),
        config,
        world.store,
        world.challenge_key,
    )


def insist_plain(answer: Answer, status: int) -> None:
    """A refusal outside CMS: the status, and one line of bare text."""
    assert (answer.status, answer.headers["content-type"]) == (status, "text/plain")
    assert answer.headers["content-length"] == str(len(answer.body))
    assert answer.body.endswith(b"\n")
    assert answer.body.count(b"\n") == 1
    assert b"<" not in answer.body
    assert b"Traceback" not in answer.body


HttpWorld: TypeAlias = tuple[World, Served]


@pytest.fixture(scope="module")
def http_world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HttpWorld]:
    """One server for the whole file, over a database that threads may share."""
    folder: Path = tmp_path_factory.mktemp("http")
    world = World(f"sqlite:///{folder / 'scepbox.db'}")
    with serving(wired(world)) as served:
        yield world, served
    world.store.close()


@pytest.mark.proves(
    "N-001", "N-002", "N-003", "N-004", "N-005", "N-006", "N-007", "N-008", "N-010", "N-019", "N-021", "H-04"
)
@pytest.mark.parametrize(
    ("method", "target"),
    [
        pytest.param(GET, "/scep?operation=Frobnicate", id="N-001 unknown operation"),
        pytest.param(GET, "/scep", id="N-002 no query"),
        pytest.param(GET, "/scep?", id="N-002 empty query"),
        pytest.param(GET, "/scep?operation=", id="N-003 empty operation"),
        pytest.param(GET, "/scep?operation=GetCACert&operation=PKIOperation", id="N-004 two operations"),
        pytest.param(GET, "/scep?operation=GetCACert&operation=GetCACert", id="N-004 twice the same"),
        pytest.param(GET, "/scep?operation=PKIOperation", id="N-005 no message"),
        pytest.param(GET, "/scep?operation=PKIOperation&message=", id="N-005 empty message"),
        pytest.param(GET, "/scep?operation=PKIOperation&message=!!!!", id="N-006 no base64"),
        pytest.param(GET, "/scep?operation=PKIOperation&message=MIIB&message=MIIB", id="N-004 two messages"),
        pytest.param(GET, "/scep?operation=PKIOperation&message=" + "q83v" * 21 + "qw==", id="N-007 no CMS"),
        pytest.param(POST, "/scep?operation=PKIOperation", id="N-008 empty body"),
        pytest.param(POST, "/scep?operation=GetCACert", id="N-010 GetCACert by POST"),
        pytest.param(POST, "/scep?operation=GetCACaps", id="N-010 GetCACaps by POST"),
        pytest.param(GET, "/scep?operation=PKIOperation&message=%zz", id="N-019 bad percent"),
        pytest.param(GET, "/scep?operation=PKIOperation&message=MI%", id="N-019 percent at the end"),
        pytest.param(GET, "/scep?operation=GetCACert&message=%00", id="N-019 NUL"),
        pytest.param(GET, "/scep?operation=GetCACert%80", id="N-019 encoded octet 80"),
        pytest.param(GET, "/scep?operation=GetCACertChain", id="N-021 GetCACertChain"),
    ],
)
def test_a_request_that_names_no_work_is_a_400(http_world: HttpWorld, method: str, target: str) -> None:
    """RFC 8894 4.1 to 4.3 say what a request holds; nothing else is guessed at."""
    world, served = http_world
    before = world.issued()

    insist_plain(served.ask(method, target), 400)

    assert world.issued() == before


@pytest.mark.proves("N-019")
def test_octets_outside_ascii_in_the_query_are_a_400(http_world: HttpWorld) -> None:
    """RFC 3986 2: a query is ASCII. N-019."""
    _, served = http_world

    request = (
        b"GET /scep?operation=GetCACert&message=\x80\x81 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    )

    insist_plain(served.throw(request), 400)


@pytest.mark.proves("N-011", "R-4.7.1-c", "R-3.5.2-f")
def test_there_is_no_next_ca_certificate_and_none_is_promised(http_world: HttpWorld) -> None:
    """RFC 8894 4.7: an empty 200 would be taken for one. N-011."""
    _, served = http_world

    insist_plain(served.ask(GET, "/scep?operation=GetNextCACert"), 404)
    assert b"GetNextCACert" not in served.ask(GET, "/scep?operation=GetCACaps").body


@pytest.mark.proves("N-012", "H-04")
@pytest.mark.parametrize("target", ["/scep", "/scep?operation=GetCACert", "/scep/vpn?operation=PKIOperation"])
@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "TRACE", "OPTIONS"])
def test_another_method_is_a_405_that_says_which(http_world: HttpWorld, method: str, target: str) -> None:
    """RFC 9110 15.5.6: the reply lists what is allowed. N-012."""
    _, served = http_world

    answer = served.ask(method, target)

    insist_plain(answer, 405)
    assert answer.headers["allow"] == "GET, HEAD, POST"


@pytest.mark.proves("N-014", "R-4.2-a", "R-4.2.1-a", "R-2.2-b", "L-11")
@pytest.mark.parametrize("message", ["", "&message=NoSuchCA", "&message=CA-IDENT", "&message=%20"])
def test_get_ca_cert_gives_the_one_certificate(http_world: HttpWorld, message: str) -> None:
    """RFC 8894 4.2.1.1: the CA identifier chooses nothing where there is one CA. N-014."""
    world, served = http_world

    answer = served.ask(GET, f"/scep?operation=GetCACert{message}")

    assert (answer.status, answer.headers["content-type"]) == (200, "application/x-x509-ca-cert")
    assert answer.body == world.ca.der
    assert answer.headers["content-length"] == str(len(answer.body))


@pytest.mark.proves("N-021", "L-12")
def test_get_ca_cert_chain_is_answered_at_level_legacy(http_world: HttpWorld) -> None:
    """Clients of the old drafts ask for it. N-021."""
    world, served = http_world

    answer = served.ask(GET, "/scep/legacy?operation=GetCACertChain")

    assert (answer.status, answer.headers["content-type"]) == (200, "application/x-x509-ca-ra-cert-chain")
    assert [one.der for one in SignedData.load(answer.body).certificates] == [world.ca.der]


@pytest.mark.proves("N-118", "H-05")
@pytest.mark.parametrize("query", ["operation=GetCACert", "operation=GetCACaps"])
def test_head_is_get_without_its_body(http_world: HttpWorld, query: str) -> None:
    """RFC 9110 9.3.2: the same header fields. N-118."""
    _, served = http_world
    got = served.ask(GET, f"/scep?{query}")

    head = served.ask("HEAD", f"/scep?{query}")

    assert (head.status, head.body) == (200, b"")
    assert head.headers["content-length"] == str(len(got.body))
    assert head.headers["content-type"] == got.headers["content-type"]


@pytest.mark.proves("N-118", "H-05")
def test_head_changes_nothing(http_world: HttpWorld) -> None:
    """RFC 9110 9.2.1: HEAD is safe, so that it must not enrol. N-118."""
    world, served = http_world
    before = world.issued()
    message = base64.urlsafe_b64encode(Device("head").message(world.ca)).decode()

    assert served.ask("HEAD", f"/scep?operation=PKIOperation&message={message}").status == 405
    assert world.issued() == before


@pytest.mark.proves(
    "R-3.5-a",
    "R-3.5.2-a",
    "R-3.5.2-b",
    "R-3.5.2-c",
    "R-3.5.2-e",
    "R-3.5.2-f",
    "R-3.5.2-g",
    "R-3.5.2-j",
    "R-6-a",
    "R-2.2-a",
    "L-03",
    "L-05",
    "L-07",
)
@pytest.mark.parametrize(
    ("path", "level"), [("/scep", "compatible"), ("/scep/modern", "modern"), ("/scep/legacy", "legacy")]
)
def test_capabilities_promise_what_the_level_keeps(http_world: HttpWorld, path: str, level: str) -> None:
    """RFC 8894 3.5.2: a keyword a line, and each a promise."""
    _, served = http_world

    answer = served.ask(GET, f"{path}?operation=GetCACaps")

    assert (answer.status, answer.headers["content-type"]) == (200, "text/plain")
    words = set(answer.body.decode().split("\n")) - {""}
    always = {"AES", "POSTPKIOperation", "Renewal", "SHA-256", "SHA-384", "SHA-512", "SCEPStandard"}
    assert words == always | (set() if level == CryptoLevel.MODERN else {"DES3", "SHA-1"})


@pytest.mark.proves("R-4.1-a")
@pytest.mark.parametrize(
    "query",
    ["operation=getcacert", "operation=GETCACERT", "x=1&operation=GetCACert", "operation=GetCACert&x=%zz"],
)
def test_case_and_strangers_in_the_query_do_not_matter(http_world: HttpWorld, query: str) -> None:
    """RFC 5234 2.3: the literals of an ABNF are of any case; proxies and people add parameters."""
    world, served = http_world

    assert served.ask(GET, f"/scep?{query}").body == world.ca.der


@pytest.mark.proves("H-01", "R-6-b")
def test_every_answer_has_a_length_and_a_bare_type(http_world: HttpWorld) -> None:
    """RFC 9110 8.6: iOS and sscep compare the type as a string and count the octets."""
    world, served = http_world
    message = Device("length").message(world.ca)
    asked = [
        served.ask(GET, "/scep?operation=GetCACaps"),
        served.ask(GET, "/scep?operation=GetCACert"),
        served.ask(GET, "/scep?operation=GetNextCACert"),
        served.ask(GET, "/scep/nobody?operation=GetCACert"),
        served.ask("PUT", "/scep"),
        served.ask(POST, "/scep?operation=PKIOperation", b"no CMS"),
        served.ask(POST, "/scep?operation=PKIOperation", message),
    ]

    for answer in asked:
        assert answer.headers["content-length"] == str(len(answer.body))
        assert ";" not in answer.headers["content-type"]
        assert "transfer-encoding" not in answer.headers


@pytest.mark.proves("H-07", "R-4.1-f", "R-4.3.1-a", "S-13")
@pytest.mark.parametrize("method", [GET, POST])
def test_an_enrolment_is_not_kept_by_caches(tmp_path: Path, method: str) -> None:
    """RFC 9111 5.2.2.5: a GET PKIOperation looks like a page to a proxy."""
    world = World(f"sqlite:///{tmp_path / 'scepbox.db'}")
    device = Device()
    message = device.message(world.ca)
    target = "/scep?operation=PKIOperation"

    with serving(wired(world)) as served:
        if method == POST:
            answer = served.ask(POST, target, message)
        else:
            answer = served.ask(GET, f"{target}&message={quote(base64.b64encode(message), safe='')}")

    assert (answer.status, answer.headers["content-type"]) == (200, "application/x-pki-message")
    assert answer.headers["cache-control"] == "no-store"
    issued: Certificate = certificate_of(device.read(answer.body, world.ca))
    assert [one.der for one in world.issued()] == [issued.der]
    world.store.close()


@pytest.mark.proves("S-04", "S-13")
def test_how_a_request_came_lets_nobody_in(tmp_path: Path) -> None:
    """RFC 8894 2.4, 7.10: behind a proxy with TLS a device is as unknown as before, and is not sent there."""
    world = World(f"sqlite:///{tmp_path / 'scepbox.db'}", uses=1)
    device = Device(signing_time=None)
    config = Config.model_validate({"server": {"base_url": "https://scep.example.org"}})
    proxied = {
        "X_Forwarded_Proto": "https",
        "X_Forwarded_For": "127.0.0.1",
        "X_SSL_Client_Verify": "SUCCESS",
        "Forwarded": "for=127.0.0.1;proto=https",
        "Authorization": "Basic YWRtaW46YWRtaW4=",
    }

    with serving(wired(world, config)) as served:
        capabilities = served.ask(GET, "/scep?operation=GetCACaps")
        message = device.message(world.ca, device.csr(None))
        answer = served.ask(POST, "/scep?operation=PKIOperation", message, **proxied)

    assert (capabilities.status, capabilities.body[:4]) == (200, b"AES\n")
    assert_refused(world, device.read(answer.body, world.ca))
    world.store.close()


@pytest.mark.proves("H-11")
@pytest.mark.parametrize("query", ["?operation=GetCACaps", "?operation=GetCACert", "?operation=Nothing", ""])
def test_no_reply_says_to_be_of_iis(http_world: HttpWorld, query: str) -> None:
    """RFC 8894 3.5.2: clients that meet an old NDES fall back to 3DES and SHA-1."""
    _, served = http_world

    assert "iis" not in served.ask(GET, f"/scep{query}").headers.get("server", "").lower()


@pytest.mark.proves("R-2.2-f", "R-2.2-a")
def test_the_ca_certificate_is_the_same_each_time(http_world: HttpWorld) -> None:
    """RFC 8894 2.2: a stored copy or a fingerprint is compared with every octet of it."""
    world, served = http_world

    assert {served.ask(GET, "/scep?operation=GetCACert").body for _ in range(3)} == {world.ca.der}
