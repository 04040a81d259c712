"""Every persona against our own server: all enrol, none minds anything, each sends what its client sends."""

import re
import socket
import stat
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote_to_bytes

import pytest
from cryptography import x509

from app.client import Identity
from app.http.query import decode_message, parse_query
from app.personas import PERSONAS, Session, enrol, look, renew
from app.personas.wire import message_query
from ca.deviations import Deviations
from ca.x509.certificate import Certificate
from ca.x509.general_names import GeneralName
from ca.x509.name import Name
from tests.command_line import Done, Service, did, run, serving
from tests.world import rsa_key

SETTINGS = """
[profiles.default]
renewal_days = 0
[profiles.old]
renewal_days = 0
crypto = "legacy"
[profiles.desk]
approval = "manual"
challenge = "none"
"""
SECRET = "open sesame"
# What no other level reads of them, or answers as they want it: MD5, and single DES in return.
OLD = ("cisco", "micromdm")
NAMES = (GeneralName.from_text("dns:device.example"),)
# By what the server noticed of each first request, beside what it always says.
ODDITIES: dict[str, set[str]] = {
    "certmonger": {"signer-x509-version"},
    "cisco": {"weak-digest", "weak-cipher", "base64-line-breaks"},
    "ios": {"signer-subject"},
    "ios-legacy": {"signer-subject", "weak-digest", "weak-cipher", "nonce-length"},
    "jscep": {"indefinite-length", "constructed-string"},
    "juniper": {"weak-digest", "weak-cipher"},
    "macos": {"signer-subject"},
    "micromdm": {"signer-subject", "weak-digest", "weak-cipher", "constructed-string", "absent-parameters"},
    "sscep": set(),
    "strongswan": {"unsorted-attributes"},
    "windows": {"signer-subject", "signer-key", "signer-critical-aki"},
}
# strongSwan's serial number is a digest, and has an octet more where its first bit is set.
AT_TIMES = {"signer-serial-number"}
AGENTS = {
    "ios": r"profiled/.* CFNetwork/.*",
    "macos": r"mdmclient .*",
    "windows": r"Mozilla/4\.0 \(compatible; Win32; NDES client .*\)",
    "cisco": r"Mozilla/4\.0 \(compatible; MSIE 5\.0; Cisco PKI\)",
    "jscep": r"Java/.*",
    "micromdm": r"Go-http-client/1\.1",
}
# The first line of each request, the message cut out.
ASKED = {
    "certmonger": [
        "GET /scep?operation=GetCACaps&message=0 HTTP/1.1",
        "GET /scep?operation=GetCACert&message=0 HTTP/1.1",
        "GET /scep?operation=GetCACert&message=1 HTTP/1.1",
        "GET /scep?operation=PKIOperation&message=... HTTP/1.1",
    ],
    "cisco": [
        "GET /scep/old/pkiclient.exe?operation=GetCACert&message=SCEPBOX HTTP/1.0",
        "GET /scep/old/pkiclient.exe?operation=GetCACaps&message=SCEPBOX HTTP/1.0",
        "GET /scep/old/pkiclient.exe?operation=PKIOperation&message=... HTTP/1.0",
    ],
    "ios": [
        "GET /scep?operation=GetCACert HTTP/1.1",
        "GET /scep?operation=GetCACaps HTTP/1.1",
        "POST /scep?operation=PKIOperation HTTP/1.1",
    ],
    "ios-legacy": [
        "GET /scep?operation=GetCACert HTTP/1.1",
        "GET /scep?operation=GetCACaps HTTP/1.1",
        "GET /scep?operation=PKIOperation&message=... HTTP/1.1",
    ],
    "jscep": [
        "GET /scep?operation=GetCACaps&message= HTTP/1.1",
        "GET /scep?operation=GetCACert&message= HTTP/1.1",
        "POST /scep?operation=PKIOperation HTTP/1.1",
    ],
    "macos": [
        "GET /scep?operation=GetCACert&message= HTTP/1.1",
        "GET /scep?operation=GetCACaps&message= HTTP/1.1",
        "POST /scep?operation=PKIOperation HTTP/1.1",
    ],
    "sscep": [
        "GET /scep?operation=GetCACert&message=CAIdentifier HTTP/1.1",
        "GET /scep?operation=GetCACaps HTTP/1.1",
        "POST /scep?operation=PKIOperation HTTP/1.1",
    ],
    "windows": [
        "GET /scep/pkiclient.exe?operation=GetCACaps&message=default HTTP/1.1",
        "GET /scep/pkiclient.exe?operation=GetCACert&message=default HTTP/1.1",
        "POST /scep/pkiclient.exe?operation=PKIOperation HTTP/1.1",
    ],
}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with a challenge password for each profile."""
    folder = tmp_path_factory.mktemp("personas") / "data"
    did("init", "--data", folder)
    (folder / "scepbox.toml").write_text(SETTINGS)
    for profile in ("default", "old"):
        forever = ("--profile", profile, "--secret", "-", "--uses", "unlimited", "--valid", "forever")
        did("challenge", "new", "--data", folder, *forever, stdin=f"{SECRET}, {profile}\n")
    return folder


@pytest.fixture(scope="module")
def service(data: Path) -> Iterator[Service]:
    """It, served."""
    listen = ("--listen", "127.0.0.1:0", "--admin-listen", "off", "--workers", 1)
    with serving("--data", data, *listen, log=data.parent / "log") as running:
        yield running


def sent(session: Session) -> list[str]:
    """The first lines of the requests."""
    lines = [one.request.partition(b"\r\n")[0].decode() for one in session.exchanges]
    return [re.sub(r"(message=)[^& ]{40,}", r"\1...", line) for line in lines]


@pytest.mark.parametrize("name", PERSONAS)
def test_each_enrols_and_minds_nothing(service: Service, name: str) -> None:
    """What we serve is good to every client that is known; each shows in the log by its own ways."""
    persona, key = PERSONAS[name], rsa_key(100 + sorted(PERSONAS).index(name))
    profile = "old" if name in OLD else "default"
    url = service.url if profile == "default" else f"{service.url}/{profile}"
    subject = Name.from_text(f"CN={name},O=Example")

    assert look(persona, url).objections == ()
    told = enrol(persona, url, subject=subject, key=key, challenge=f"{SECRET}, {profile}", names=NAMES)

    assert (told.objections, told.outcome) == ((), "the certificate was issued, and this client takes it")
    assert told.certificate is not None
    issued = Certificate.load(told.certificate)
    assert (str(issued.subject), issued.subject_alt_names) == (str(subject), NAMES)
    assert sent(told) == ASKED.get(name, sent(told))
    (line,) = [one for one in service.log.splitlines() if f"subject=CN={name}," in one.replace('"', "")]
    noticed = re.search(r"deviations=(\S+)", line)
    assert set(noticed[1].split(",") if noticed else ()) - AT_TIMES == ODDITIES[name]
    agent = re.search(rb"User-Agent: (.*)\r\n", told.exchanges[-1].request)
    assert re.fullmatch(AGENTS[name], agent[1].decode()) if agent and name in AGENTS else name not in AGENTS
    if persona.renewal:
        again = renew(persona, url, Identity(issued, key), key=key, names=NAMES)
        assert (again.objections, again.certificate is not None) == ((), True), again.outcome


@pytest.mark.parametrize(
    ("name", "bare", "wrapped"),
    [
        ("ios", "+/", False),
        ("macos", "+/", False),
        ("jscep", "+/=", False),
        ("micromdm", "-_", False),
        ("certmonger", "", False),
        ("cisco", "", True),
        ("sscep", "/", True),
        ("strongswan", "/=", True),
    ],
)
def test_the_base64_of_a_get_is_each_ones_own(name: str, bare: str, wrapped: bool) -> None:
    """RFC 8894 4.1 says base64, and a server has to read what becomes of it on the way."""
    message = bytes(range(256)) * 9 + b"\xfb\xff\xfe\xff"

    query = message_query(PERSONAS[name].wire, message)

    read = parse_query(query)
    assert read.operation == "pkioperation"
    assert decode_message(read.message or "", Deviations()) == message
    text = dict(pair.partition("=")[::2] for pair in query.split("&"))["message"]
    assert set(text) & set("+/=-_") == set(bare)
    assert (query.startswith("message=")) == (name == "micromdm")
    lines = unquote_to_bytes(text).split(b"\n")
    assert (lines[-1] == b"") == wrapped
    assert {len(line) for line in lines[:-2]} == ({64} if wrapped else set())


def test_enroll_as_another_client(service: Service, data: Path, tmp_path: Path) -> None:
    """The files are those of any enrolment, and what the client stops at is told in a line."""
    first, second, secret = tmp_path / "1", tmp_path / "2", f"{SECRET}, default\n"
    asking = ("--challenge", "-", "--subject", "CN=mac-1")

    printed = did("enroll", service.url, "--as", "macos", *asking, "--out", first, stdin=secret)
    renewing = ("--renew", first / "cert.pem", "--key", first / "key.pem", "--rekey", "--out", second)
    did("enroll", service.url, "--as", "macos", *renewing)

    assert printed == f"{first / 'cert.pem'}\n"
    assert (first / "ca.pem").read_bytes() == (data / "ca" / "ca.pem").read_bytes()
    assert stat.S_IMODE((first / "key.pem").stat().st_mode) == 0o600
    old, new = (x509.load_pem_x509_certificate((one / "cert.pem").read_bytes()) for one in (first, second))
    assert old.subject.rfc4514_string() == new.subject.rfc4514_string() == "CN=mac-1"
    assert old.public_key() != new.public_key()


def test_what_stops_the_client_is_told_in_a_line(service: Service, tmp_path: Path) -> None:
    """Which finding, where, and in words; a key that may still get a certificate is kept."""

    def ask(url: str, name: str, secret: str) -> Done:
        asking = ("--as", name, "--subject", "CN=tablet-1", "--challenge", "-", "--max-polls", 0)
        return run("enroll", url, *asking, "--out", tmp_path / name, stdin=f"{secret}\n")

    refused = ask(service.url, "windows", "wrong")
    waiting = ask(f"{service.url}/desk", "ios", "none")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        closed = listener.getsockname()[1]
    nobody = ask(f"http://127.0.0.1:{closed}/scep", "sscep", "none")

    assert [one.code for one in (refused, waiting, nobody)] == [1, 1, 2]
    assert "Windows stops at CertRep.signedAttrs.pkiStatus: The server refused" in refused.err
    assert "challenge password not accepted (refused)" in refused.err
    assert "pending" in waiting.err
    assert f"--key {tmp_path / 'ios' / 'key.pem'}" in waiting.err
    assert "sscep stops at GetCACert: No connection" in nobody.err
    assert "(unreachable)" in nobody.err
    assert [(tmp_path / name / "key.pem").exists() for name in ("windows", "ios", "sscep")] == [
        False,
        True,
        False,
    ]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--get",), "the client chooses: leave out --digest, --cipher, --get and --strict"),
        (("--key-type", "ec:p256"), "iOS, iPadOS has RSA keys"),
    ],
)
def test_what_goes_with_no_client_is_said(arguments: tuple[str, ...], words: str, tmp_path: Path) -> None:
    """Nothing is sent, and nothing is written."""
    asking = ("--as", "ios", "--subject", "CN=x", "--challenge", "-", *arguments, "--out", tmp_path / "out")

    told = run("enroll", "http://127.0.0.1:9/scep", *asking, stdin="secret\n")

    assert told.code == 2
    assert words in told.err
    assert not (tmp_path / "out" / "key.pem").exists()
