"""strongSwan's pki --scepca and pki --scep: every cipher, digest and padding they have."""

import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from . import devices, peers
from .certificates import check_issued, check_lint, dns_names
from .conftest import Connect
from .messages import FAIL_INFO, MESSAGE_TYPE, SENDER_NONCE
from .wire import Wire


@dataclass(frozen=True, slots=True)
class StrongSwan:
    """A folder with keys and certificates, and pki to fill it."""

    home: Path
    table: devices.Table

    def new_key(self, name: str = "key.pem") -> Path:
        """Make an RSA key as its manual does."""
        generate = ["pki", "--gen", "--type", "rsa", "--size", "2048", "--outform", "pem"]
        key = self.home / name
        key.write_bytes(subprocess.run(generate, capture_output=True, check=True).stdout)
        return key

    def ca_certificate(self, wire: Wire) -> bytes:
        """Fetch the CA certificate."""
        file = self.home / "ca.pem"
        fetch = ["pki", "--scepca", "--url", wire.url, "--caout", str(file), "--outform", "pem"]
        subprocess.run(fetch, capture_output=True, check=True)
        return file.read_bytes()

    def chain(self, ca_file: str) -> list[str]:
        """Put each certificate of a file into one of its own, because pki reads one a file."""
        files = []
        for place, one in enumerate(x509.load_pem_x509_certificates(Path(ca_file).read_bytes())):
            file = self.home / f"above-{place}.pem"
            file.write_bytes(one.public_bytes(Encoding.PEM))
            files.append(str(file))
        return files

    def scep(
        self, wire: Wire, key: Path, *options: str, common_name: str = "strong"
    ) -> subprocess.CompletedProcess[bytes]:
        """Run pki --scep, which prints the certificate."""
        message_file, ca_file = str(wire.server.message_file), str(wire.server.ca_file)
        trust = ["--cacert-enc", message_file, "--cacert-sig", message_file]
        if message_file != ca_file:
            trust += [part for above in self.chain(ca_file) for part in ("--cacert", above)]
        asking = ("--in", str(key), "--dn", f"O=Interop, CN={common_name}", "--outform", "pem")
        command = ["pki", "--scep", "--url", wire.url, *trust, *asking, *options]
        return subprocess.run(command, capture_output=True, check=False)

    def enrol(self, wire: Wire, key: Path, *options: str, common_name: str = "strong") -> Path:
        """Enrol with the challenge of the service, and store the certificate that pki prints."""
        password = ("--password", wire.server.challenge)
        done = self.scep(wire, key, *password, *options, common_name=common_name)
        assert done.returncode == 0, done.stderr.decode()
        certificate = self.home / "certificate.pem"
        certificate.write_bytes(done.stdout)
        check_issued(wire, certificate, key, common_name, signer_key=key)
        return certificate

    def record(self, operation: str, algorithm: str, result: str) -> None:
        """Record a row for strongSwan."""
        self.table.record(peers.STRONGSWAN, operation, algorithm, result)


@pytest.fixture
def strongswan(tmp_path: Path, table: devices.Table) -> StrongSwan:
    """Give strongSwan an empty folder."""
    peers.require(peers.STRONGSWAN)
    return StrongSwan(tmp_path, table)


@pytest.fixture
def key(strongswan: StrongSwan) -> Path:
    """Make a key for this test alone, since the transaction ID of strongSwan comes from the key."""
    return strongswan.new_key()


def test_it_fetches_the_ca_certificate(strongswan: StrongSwan, wire: Wire) -> None:
    """RFC 8894 4.2: what arrives is the certificate that the service shows elsewhere."""
    fetched = x509.load_pem_x509_certificate(strongswan.ca_certificate(wire))

    assert fetched == x509.load_pem_x509_certificate(wire.server.ca_file.read_bytes())
    strongswan.record("CA certificate", "", "stored")


def test_it_enrols_at_its_defaults(strongswan: StrongSwan, wire: Wire, key: Path) -> None:
    """It refuses to go on unless the capabilities allow AES and SHA-256; its names are kept."""
    names = ("--san", "strong.example", "--san", "other.example")

    file = strongswan.enrol(wire, key, *names)

    (operation,) = wire.operations()
    assert operation.algorithm == "AES-128-CBC, SHA-256, POST"
    certificate = x509.load_pem_x509_certificate(file.read_bytes())
    assert dns_names(certificate) == ["strong.example", "other.example"]
    check_lint(wire.server, file)
    strongswan.record("capabilities", "", "allow AES, SHA-256 and POST")
    strongswan.record("enrol", operation.algorithm, "issued")


@pytest.mark.parametrize("padding", ["pkcs1", "pss"])
@pytest.mark.parametrize("digest", ["sha1", "sha224", "sha256", "sha384", "sha512"])
@pytest.mark.parametrize("cipher", ["aes", "des3"])
def test_it_enrols_with_every_algorithm_it_has(
    strongswan: StrongSwan, wire: Wire, key: Path, cipher: str, digest: str, padding: str
) -> None:
    """The answer keeps to the cipher and digest of the request, which the client surely reads.

    There is no GET here: this version reads AES as a permission to POST.
    """
    options = ("--cipher", cipher, "--digest", digest, "--rsa-padding", padding)

    strongswan.enrol(wire, key, *options, common_name=f"{cipher}-{digest}-{padding}")

    (operation,) = wire.operations()
    assert operation.reply.cipher == operation.request.cipher
    assert operation.reply.digest == operation.request.digest
    assert (operation.request.signature == "rsassaPss") == (padding == "pss")
    strongswan.record("enrol", operation.algorithm, "issued")


def test_it_enrols_though_it_asks_for_a_profile_by_name(
    strongswan: StrongSwan, wire: Wire, key: Path
) -> None:
    """It asks in an extension of Microsoft's, and a service may ignore what it does not know."""
    strongswan.enrol(wire, key, "--profile", "pc-client", common_name="profile")


@pytest.mark.proves("R-5.2-a")
def test_it_gets_its_certificate_again_when_the_reply_was_lost(
    strongswan: StrongSwan, wire: Wire, key: Path
) -> None:
    """It sends the same CSR in a new message, and the challenge is spent already (RFC 8894 7.4)."""
    password = ("--password", wire.server.new_challenge())

    first = strongswan.scep(wire, key, *password)
    second = strongswan.scep(wire, key, *password)

    assert (first.returncode, second.returncode) == (0, 0), second.stderr.decode()
    assert first.stdout == second.stdout
    one, other = wire.operations()
    assert one.request.attributes[SENDER_NONCE] != other.request.attributes[SENDER_NONCE]


@pytest.mark.proves("R-2.4-d")
@pytest.mark.parametrize("renewed", ["same key", "new key"])
def test_it_renews_without_a_challenge(strongswan: StrongSwan, wire: Wire, key: Path, renewed: str) -> None:
    """The old certificate and its key authorise the next one (RFC 8894 2.3)."""
    old = strongswan.enrol(wire, key).rename(strongswan.home / "old.pem")
    next_key = key if renewed == "same key" else strongswan.new_key("next.pem")

    done = strongswan.scep(wire, next_key, "--cert", str(old), "--key", str(key))

    assert done.returncode == 0, done.stderr.decode()
    certificate = strongswan.home / "renewed.pem"
    certificate.write_bytes(done.stdout)
    assert certificate.read_bytes() != old.read_bytes()
    check_issued(wire, certificate, next_key, "strong", signer_key=key)
    renewal = wire.operations()[-1]
    assert renewal.request.attributes[MESSAGE_TYPE] == "17"
    strongswan.record(f"renew, {renewed}", renewal.algorithm, "issued")


def test_it_says_that_a_wrong_challenge_was_a_bad_request(
    strongswan: StrongSwan, wire: Wire, key: Path
) -> None:
    """Its user must read the reason of the server, not that a reply could not be parsed."""
    done = strongswan.scep(wire, key, "--password", "wrong", common_name="refused")

    (operation,) = wire.operations()
    assert done.returncode == 1
    assert operation.reply.attributes[FAIL_INFO] == "2"
    assert b"badRequest" in done.stderr, done.stderr.decode()
    assert not done.stdout
    strongswan.record("refused", operation.algorithm, "wrong challenge: shows badRequest")


@pytest.mark.parametrize("option", [("--cipher", "des3"), ("--digest", "sha1"), ("--digest", "sha224")])
def test_it_says_that_an_algorithm_is_bad_at_the_modern_level(
    strongswan: StrongSwan, connect: Connect, key: Path, option: tuple[str, str]
) -> None:
    """It asks although no capability allows it, and the answer says why not (RFC 8894 3.2.1.4)."""
    wire = connect("modern")

    done = strongswan.scep(wire, key, "--password", wire.server.challenge, *option)

    (operation,) = wire.operations()
    assert done.returncode == 1
    assert operation.reply.attributes[FAIL_INFO] == "0"
    assert b"badAlg" in done.stderr, done.stderr.decode()
    strongswan.record("refused", operation.algorithm, "level modern: shows badAlg")
