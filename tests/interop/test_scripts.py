"""Clients written here on two independent libraries: Ruby's OpenSSL::PKCS7 and node-forge."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509

from . import devices, peers
from .certificates import check_issued, check_lint, dns_names
from .conftest import Connect
from .scripts import NODE_FORGE, RUBY, Script
from .wire import Wire

CIPHERS = ("3DES-CBC", "AES-128-CBC", "AES-192-CBC", "AES-256-CBC")
DIGESTS = ("SHA-1", "SHA-256", "SHA-384", "SHA-512")


@dataclass(frozen=True, slots=True)
class Client:
    """A script with a folder for what it gets."""

    script: Script
    home: Path
    table: devices.Table

    def enrol(self, wire: Wire, name: str = "script", **job: str | None) -> dict[str, Any]:
        """Enrol, or renew where *job* has a signer, and check and store what was issued."""
        answer = self.ask(wire, name, **job)
        assert answer["pki_status"] == "0", answer
        (certificate,) = answer["certificates"]
        (self.home / "certificate.pem").write_text(certificate)
        (self.home / "key.pem").write_text(answer["key"])
        (self.home / "signer.pem").write_text(job.get("signer_key") or answer["key"])
        files = (self.home / "certificate.pem", self.home / "key.pem")
        check_issued(wire, *files, name, signer_key=self.home / "signer.pem")
        return answer

    def ask(self, wire: Wire, name: str, **job: str | None) -> dict[str, Any]:
        """Enrol with what clients send by default but for *job*, and return what was read."""
        defaults = {
            "common_name": name,
            "dns_name": f"{name}.example",
            "challenge": wire.server.challenge,
            "cipher": "AES-128-CBC",
            "digest": "SHA-256",
            "method": "POST",
        }
        return self.script.ask("enrol", wire.url, **{**defaults, **job})

    def record(self, operation: str, algorithm: str, result: str) -> None:
        """Record a row for the library."""
        self.table.record(self.script.peer, operation, algorithm, result)


@pytest.fixture(params=[RUBY, NODE_FORGE], ids=["ruby", "forge"])
def client(request: pytest.FixtureRequest, tmp_path: Path, table: devices.Table) -> Client:
    """Each of the two scripts."""
    script: Script = request.param
    peers.require(script.peer)
    return Client(script, tmp_path, table)


@pytest.mark.proves("R-3.5.2-a", "R-4.2.1-a")
def test_it_gets_capabilities_and_ca_certificate(client: Client, wire: Wire) -> None:
    """RFC 8894 3.5.1: one capability a line; 4.2.1.1: the CA certificate alone, in DER."""
    capabilities = client.script.ask("capabilities", wire.url)["capabilities"]
    ca_certificate = client.script.ask("ca", wire.url)["certificate"]

    assert {"AES", "POSTPKIOperation", "Renewal", "SCEPStandard", "SHA-256"} <= set(capabilities)
    ours = x509.load_pem_x509_certificate(wire.server.ca_file.read_bytes())
    assert x509.load_pem_x509_certificate(ca_certificate.encode()) == ours
    client.record("capabilities", "", "listed")
    client.record("CA certificate", "", "read")


@pytest.mark.proves("R-2.9-a", "R-3-a")
@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("digest", DIGESTS)
@pytest.mark.parametrize("cipher", CIPHERS)
def test_it_enrols_with_every_algorithm_it_has(
    client: Client, wire: Wire, cipher: str, digest: str, method: str
) -> None:
    """What its library writes is read, and what it gets back its library reads."""
    name = f"{cipher}-{digest}-{method}"

    client.enrol(wire, name, cipher=cipher, digest=digest, method=method)

    (operation,) = wire.operations()
    assert operation.algorithm == f"{cipher}, {digest}, {method}"
    client.record("enrol", operation.algorithm, "issued")


def test_its_certificate_passes_the_linter_with_its_names(client: Client, wire: Wire) -> None:
    """RFC 5280 holds however the request was written, with an underscore in PrintableString too."""
    client.enrol(wire, "under_score", dns_name="script.example")

    file = client.home / "certificate.pem"
    assert dns_names(x509.load_pem_x509_certificate(file.read_bytes())) == ["script.example"]
    check_lint(wire.server, file)


@pytest.mark.parametrize("renewed", ["same key", "new key"])
def test_it_renews_without_a_challenge(client: Client, wire: Wire, renewed: str) -> None:
    """The old certificate and its key authorise the next one (RFC 8894 2.3)."""
    old = client.enrol(wire)
    key = old["key"] if renewed == "same key" else None
    signer = {"signer_certificate": old["certificates"][0], "signer_key": old["key"]}

    new = client.enrol(wire, challenge=None, key=key, **signer)

    assert new["certificates"] != old["certificates"]
    assert (new["key"] == old["key"]) == (renewed == "same key")
    client.record(f"renew, {renewed}", wire.operations()[-1].algorithm, "issued")


def test_it_reads_the_refusal_of_a_wrong_challenge(client: Client, wire: Wire) -> None:
    """A FAILURE is signed as a success is, so its library must be able to verify it."""
    answer = client.ask(wire, "refused", challenge="wrong")

    assert (answer["pki_status"], answer["fail_info"]) == ("2", "2")
    client.record("refused", wire.operations()[-1].algorithm, "wrong challenge: reads badRequest")


def test_it_enrols_with_md5_at_the_legacy_level(client: Client, connect: Connect) -> None:
    """Old routers know nothing better, and the answer must not be better either."""
    wire = connect("legacy")

    client.enrol(wire, "md5", digest="MD5", cipher="3DES-CBC", method="GET")

    (operation,) = wire.operations()
    assert operation.algorithm == "3DES-CBC, MD5, GET"
    client.record("enrol", operation.algorithm, "issued")


@pytest.mark.parametrize(
    ("level", "cipher", "digest"),
    [
        ("compatible", "AES-128-CBC", "MD5"),
        ("modern", "AES-128-CBC", "SHA-1"),
        ("modern", "3DES-CBC", "SHA-256"),
    ],
)
def test_it_reads_the_refusal_of_an_algorithm(
    client: Client, connect: Connect, level: str, cipher: str, digest: str
) -> None:
    """A badAlg comes in a message that a client can still read (RFC 8894 3.2.1.4)."""
    wire = connect(level)

    answer = client.ask(wire, "refused", cipher=cipher, digest=digest)

    assert (answer["pki_status"], answer["fail_info"]) == ("2", "0")
    (operation,) = wire.operations()
    client.record("refused", operation.algorithm, f"level {level}: reads badAlg")
