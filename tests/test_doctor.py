"""``doctor`` at real servers: our own in every state, and what is no SCEP server at all."""

import json
import socket
import ssl
import time
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization

from app.personas import PERSONAS
from tests.announcing import is_as_announced, requests
from tests.command_line import Done, Service, did, run, serving
from tests.relay import relaying
from tests.world import name, rsa_key

SETTINGS = """
[profiles.default]
renewal_days = 0
[profiles.old]
renewal_days = 0
crypto = "legacy"
[profiles.held]
approval = "manual"
"""


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("doctor") / "data"
    did("init", "--data", folder)
    (folder / "scepbox.toml").write_text(SETTINGS)
    return folder


@pytest.fixture(scope="module")
def service(data: Path) -> Iterator[Service]:
    with serving("--data", data, "--listen", "127.0.0.1:0", log=data.parent / "log") as running:
        yield running


def challenge(data: Path, *terms: str) -> str:
    """A new challenge password."""
    return did("challenge", "new", "--data", data, *terms)


def findings(done: Done) -> dict[str, dict[str, Any]]:
    """What a report in JSON holds, by id, after a look at its shape."""
    report = json.loads(done.out)
    assert report.keys() == {"url", "passed", "findings"}
    keys = {"id", "severity", "clients", "what", "why", "fix", "reference"}
    assert all(one.keys() == keys for one in report["findings"])
    assert report["passed"] is (done.code == 0)
    assert report["passed"] is all(one["severity"] != "violation" for one in report["findings"])
    return {one["id"]: one for one in report["findings"]}


def asked_for(service: Service) -> int:
    """How often somebody asked for a certificate until now."""
    return sum(service.log.count(f"message={kind} ") for kind in ("PKCSReq", "RenewalReq"))


def test_nothing_is_wrong_with_our_own_server(service: Service, data: Path, tmp_path: Path) -> None:
    """Every persona enrols, and renews where that client does; the odd and the wrong are answered right."""
    target, junit = f"{service.url}/old", tmp_path / "junit.xml"
    secret = challenge(data, "--uses", "unlimited", "--profile", "old")

    done = run("doctor", target, "--challenge", "-", "--json", "--junit", junit, stdin=secret)

    assert (findings(done), done.err) == ({}, "")
    suite = ElementTree.parse(junit).getroot().find("testsuite")
    assert suite is not None
    counts = [suite.get(key) for key in ("failures", "errors", "skipped")]
    assert counts == ["0", "0", "0"]
    steps = {case.get("name") for case in suite}
    assert len(steps) == int(suite.get("tests", "")) > 40
    assert steps > {f"as {persona}" for persona in PERSONAS}
    valid = json.loads(did("cert", "list", "--json", "--data", data))
    assert all(one["profile"] == "old" for one in valid)
    # The doctor's own, and that of each persona.
    assert len(valid) > len(PERSONAS)
    assert asked_for(service) > len(valid)


def test_it_only_reads_unless_it_is_given_a_challenge(service: Service) -> None:
    """At a server of somebody else's, there is nothing to decide on: no certificate is asked for."""
    before = asked_for(service)

    done = run("doctor", service.url)
    also = run("doctor", service.url, "--challenge", "-", "--read-only", "--as", "ios", stdin="secret\n")

    assert (done.code, done.err) == (0, "")
    assert done.out.startswith(f"{service.url}: nothing is wrong with it that is known here (")
    assert (also.code, also.err) == (0, "")
    assert asked_for(service) == before


def test_a_challenge_for_one_is_enough_for_the_main_things(service: Service, data: Path) -> None:
    """Who has one password alone hears what could not be tried; it is not sent again once it is refused.

    With one for many, who asked for a client hears first at what it stops. Without --as, that a server takes
    no MD5 is no fault of its.
    """
    clients = ("--as", "ios", "--as", "cisco")

    one = run("doctor", service.url, "--challenge", "-", "--json", *clients, stdin=challenge(data))
    many = run(
        "doctor", service.url, "--challenge", "-", "--json", *clients,
        stdin=challenge(data, "--uses", "unlimited"),
    )  # fmt: skip

    found = findings(one)
    assert (one.code, list(found)) == (0, ["not-enrolled"])
    assert "refused at unknown extension, and is not sent again" in found["not-enrolled"]["why"]
    assert all(step in found["not-enrolled"]["why"] for step in ("CSR signed wrongly", "as ios", "as cisco"))
    found = findings(many)
    assert (many.code, list(found)) == (1, ["digest-refused"])
    assert found["digest-refused"]["clients"] == ["cisco", "juniper"]
    assert [one["severity"] for one in found.values()] == ["violation"]


def test_who_came_by_is_named_with_what_became_of_it(service: Service, data: Path) -> None:
    """Nine clients that get a certificate are worth a line; those that do not, too."""
    done = run("doctor", service.url, "--challenge", "-", stdin=challenge(data, "--uses", "unlimited"))

    assert done.code == 0
    (got,) = (line for line in done.out.splitlines() if line.startswith("got a certificate: "))
    assert all(f", {client}" in got for client in ("sscep", "iOS/iPadOS", "strongSwan", "Windows"))
    assert "seen to stop: Cisco IOS" in done.out
    assert "info: The server refuses messages that are signed over MD5" in done.out


def test_what_a_person_has_to_approve_is_no_fault(service: Service, data: Path) -> None:
    """PENDING is an answer: doctor says that it went no further."""
    secret = challenge(data, "--uses", "unlimited", "--profile", "held")

    target = f"{service.url}/held"

    done = run("doctor", target, "--challenge", "-", "--json", "--as", "jscep", stdin=secret)

    assert set(findings(done)) == {"request-held"}


def test_a_wrong_challenge_is_told_in_words(service: Service) -> None:
    """The first thing that goes wrong in practice."""
    done = run("doctor", service.url, "--challenge", "-", "--as", "ios", stdin="no such password\n")

    assert done.code == 1
    assert "what will fail, for whom:\n  every client: challenge-refused" in done.out
    assert "violation: The challenge password is wrong, was used already or has expired" in done.out
    assert "no such password" not in done.out + done.err


@pytest.mark.parametrize("options", [(), ("--challenge", "-")], ids=["reading", "asking"])
def test_what_is_sent_was_announced(service: Service, data: Path, options: tuple[str, ...]) -> None:
    """Method, path, order and number: who lets a stranger's server be examined knows what it will meet."""
    secret = challenge(data, "--uses", "unlimited", "--profile", "old") if options else ""
    with relaying(int(service.url.split(":")[2].partition("/")[0])) as relay:
        url = f"http://127.0.0.1:{relay.port}/scep/old?tenant=seventeen"
        announced = run("doctor", url, "--dry-run", "--json", *options, stdin=secret)
        before = len(relay.heard)
        done = run("doctor", url, *options, stdin=secret)
        heard = requests(relay.heard)

    plan = json.loads(announced.out)
    assert (announced.code, before, done.code) == (0, 0, 0)
    assert {one["host"] for step in plan for one in step["requests"]} == {f"127.0.0.1:{relay.port}"}
    assert "seventeen" not in announced.out + done.out + done.err
    assert "seen: address: the query has tenant, which these do not send: iOS/iPadOS, " in done.out
    shown = [line.replace("tenant=seventeen", "tenant=…") for line in heard]
    assert is_as_announced(plan, shown)
    assert f"({len(heard)} requests in " in done.out
    assert not is_as_announced(plan, shown[:-1])
    assert not is_as_announced(plan, [*shown, shown[1]])


def test_a_dry_run_sends_nothing(tmp_path: Path) -> None:
    """What would be sent is told before it is: nobody listens here, and nobody is missed."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/scep"

        done = run("doctor", url, "--dry-run")
        secret = run("doctor", url, "--dry-run", "--json", "--challenge", "-", "--as", "cisco", stdin="x\n")

        listener.setblocking(False)
        with pytest.raises(BlockingIOError):
            listener.accept()
    assert done.code == secret.code == 0
    assert "  1. GetCACaps: what the server says" in done.out
    assert "\n       GET /scep?operation=GetCACaps\n" in done.out
    assert "PKCSReq" not in done.out
    steps = {one["step"]: one for one in json.loads(secret.out)}
    first, *_ = steps["enrolment"]["requests"]
    assert (first["method"], first["holds"]) == ("POST", "a PKCSReq with the challenge password")
    assert first["otherwise"]["method"] == "GET"
    assert all(one["why"] for one in steps.values())
    assert [one for one in steps if one.startswith("as ")] == ["as cisco"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("ftp://ca.example/",), "is not an http:// or https:// address"),
        (("http://ca..example/",), "no host is called 'ca..example'"),
        (("http://ca.example/", "--challenge", "-"), "there is no challenge password in it"),
        (("http://ca.example/", "--as", "blackberry"), "'blackberry' is not one of"),
        (("http://ca.example/", "--subject", "nobody"), "is no name such as CN=test"),
        (("http://ca.example/", "--cafile", __file__), "no certificates in PEM"),
        (("http://ca.example/?operation=GetCACert",), "leave out operation="),
        (("http://ca.example/", "--dry-run", "--junit", "report.xml"), "leave one of them out"),
        (("http://ca.example/", "--timeout", "0"), "is not in the range"),
    ],
)
def test_wrong_use_is_told_in_one_line(arguments: tuple[str, ...], said: str) -> None:
    """Exit code 2, before anything is sent."""
    done = run("doctor", *arguments)

    assert (done.code, done.out) == (2, "")
    assert said in done.err
    assert done.err.count("\n") == 1


def test_where_nobody_listens_that_is_all_there_is_to_say() -> None:
    """Not a list of everything that was not answered either."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/scep"

        done = run("doctor", url, "--json", "--challenge", "-", stdin="secret\n")

    found = findings(done)
    assert (done.code, list(found)) == (1, ["unreachable"])
    assert "the connection was refused" in found["unreachable"]["why"]


def test_https_where_plain_http_is_spoken_is_told_at_once(service: Service) -> None:
    """Such a server waits for the rest of what it takes for a request, and the client for an answer."""
    started = time.monotonic()

    done = run("doctor", service.url.replace("http", "https"), "--json", "--timeout", "500")

    found = findings(done)
    assert list(found) == ["unreachable"]
    assert "TLS: the server does not speak it at this port" in found["unreachable"]["why"]
    assert time.monotonic() - started < 60


class Page(BaseHTTPRequestHandler):
    """A web server as there are many: a page for everything."""

    status = 200
    page = b"<html>Please sign in</html>"
    age = "0"

    def do_GET(self) -> None:
        self.send_response(self.status)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(self.page)))
        self.send_header("Cache-Control", f"max-age={self.age}")
        self.end_headers()
        self.wfile.write(self.page)

    do_POST = do_HEAD = do_GET

    def log_message(self, *_: object) -> None:
        """Say nothing."""


class NotFound(Page):
    status = 404


class Hostile(Page):
    """Whatever it says moves the cursor of a terminal, and the words are those of no list."""

    page = b"AES\x1b[2J\r\nSHA-256\x07\n\x9b31m\n"
    # More digits than Python makes a number of.
    age = "9" * 5000


class Dripping(Page):
    """An answer that comes so slowly that nobody waits for its end."""

    page = b"AES"
    asked = 0

    def do_GET(self) -> None:
        type(self).asked += 1
        self.send_response(200)
        self.send_header("Content-Length", "100000")
        self.end_headers()
        with suppress(OSError):
            while True:
                self.wfile.write(b"A")
                time.sleep(0.05)

    do_POST = do_HEAD = do_GET


@contextmanager
def listening(handler: type[Page], trust: ssl.SSLContext | None = None) -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    if trust is not None:
        server.socket = trust.wrap_socket(server.socket, server_side=True)
        server.handle_error = lambda *_: None  # type: ignore[method-assign]
    thread = Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield f"{'https' if trust else 'http'}://127.0.0.1:{server.server_address[1]}/scep"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.mark.parametrize(("handler", "finding"), [(Page, "html-body"), (NotFound, "url-wrong")])
def test_a_web_server_that_knows_no_scep_is_one_finding(handler: type[Page], finding: str) -> None:
    """The address leads to a portal, or nowhere: there is no use in telling what else is missing there."""
    with listening(handler) as url:
        done = run("doctor", url, "--json")

    assert list(findings(done)) == [finding]


def test_a_server_that_is_waited_for_in_vain_is_not_asked_everything() -> None:
    """Thirty requests to such a one would take a quarter of an hour, and tell nothing more."""
    with listening(Dripping) as url:
        done = run("doctor", url, "--json", "--timeout", "0.5")

    assert Dripping.asked == 2
    found = findings(done)
    assert "timed out after 0.5 seconds" in found["http-answer-broken"]["why"]


def test_what_a_server_says_cannot_move_the_cursor(tmp_path: Path) -> None:
    """A report is read on terminals and in the pages of a CI."""
    with listening(Hostile) as url:
        done = run("doctor", url, "--junit", tmp_path / "junit.xml")

    assert done.code == 1
    assert "answer-cacheable" in done.out
    assert all(character.isprintable() or character == "\n" for character in done.out)
    assert ElementTree.parse(tmp_path / "junit.xml").getroot().tag == "testsuites"


@pytest.fixture
def tls(tmp_path: Path) -> tuple[ssl.SSLContext, Path]:
    """A server's side of TLS, and the file of the certificate that it shows, which nobody knows."""
    key, now = rsa_key(0), datetime.now(UTC)
    subject = name("127.0.0.1")
    builder = x509.CertificateBuilder().subject_name(subject).issuer_name(subject)
    builder = builder.public_key(key.public_key()).serial_number(x509.random_serial_number())
    builder = builder.not_valid_before(now.replace(year=now.year - 1)).not_valid_after(
        now.replace(year=now.year + 1)
    )
    names = x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))])
    certificate = builder.add_extension(names, critical=False).sign(key, hashes.SHA256())
    file, key_file = tmp_path / "tls.pem", tmp_path / "tls.key"
    file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    plain = serialization.NoEncryption()
    key_file.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file, key_file)
    return context, file


def test_a_certificate_of_tls_that_nobody_trusts_comes_first(tls: tuple[ssl.SSLContext, Path]) -> None:
    """A device that does not trust it never sees what is behind; with --cafile doctor goes on."""
    context, file = tls
    with listening(NotFound, context) as url:
        done = run("doctor", url, "--json")
        trusted = run("doctor", url, "--json", "--cafile", file)

    assert list(findings(done)) == ["tls-untrusted"]
    assert list(findings(trusted)) == ["url-wrong"]
