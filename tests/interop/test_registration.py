"""A registration authority before CAs of several kinds, and what each client needs to be told of it."""

import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import TypeAlias

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from . import certmonger, devices, peers
from .certificates import check_issued, check_lint, lint
from .certmonger import Issuer
from .messages import openssl
from .scripts import NODE_FORGE
from .server import Server, run, serving
from .test_scepclient import ScepClient
from .test_strongswan import StrongSwan
from .wire import Wire

Key: TypeAlias = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey
SETTINGS = "[profiles.default]\nrenewal_days = 0\n"
KINDS = ("RSA CA", "EC CA", "three levels")


def _certificate(
    subject: str, key: Key, issuer: str, issuer_key: Key, issuer_public: Key, path_length: int | None
) -> bytes:
    now = datetime.now(UTC) - timedelta(days=1)
    names = [x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)]) for text in (subject, issuer)]
    usage = x509.KeyUsage(False, False, False, False, False, True, True, False, False)
    identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    issuer_identifier = x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_public.public_key())
    builder = (
        x509.CertificateBuilder()
        .subject_name(names[0])
        .issuer_name(names[1])
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now)
        .not_valid_after(now + timedelta(days=3650))
        .add_extension(x509.BasicConstraints(ca=True, path_length=path_length), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(identifier, critical=False)
        .add_extension(issuer_identifier, critical=False)
    )
    return builder.sign(issuer_key, hashes.SHA256()).public_bytes(Encoding.PEM)


def _three_levels(home: Path) -> list[str]:
    """An EC CA below an EC CA below an RSA root, as a company hands them out."""
    root, policy, issuing = (
        rsa.generate_private_key(65537, 3072),
        ec.generate_private_key(ec.SECP384R1()),
        ec.generate_private_key(ec.SECP256R1()),
    )
    files = {
        "import-cert": _certificate("Issuing CA", issuing, "Policy CA", policy, policy, 0),
        "import-key": issuing.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
        "import-chain": _certificate("Policy CA", policy, "Root CA", root, root, 1)
        + _certificate("Root CA", root, "Root CA", root, root, None),
    }
    for name, content in files.items():
        (home / name).write_bytes(content)
    return [part for name in files for part in (f"--{name}", str(home / name))]


@pytest.fixture(scope="module")
def registrations(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Server]]:
    """One service for each kind of CA behind an RA."""
    peers.require(peers.OPENSSL)
    with ExitStack() as running:

        @cache
        def start(kind: str) -> Server:
            home = tmp_path_factory.mktemp("registration")
            options = {"RSA CA": ["--ra"], "EC CA": ["--key-type", "ec:p384"]}.get(kind)
            chosen = _three_levels(home) if options is None else options
            return running.enter_context(serving(home / "data", SETTINGS, *chosen))

        yield {kind: start(kind) for kind in KINDS}


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    """Each kind of CA."""
    return str(request.param)


@pytest.fixture
def wire(registrations: dict[str, Server], kind: str) -> Iterator[Wire]:
    """A wire to the service of that kind."""
    wire = Wire(registrations[kind])
    yield wire
    wire.close()


def result(kind: str) -> str:
    """What the table says of an enrolment that ended well."""
    return f"issued, RA, {kind}"


def test_the_certificates_pass_the_linter_and_strict_verification(wire: Wire) -> None:
    """RFC 5280 as pkilint and openssl read it: the RA's, the CA's, and the chain between and above."""
    server = wire.server
    assert server.ra_file
    openssl("verify", "-x509_strict", "-purpose", "any", "-CAfile", str(server.ca_file), str(server.ra_file))

    lint(server.ra_file)

    for place, one in enumerate(x509.load_pem_x509_certificates(server.ca_file.read_bytes())):
        file = server.data / f"above-{place}.pem"
        file.write_bytes(one.public_bytes(Encoding.PEM))
        lint(file)


def test_strongswan_enrols_and_renews(tmp_path: Path, table: devices.Table, wire: Wire, kind: str) -> None:
    """It wants the RA's certificate for both purposes, and each certificate above it."""
    peers.require(peers.STRONGSWAN)
    strongswan = StrongSwan(tmp_path, table)
    key = strongswan.new_key()

    file = strongswan.enrol(wire, key)

    check_lint(wire.server, file)
    old = file.rename(tmp_path / "old.pem")
    renewed = strongswan.scep(wire, key, "--cert", str(old), "--key", str(key))
    assert renewed.returncode == 0, renewed.stderr.decode()
    enrolment, renewal = wire.operations()
    strongswan.record("enrol", enrolment.algorithm, result(kind))
    strongswan.record("renew, same key", renewal.algorithm, result(kind))


@pytest.mark.proves("RA-01")
def test_strongswan_tells_the_ra_from_the_ca(
    tmp_path: Path, table: devices.Table, wire: Wire, kind: str
) -> None:
    """It sorts the bundle by itself, and says that it trusts the RA through the root."""
    peers.require(peers.STRONGSWAN)
    outputs = ("--caout", str(tmp_path / "ca.pem"), "--raout", str(tmp_path / "ra.pem"))
    command = ["pki", "--scepca", "--url", wire.url, *outputs, "--outform", "pem"]

    done = subprocess.run(command, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr
    assert "RA cert is trusted" in done.stderr
    assert wire.server.ra_file
    fetched = x509.load_pem_x509_certificate((tmp_path / "ra.pem").read_bytes())
    assert fetched == x509.load_pem_x509_certificate(wire.server.ra_file.read_bytes())
    table.record(peers.STRONGSWAN, "CA certificate", "", f"stored, RA, {kind}")


def test_certmonger_enrols_and_renews(tmp_path: Path, table: devices.Table, wire: Wire, kind: str) -> None:
    """Its administrator gives it the RA's certificate and the CA's, with what is above that."""
    issuer = Issuer("behind-an-ra", wire.server, wire.url)
    with certmonger.running(tmp_path) as daemon:
        daemon.add_scep_ca(issuer)

        state = daemon.request("monger", issuer, wire.server.challenge)
        assert state == "MONITORING"
        enrolled = daemon.certificate("monger").read_bytes()
        assert daemon.rekey("monger") == "MONITORING"

    assert daemon.certificate("monger").read_bytes() != enrolled
    check_lint(wire.server, daemon.certificate("monger"))
    enrolment, renewal = wire.operations()
    table.record(peers.CERTMONGER, "enrol", enrolment.algorithm, result(kind))
    table.record(peers.CERTMONGER, "renew, new key", renewal.algorithm, result(kind))


@pytest.mark.proves("RA-03")
def test_node_forge_enrols(tmp_path: Path, table: devices.Table, wire: Wire, kind: str) -> None:
    """The first certificate of the bundle is the RA's, as NDES has it; forge reads no EC key."""
    peers.require(peers.NODE_FORGE)
    job = {"common_name": "script", "dns_name": "script.example", "method": "POST"}
    algorithms = {"cipher": "AES-128-CBC", "digest": "SHA-256"}

    answer = NODE_FORGE.ask("enrol", wire.url, challenge=wire.server.challenge, **job, **algorithms)

    assert answer["pki_status"] == "0", answer
    certificate, key = tmp_path / "certificate.pem", tmp_path / "key.pem"
    certificate.write_text(answer["certificates"][0])
    key.write_text(answer["key"])
    check_issued(wire, certificate, key, "script", signer_key=key)
    table.record(peers.NODE_FORGE, "enrol", wire.operations()[-1].algorithm, result(kind))


def test_scepclient_enrols_when_told_which_is_the_ra(
    tmp_path: Path, table: devices.Table, wire: Wire, kind: str
) -> None:
    """It would encrypt to all of the bundle, and Go's library stops at an EC key."""
    peers.require(peers.SCEPCLIENT)
    client = ScepClient(tmp_path, table)
    assert wire.server.ra_file
    ra = x509.load_pem_x509_certificate(wire.server.ra_file.read_bytes())
    fingerprint = ("-ca-fingerprint", ra.fingerprint(hashes.SHA256()).hex())

    done = client.run(wire, wire.server.challenge, *(fingerprint if kind != "RSA CA" else ()))

    assert done.returncode == 0, done.stdout + done.stderr
    check_issued(wire, client.certificate, client.key, "micro", signer_key=client.key)
    client.record("enrol", wire.operations()[-1].algorithm, result(kind))


def test_our_own_client_enrols_and_is_told_the_root_alone(
    tmp_path: Path, registrations: dict[str, Server], kind: str
) -> None:
    """A fingerprint of any certificate above vouches for the RA (iOS compares the root's)."""
    server = registrations[kind]
    *_, root = x509.load_pem_x509_certificates(server.ca_file.read_bytes())
    pinned = ("--fingerprint", root.fingerprint(hashes.SHA256()).hex(), "--challenge", "-")

    run(
        tmp_path,
        *("enroll", server.url, "--subject", "CN=ours", *pinned, "--out", str(tmp_path)),
        stdin=server.challenge,
    )

    openssl("verify", "-x509_strict", "-CAfile", str(server.ca_file), str(tmp_path / "cert.pem"))
    written = x509.load_pem_x509_certificates((tmp_path / "ca.pem").read_bytes())
    assert written == x509.load_pem_x509_certificates(server.ca_file.read_bytes())
