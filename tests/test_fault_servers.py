"""The servers that are wrong on purpose: without a fault nobody minds, with one ``inspect`` names it.

What they prove of ``doctor`` is in test_faults.py.
"""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography import x509

from app.diagnosis.knowledge import knowledge
from ca.asn1 import writer
from ca.scep import oids
from ca.x509.certificate import Certificate
from tests.asking_faults import Asking
from tests.command_line import run
from tests.faults.catalogue import FAULTS, GROUPS
from tests.faults.conduct import FAULTLESS, Conduct, Fault
from tests.faults.server import Running, running
from tests.forging import Forgery
from tests.interop import peers
from tests.world import ROOT, der

KNOWN = knowledge()
SHOWN = [fault for fault in FAULTS.values() if fault.shows]


@pytest.fixture(scope="module")
def faultless() -> Iterator[Running]:
    """A server without a fault."""
    with running() as server:
        yield server


def subject(file: Path) -> str:
    return x509.load_pem_x509_certificate(file.read_bytes()).subject.rfc4514_string()


def test_our_own_client_enrols_and_renews_without_a_warning(faultless: Running, tmp_path: Path) -> None:
    """It checks all that RFC 8894 tells a client to check, and says what else is odd."""
    new, renewed = tmp_path / "new", tmp_path / "renewed"
    key = ("--key", new / "key.pem", "--out", renewed)

    first = run(
        "enroll", faultless.url, "--subject", "CN=ipad-17", "--san", "dns:ipad.example", "--challenge", "-",
        "--strict", "--out", new, stdin=faultless.challenge,
    )  # fmt: skip
    second = run("enroll", faultless.url, "--renew", new / "cert.pem", *key)

    assert (first.code, second.code) == (0, 0), first.err + second.err
    assert "warning" not in first.err + second.err
    assert subject(new / "cert.pem") == subject(renewed / "cert.pem") == "CN=ipad-17"
    assert (new / "cert.pem").read_bytes() != (renewed / "cert.pem").read_bytes()


@pytest.mark.parametrize("capability", ["POSTPKIOperation", "none"])
def test_scepclient_enrols_by_post_and_by_get(tmp_path: Path, capability: str) -> None:
    """Its envelopes are of a form that asn1crypto does not read by itself."""
    peers.require(peers.SCEPCLIENT)
    lines = "\n".join(["AES", "SHA-256", capability]).encode()

    with running(Conduct(capabilities=lines)) as server:
        options = ["-server-url", server.url, "-challenge", server.challenge, "-cn", "scepclient"]
        files = ["-private-key", "key.pem", "-certificate", "cert.pem"]
        done = subprocess.run(
            ["scepclient", *options, *files], cwd=tmp_path, capture_output=True, text=True, check=False
        )

    assert done.returncode == 0, done.stdout + done.stderr
    assert subject(tmp_path / "cert.pem").startswith("CN=scepclient")


def test_strongswan_enrols(faultless: Running, tmp_path: Path) -> None:
    """It sends no header at all, and CSRs that strict libraries refuse."""
    peers.require(peers.STRONGSWAN)
    ca, key = tmp_path / "ca.der", tmp_path / "key.pem"
    ca.write_bytes(faultless.ca)
    made = subprocess.run(
        ["pki", "--gen", "--type", "rsa", "--outform", "pem"], capture_output=True, check=True
    )
    key.write_bytes(made.stdout)
    trust = ("--cacert-enc", ca, "--cacert-sig", ca)
    asking = ("--in", key, "--dn", "CN=strong", "--password", faultless.challenge, "--outform", "pem")

    done = subprocess.run(
        ["pki", "--scep", "--url", faultless.url, *trust, *asking], capture_output=True, check=False
    )

    assert done.returncode == 0, done.stderr.decode()
    assert x509.load_pem_x509_certificate(done.stdout).subject.rfc4514_string() == "CN=strong"


def test_inspect_finds_nothing_in_the_answers_of_the_faultless_one(faultless: Running) -> None:
    """Two implementations that know nothing of each other agree on what is right."""
    asking = Asking(faultless)

    assert [asking.found(asking.answer(what)) for what in ("GetCACaps", "GetCACert", "SUCCESS")] == [[]] * 3
    assert asking.found(asking.answer("FAILURE")) == ["refused"]


@pytest.mark.parametrize("fault", SHOWN, ids=lambda fault: fault.name)
def test_inspect_names_what_is_wrong_with_the_bytes_and_nothing_beside(fault: Fault) -> None:
    """Whoever is told three things looks at the wrong one first."""
    with running(fault.conduct) as server:
        asking = Asking(server)
        found = asking.found(asking.answer(fault.shows))

    expected = fault.beside | ({"refused"} if fault.shows == "FAILURE" else set())
    assert found[0] == fault.finding, found
    assert set(found[1:]) <= expected


@pytest.mark.parametrize("fault", FAULTS.values(), ids=lambda fault: fault.name)
def test_a_fault_is_one_that_is_known_and_hurts_whom_it_is_said_to(fault: Fault) -> None:
    """The list was written from the sources, not from the knowledge, so that one corrects the other."""
    assert set(fault.clients) <= set(KNOWN.findings[fault.finding].clients)
    assert fault.beside <= KNOWN.findings.keys()
    assert fault.conduct != FAULTLESS


def test_no_two_faults_have_one_name() -> None:
    """One of them would be tried nowhere."""
    assert len(FAULTS) == sum(len(group) for group in GROUPS)


def test_it_runs_by_itself_and_a_message_type_ends_it(tmp_path: Path) -> None:
    """A person may try a client of his own against a fault; this one takes the whole process with it."""
    command = [sys.executable, "-m", "tests.faults.server", "--fault", "message-type-kills"]
    process = subprocess.Popen(
        [*command, "--folder", str(tmp_path)], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        url = process.stdout.readline().removeprefix("ready: ").strip()
        certificate = x509.load_pem_x509_certificate((tmp_path / "ca.pem").read_bytes())
        asking = Asking(Running(url, "", der(certificate)))
        unknown = Forgery(asking.device, Certificate.load(der(certificate)))
        unknown.put(oids.MESSAGE_TYPE, writer.printable_string("99"))

        assert asking.answer("FAILURE").status == 200
        assert asking.send(unknown.message()) is None
        assert process.wait(timeout=60) == 0
    finally:
        process.kill()
        process.communicate()
