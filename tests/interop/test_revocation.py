"""Revocation as relying parties see it: openssl and strongSwan ask, by the addresses in the certificate."""

import base64
import re
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import quote
from urllib.request import Request, urlopen

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key
from cryptography.x509 import ocsp

from ca.deviations import Deviations
from ca.scep import codec
from ca.scep.messages import Failure, IssuerAndSerialNumber, MessageType, Success, Transaction
from ca.x509.certificate import Certificate
from tests.command_line import Service, did, serving
from tests.world import NONCE, Device

from . import peers
from .certificates import lint
from .messages import openssl


class Party:
    """A service of two processes with a certificate of it, and those who ask about that."""

    def __init__(self, folder: Path, service: Service) -> None:
        self.data, self.service = folder / "data", service
        self.ca, self.certificate = self.data / "ca" / "ca.pem", folder / "device" / "cert.pem"
        secret = did("challenge", "new", "--data", self.data)
        options = ("--subject", "CN=ipad-17", "--challenge", "-", "--out", self.certificate.parent)
        did("enroll", service.url, *options, stdin=secret)
        parsed = x509.load_pem_x509_certificate(self.certificate.read_bytes())
        self.serial = f"{parsed.serial_number:x}"

    def revoke(self, reason: str = "keyCompromise") -> None:
        did("cert", "revoke", self.serial, "--reason", reason, "--data", self.data)

    def ocsp(self, *options: str) -> str:
        """What ``openssl ocsp`` says of the certificate."""
        about = ("-issuer", str(self.ca), "-CAfile", str(self.ca), *options, "-cert", str(self.certificate))
        done = subprocess.run(
            ["openssl", "ocsp", "-url", self.url("/ocsp"), *about],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert "Response verify OK" in done.stderr
        assert "WARNING" not in done.stderr or "-no_nonce" in options
        (status,) = re.findall(rf"{re.escape(str(self.certificate))}: (\w+)", done.stdout)
        return str(status)

    def url(self, path: str) -> str:
        return self.service.url.removesuffix("/scep") + path

    def crl(self) -> set[str]:
        return {f"{one.serial_number:x}" for one in x509.load_der_x509_crl(self.service.get("/crl")[1])}

    def get_cert(self) -> Success | Failure:
        """What a GetCert gets, signed by the certificate itself as sscep does."""
        ca = Certificate.load(self.service.get("/ca.cer")[1])
        key = load_pem_private_key((self.certificate.parent / "key.pem").read_bytes(), None)
        der = x509.load_pem_x509_certificate(self.certificate.read_bytes())
        device = Device(key=key, signer=Certificate.load(_der(der)), signing_time=None)  # type: ignore[arg-type]
        named = IssuerAndSerialNumber(ca.subject, int(self.serial, 16))
        payload = codec.encode_issuer_and_serial_number(ca.subject_der, named.serial_number)
        message = device.message(ca, payload, message_type=MessageType.GET_CERT)
        with urlopen(Request(f"{self.service.url}?operation=PKIOperation", message), timeout=10) as answer:
            reply = answer.read()
        expected = codec.Expectation(Transaction("t1", NONCE), (ca,), named=named)
        outcome = codec.decode_cert_rep(reply, expected, device.certificate(), device.key, Deviations())
        assert isinstance(outcome, Success | Failure)
        return outcome


def _der(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(Encoding.DER)


@pytest.fixture
def party(tmp_path: Path) -> Iterator[Party]:
    """Certificates that name the very address of the server."""
    peers.require(peers.OPENSSL)
    did("init", "--data", tmp_path / "data")
    address = _free_address()
    known = ("--listen", address, "--base-url", f"http://{address}", "--workers", "2")
    with serving("--data", tmp_path / "data", *known, log=tmp_path / "log") as service:
        yield Party(tmp_path, service)
    assert "Traceback" not in (tmp_path / "log").read_text()


def _free_address() -> str:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{one.getsockname()[1]}"


@pytest.mark.parametrize("options", [("-no_nonce",), ("-nonce",), ("-sha256",)], ids=" ".join)
def test_openssl_ocsp_learns_of_a_revocation(party: Party, options: tuple[str, ...]) -> None:
    """RFC 6960 by POST, with a nonce and without, the issuer named by SHA-1 and by SHA-256."""
    assert party.ocsp(*options) == "good"
    party.revoke()
    time.sleep(0.6)

    assert {party.ocsp(*options) for _ in range(4)} == {"revoked"}


def test_ocsp_by_get_answers_openssls_request(party: Party, tmp_path: Path) -> None:
    """RFC 6960 A.1: the request of openssl in the path, escaped and not."""
    request = tmp_path / "request.der"
    about = ("-issuer", str(party.ca), "-cert", str(party.certificate), "-no_nonce")
    openssl("ocsp", *about, "-reqout", str(request))
    text = base64.b64encode(request.read_bytes()).decode()

    for path in (quote(text, safe=""), text.replace("=", "%3D"), text):
        kind, answer = party.service.get(f"/ocsp/{path}")
        assert kind == "application/ocsp-response"
        assert ocsp.load_der_ocsp_response(answer).certificate_status is ocsp.OCSPCertStatus.GOOD


def test_crl_ocsp_and_get_cert_agree_within_a_second(party: Party) -> None:
    """With two processes that all were asked before: none of them may go on with what it knew."""

    def said() -> tuple[bool, str, bool]:
        return party.serial in party.crl(), party.ocsp("-no_nonce"), isinstance(party.get_cert(), Failure)

    assert {said() for _ in range(6)} == {(False, "good", False)}
    party.revoke()
    revoked = time.monotonic()
    time.sleep(0.6)

    found = {said()}
    assert time.monotonic() - revoked < 1.5, "too slow a machine to tell"
    found |= {said() for _ in range(6)}
    assert found == {(True, "revoked", True)}


@pytest.mark.proves("R-2.7-a")
def test_openssl_verify_refuses_by_the_address_in_the_certificate(party: Party, tmp_path: Path) -> None:
    """RFC 5280 6.3: ``-crl_check -crl_download`` fetches what cRLDistributionPoints names."""
    verify = ("verify", "-crl_check", "-crl_download", "-CAfile", str(party.ca), str(party.certificate))
    openssl(*verify)
    party.revoke("cessationOfOperation")

    def refused() -> bool:
        done = subprocess.run(["openssl", *verify], capture_output=True, text=True, check=False)
        return done.returncode != 0 and "certificate revoked" in done.stderr

    assert _soon(refused)
    openssl("crl", "-inform", "DER", "-CAfile", str(party.ca), "-noout", stdin=party.service.get("/crl")[1])


def _soon(condition: Callable[[], bool]) -> bool:
    """Whether it holds within a second, in which one process may know what another does not yet."""
    end = time.monotonic() + 1
    while not (holds := condition()) and time.monotonic() < end:
        time.sleep(0.05)
    return holds


def test_the_certificate_passes_the_linter(party: Party) -> None:
    """RFC 5280 4.2.1.13 and 4.2.2.1 as pkilint reads them."""
    lint(party.certificate)


def test_strongswan_checks_online(party: Party) -> None:
    """``pki --verify --online``: by OCSP, at the address in the certificate."""
    peers.require(peers.STRONGSWAN)

    def verdict() -> str:
        command = ["pki", "--verify", "--in", str(party.certificate), "--cacert", str(party.ca), "--online"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        return done.stdout + done.stderr

    before = verdict()
    party.revoke()
    time.sleep(0.6)
    after = verdict()

    assert "ocsp response correctly signed" in before
    assert "certificate status is good" in before
    assert "certificate was revoked" in after
    assert "reason: key compromise" in after


def test_strongswan_checks_by_a_crl(party: Party, tmp_path: Path) -> None:
    """``pki --verify --crl``."""
    peers.require(peers.STRONGSWAN)
    party.revoke("superseded")
    assert _soon(lambda: party.serial in party.crl())
    (tmp_path / "crl.der").write_bytes(party.service.get("/crl")[1])

    offline = ("--in", str(party.certificate), "--cacert", str(party.ca), "--crl", str(tmp_path / "crl.der"))
    done = subprocess.run(["pki", "--verify", *offline], capture_output=True, text=True, check=False)

    assert "certificate was revoked" in done.stdout + done.stderr
    assert done.returncode != 0
