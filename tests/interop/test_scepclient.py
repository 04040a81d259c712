"""micromdm's scepclient: enrols, renews, and says why not."""

import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from . import devices, peers
from .certificates import check_issued, check_lint
from .conftest import Connect
from .messages import FAIL_INFO, MESSAGE_TYPE
from .wire import Wire

WITHOUT_POST = "AES\nDES3\nSHA-1\nSHA-256\nRenewal\n"


@dataclass(frozen=True, slots=True)
class ScepClient:
    """A folder with a key, a certificate and the request that scepclient keeps beside them."""

    home: Path
    table: devices.Table

    @property
    def key(self) -> Path:
        """The file scepclient makes its key in."""
        return self.home / "key.pem"

    @property
    def certificate(self) -> Path:
        """The file scepclient stores its certificate in."""
        return self.home / "certificate.pem"

    def run(self, wire: Wire, challenge: str, *options: str) -> subprocess.CompletedProcess[str]:
        """Run scepclient once: it enrols, or renews where it finds a certificate of its own."""
        files = ("-private-key", str(self.key), "-certificate", str(self.certificate))
        asking = ("-challenge", challenge, "-cn", "micro", "-organization", "Interop")
        command = ["scepclient", "-server-url", wire.url, *files, *asking, *options, "-debug"]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    def enrol(self, wire: Wire) -> None:
        """Enrol, or renew, with the challenge of the service."""
        done = self.run(wire, wire.server.challenge)
        assert done.returncode == 0, done.stdout + done.stderr
        check_issued(wire, self.certificate, self.key, "micro", signer_key=self.key)

    def record(self, operation: str, algorithm: str, result: str) -> None:
        """Record a row for scepclient."""
        self.table.record(peers.SCEPCLIENT, operation, algorithm, result)


@pytest.fixture
def scepclient(tmp_path: Path, table: devices.Table) -> ScepClient:
    """Give scepclient an empty folder."""
    peers.require(peers.SCEPCLIENT)
    return ScepClient(tmp_path, table)


@pytest.mark.proves("L-02", "R-2.9-c")
def test_it_enrols_at_its_defaults(scepclient: ScepClient, wire: Wire) -> None:
    """It sends single DES and SHA-1 whatever it is offered; the answer may not be in DES."""
    scepclient.enrol(wire)

    (operation,) = wire.operations()
    assert (operation.request.cipher, operation.reply.cipher) == ("DES-CBC", "3DES-CBC")
    assert operation.reply.digest == operation.request.digest == "SHA-1"
    assert [each.operation for each in wire.exchanges()][:2] == ["GetCACert", "GetCACaps"]
    check_lint(wire.server, scepclient.certificate)
    scepclient.record("capabilities", "", "chose POST")
    scepclient.record("CA certificate", "", "encrypted to it")
    scepclient.record("enrol", operation.algorithm, "issued")


@pytest.mark.proves("L-01")
def test_it_enrols_by_get_where_post_is_not_offered(scepclient: ScepClient, connect: Connect) -> None:
    """RFC 8894 4.1 keeps GET; this client puts the message into it in the base64 of URLs."""
    wire = connect(capabilities=WITHOUT_POST)

    scepclient.enrol(wire)

    (operation,) = wire.operations()
    assert operation.method == "GET"
    scepclient.record("enrol", operation.algorithm, "issued")


def test_it_is_answered_in_des_at_the_legacy_level(scepclient: ScepClient, connect: Connect) -> None:
    """Old routers read no other cipher than the one they sent."""
    wire = connect("legacy")

    scepclient.enrol(wire)

    (operation,) = wire.operations()
    assert operation.reply.cipher == "DES-CBC"
    scepclient.record("enrol", operation.algorithm, "issued")


def test_it_renews_at_the_legacy_level(scepclient: ScepClient, connect: Connect) -> None:
    """It signs with the old certificate and sends its first CSR again, as RenewalReq."""
    wire = connect("legacy")
    scepclient.enrol(wire)
    old = scepclient.certificate.read_bytes()

    scepclient.enrol(wire)

    _, renewal = wire.operations()
    assert renewal.request.attributes[MESSAGE_TYPE] == "17"
    assert scepclient.certificate.read_bytes() != old
    scepclient.record("renew, same key", renewal.algorithm, "issued")


@pytest.mark.proves("S-12")
def test_its_renewal_is_refused_for_its_digest(scepclient: ScepClient, wire: Wire) -> None:
    """A signature alone authorises a renewal, so SHA-1 is not enough (RFC 8894 7.9)."""
    scepclient.enrol(wire)
    kept = scepclient.certificate.read_bytes()

    done = scepclient.run(wire, wire.server.challenge)

    _, renewal = wire.operations()
    assert done.returncode == 1
    assert renewal.request.attributes[MESSAGE_TYPE] == "17"
    assert "failInfo: badAlg (0)" in done.stdout + done.stderr
    assert scepclient.certificate.read_bytes() == kept
    scepclient.record("refused", renewal.algorithm, "renewal signed over SHA-1: shows badAlg")


def test_it_says_that_a_wrong_challenge_was_a_bad_request(scepclient: ScepClient, wire: Wire) -> None:
    """Its user must read a refusal, not an error of transport."""
    done = scepclient.run(wire, "wrong")

    (operation,) = wire.operations()
    assert done.returncode == 1
    assert "failInfo: badRequest (2)" in done.stdout + done.stderr
    assert not scepclient.certificate.exists()
    scepclient.record("refused", operation.algorithm, "wrong challenge: shows badRequest")


def test_it_says_that_des_is_a_bad_algorithm_at_the_modern_level(
    scepclient: ScepClient, connect: Connect
) -> None:
    """An administrator who ends DES wants its last users to be told so (RFC 8894 3.2.1.4)."""
    wire = connect("modern")

    done = scepclient.run(wire, wire.server.challenge)

    (operation,) = wire.operations()
    assert done.returncode == 1
    assert operation.reply.attributes[FAIL_INFO] == "0"
    assert "failInfo: badAlg (0)" in done.stdout + done.stderr
    scepclient.record("refused", operation.algorithm, "level modern: shows badAlg")


@pytest.mark.proves("R-2.4-b")
def test_one_challenge_serves_one_device(tmp_path: Path, table: devices.Table, wire: Wire) -> None:
    """RFC 8894 2.4 recommends that a challenge password works once."""
    peers.require(peers.SCEPCLIENT)
    (tmp_path / "first").mkdir()
    (tmp_path / "second").mkdir()
    challenge = wire.server.new_challenge()

    first = ScepClient(tmp_path / "first", table).run(wire, challenge)
    second = ScepClient(tmp_path / "second", table).run(wire, challenge)

    assert (first.returncode, second.returncode) == (0, 1), first.stderr + second.stderr
