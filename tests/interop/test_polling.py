"""Real clients that wait while a person decides, approved and rejected from the command line."""

import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from . import certmonger, devices, peers
from .certificates import check_issued
from .certmonger import Certmonger, Issuer
from .messages import FAIL_INFO, MESSAGE_TYPE, PKI_STATUS, SENDER_NONCE, TRANSACTION_ID
from .scripts import NODE_FORGE, RUBY, Script
from .server import Server, serving
from .wire import Operation, Wire

SETTINGS = '[profiles.default]\napproval = "manual"\nrenewal_days = 0\n'
PENDING, FAILURE, SUCCESS = "3", "2", "0"
POLL, AGAIN = "20", "19"

Record = Callable[[peers.Peer, Operation, str], None]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A service whose every certificate a person approves."""
    peers.require(peers.OPENSSL)
    with serving(tmp_path_factory.mktemp("approval"), SETTINGS) as server:
        yield server


@dataclass(frozen=True, slots=True)
class Asking:
    """A scepclient that runs, and where it keeps its key and its certificate."""

    wire: Wire
    home: Path
    process: subprocess.Popen[str]


@pytest.fixture(scope="module", autouse=True)
def asking(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Asking]]:
    """Two scepclients, one approved and one rejected; half a minute goes by until they ask again.

    They begin before all tests here, so that nobody has to wait for that.
    """
    if peers.missing(peers.SCEPCLIENT):
        yield []
        return
    names = ("lucky", "hapless")
    waiting = [_scepclient(Wire(server), tmp_path_factory.mktemp(name), name) for name in names]
    server.approve("lucky")
    server.reject("hapless")
    yield waiting
    for one in waiting:
        one.process.kill()
        one.process.communicate()
        one.wire.close()


@pytest.fixture
def wire(server: Server) -> Iterator[Wire]:
    """A wire to it."""
    wire = Wire(server)
    yield wire
    wire.close()


@pytest.fixture
def record(table: devices.Table) -> Record:
    """Record that a client polled, with the algorithm of its last poll."""

    def record(peer: peers.Peer, poll: Operation, result: str) -> None:
        table.record(peer, "poll", poll.algorithm, result)

    return record


def _check(operations: list[Operation], *, poll: str, end: str) -> Operation:
    """PENDING throughout and one end; one transaction, and a fresh nonce for each message that has one."""
    statuses = [one.reply.attributes[PKI_STATUS] for one in operations]
    types = [one.request.attributes[MESSAGE_TYPE] for one in operations]
    assert len(operations) >= 2
    assert statuses == [PENDING] * (len(operations) - 1) + [end]
    assert types == ["19", *[poll] * (len(operations) - 1)]
    assert len({one.request.attributes[TRANSACTION_ID] for one in operations}) == 1
    assert len({one.reply.attributes[SENDER_NONCE] for one in operations}) == len(operations)
    if end == FAILURE:
        assert operations[-1].reply.attributes[FAIL_INFO] == "2"
    return operations[-1]


def _strongswan(wire: Wire, home: Path, common_name: str) -> subprocess.Popen[bytes]:
    peers.require(peers.STRONGSWAN)
    key = home / "key.pem"
    with key.open("wb") as file:
        subprocess.run(
            ["pki", "--gen", "--type", "rsa", "--size", "2048", "--outform", "pem"], stdout=file, check=True
        )
    ca_file = str(wire.server.ca_file)
    command = ["pki", "--scep", "--url", wire.url, "--cacert-enc", ca_file, "--cacert-sig", ca_file]
    asking = ["--in", str(key), "--dn", f"O=Interop, CN={common_name}", "--password", wire.server.challenge]
    polling = ["--interval", "1", "--maxpolltime", "60", "--outform", "pem"]
    return subprocess.Popen([*command, *asking, *polling], stdout=subprocess.PIPE, stderr=subprocess.PIPE)


@pytest.mark.proves("R-2.4-h", "R-2.5-d")
def test_strongswan_polls_until_it_is_approved(wire: Wire, tmp_path: Path, record: Record) -> None:
    """RFC 8894 3.3.3: it sends CertPoll every second, and ends with the certificate."""
    client = _strongswan(wire, tmp_path, "swan")

    wire.server.approve("swan")

    out, err = client.communicate(timeout=60)
    assert client.returncode == 0, err.decode()
    (tmp_path / "certificate.pem").write_bytes(out)
    key = tmp_path / "key.pem"
    check_issued(wire, tmp_path / "certificate.pem", key, "swan", signer_key=key)
    record(peers.STRONGSWAN, _check(wire.operations(), poll=POLL, end=SUCCESS), "CertPoll: issued")


@pytest.mark.proves("R-2.5-d", "N-082")
def test_strongswan_polls_until_it_is_rejected(wire: Wire, tmp_path: Path, record: Record) -> None:
    """RFC 8894 3.3.2.2: it ends with the refusal at its next poll, and not at its own limit."""
    client = _strongswan(wire, tmp_path, "ugly")

    wire.server.reject("ugly")

    out, err = client.communicate(timeout=60)
    assert client.returncode == 1
    assert b"badRequest" in err, err.decode()
    assert not out
    last = _check(wire.operations(), poll=POLL, end=FAILURE)
    record(peers.STRONGSWAN, last, "CertPoll: rejected, shows badRequest")


def _scepclient(wire: Wire, home: Path, common_name: str) -> Asking:
    files = ["-private-key", str(home / "key.pem"), "-certificate", str(home / "certificate.pem")]
    asking = ["-challenge", wire.server.challenge, "-cn", common_name, "-organization", "Interop"]
    command = ["scepclient", "-server-url", wire.url, *files, *asking, "-debug"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    return Asking(wire, home, process)


@pytest.fixture
def daemon(wire: Wire, tmp_path: Path) -> Iterator[Certmonger]:
    """A certmonger of its own, with the CA at the end of the wire."""
    with certmonger.running(tmp_path, _issuer(wire)) as daemon:
        yield daemon


def _issuer(wire: Wire) -> Issuer:
    return Issuer("manual", wire.server, wire.url)


@pytest.mark.proves("L-15")
def test_certmonger_asks_again_until_it_is_approved(wire: Wire, daemon: Certmonger, record: Record) -> None:
    """It waits in CA_WORKING, shows the fingerprints that the operator sees, and sends PKCSReq again."""
    waiting = daemon.request("monger", _issuer(wire), wire.server.challenge)
    shown = wire.server.show("monger")
    wire.server.approve("monger")

    state = daemon.refresh("monger")

    assert (waiting, state) == ("CA_WORKING", "MONITORING")
    thumbprints = daemon.thumbprints("monger")
    assert len(thumbprints) == 2
    assert all(one in shown for one in thumbprints)
    key = daemon.key("monger")
    check_issued(wire, daemon.certificate("monger"), key, "monger", signer_key=key)
    record(peers.CERTMONGER, _check(wire.operations(), poll=AGAIN, end=SUCCESS), "PKCSReq again: issued")


def test_certmonger_asks_again_until_it_is_rejected(wire: Wire, daemon: Certmonger, record: Record) -> None:
    """A refusal that it could not read would be CA_UNREACHABLE."""
    waiting = daemon.request("fish", _issuer(wire), wire.server.challenge)
    wire.server.reject("fish")

    state = daemon.refresh("fish")

    assert (waiting, state) == ("CA_WORKING", "CA_REJECTED")
    last = _check(wire.operations(), poll=AGAIN, end=FAILURE)
    record(peers.CERTMONGER, last, "PKCSReq again: rejected, shows CA_REJECTED")


@pytest.fixture(params=[RUBY, NODE_FORGE], ids=["ruby", "forge"])
def script(request: pytest.FixtureRequest) -> Script:
    """Each of the two scripts."""
    script: Script = request.param
    peers.require(script.peer)
    return script


def _ask(script: Script, wire: Wire, name: str, **job: str) -> dict[str, Any]:
    defaults = {"cipher": "AES-128-CBC", "digest": "SHA-256", "method": "POST"}
    naming = {"common_name": name, "dns_name": f"{name}.example", "challenge": wire.server.challenge}
    return script.ask("enrol", wire.url, **defaults, **naming, **job)


def test_a_script_polls_until_it_is_approved(
    script: Script, wire: Wire, tmp_path: Path, record: Record
) -> None:
    """Its library reads the PENDING, and the certificate that a poll brings."""
    name = f"approved-{script.command[0]}"
    first = _ask(script, wire, name)
    waiting = _ask(script, wire, name, key=first["key"], poll="yes")
    wire.server.approve(name)

    answer = _ask(script, wire, name, key=first["key"], poll="yes")

    assert [one["pki_status"] for one in (first, waiting, answer)] == [PENDING, PENDING, SUCCESS]
    (tmp_path / "certificate.pem").write_text(*answer["certificates"])
    (tmp_path / "key.pem").write_text(first["key"])
    key = tmp_path / "key.pem"
    check_issued(wire, tmp_path / "certificate.pem", key, name, signer_key=key)
    record(script.peer, _check(wire.operations(), poll=POLL, end=SUCCESS), "CertPoll: issued")


def test_a_script_polls_until_it_is_rejected(script: Script, wire: Wire, record: Record) -> None:
    """A FAILURE after a PENDING is read as any other."""
    name = f"rejected-{script.command[0]}"
    first = _ask(script, wire, name)
    wire.server.reject(name)

    answer = _ask(script, wire, name, key=first["key"], poll="yes")

    assert (answer["pki_status"], answer["fail_info"]) == (FAILURE, "2")
    last = _check(wire.operations(), poll=POLL, end=FAILURE)
    record(script.peer, last, "CertPoll: rejected, reads badRequest")


def test_scepclient_asks_again_until_it_is_decided(asking: list[Asking], record: Record) -> None:
    """It polls by sending its PKCSReq again, every 30 seconds."""
    peers.require(peers.SCEPCLIENT)
    good, bad = asking

    told, refused = good.process.communicate(timeout=90)[0], bad.process.communicate(timeout=90)[0]

    assert (good.process.returncode, bad.process.returncode) == (0, 1), told + refused
    key = good.home / "key.pem"
    check_issued(good.wire, good.home / "certificate.pem", key, "lucky", signer_key=key)
    assert "failInfo: badRequest (2)" in refused
    assert not (bad.home / "certificate.pem").exists()
    issued = _check(good.wire.operations(), poll=AGAIN, end=SUCCESS)
    record(peers.SCEPCLIENT, issued, "PKCSReq again: issued")
    last = _check(bad.wire.operations(), poll=AGAIN, end=FAILURE)
    record(peers.SCEPCLIENT, last, "PKCSReq again: rejected, shows badRequest")
