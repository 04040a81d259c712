"""certmonger: every cipher and digest it has, renewals, and refusals it understands."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from cryptography import x509

from . import certmonger, devices, peers
from .certificates import check_issued, check_lint, dns_names
from .certmonger import Certmonger, Issuer
from .messages import MESSAGE_TYPE
from .server import Server
from .wire import Wire

# (level of the service, cipher, digest): each alone, the rest left to what certmonger chooses.
# It also names DES, but cannot write it: OpenSSL 3 keeps that in a provider of its own, and the
# daemon clears the environment that would load it.
ACCEPTED = [
    *[("compatible", cipher, "") for cipher in ("AES256", "AES192", "AES128", "DES3")],
    *[("compatible", "", digest) for digest in ("SHA512", "SHA384", "SHA256", "SHA1")],
    ("legacy", "", "MD5"),
]
REFUSED = [("compatible", "", "MD5"), ("modern", "DES3", ""), ("modern", "", "SHA1")]

Record = Callable[[str, str, str], None]


@pytest.fixture(scope="module")
def wires(servers: Callable[[str], Server]) -> Iterator[dict[str, Wire]]:
    """One wire to the service of each level, for the daemon keeps its CAs while it runs."""
    peers.require(peers.CERTMONGER)
    with ExitStack() as closing:
        wires = {level: Wire(servers(level)) for level in ("modern", "compatible", "legacy")}
        for wire in wires.values():
            closing.callback(wire.close)
        yield wires


@pytest.fixture(scope="module")
def daemon(wires: dict[str, Wire], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Certmonger]:
    """Start the daemon with a CA for each choice, and add one the way administrators do."""
    issuers = [issuer(wires, *choice) for choice in (*ACCEPTED, *REFUSED)]
    with certmonger.running(tmp_path_factory.mktemp("certmonger"), *issuers) as daemon:
        default = issuer(wires, "compatible")
        daemon.add_scep_ca(default)
        yield daemon


@pytest.fixture
def record(table: devices.Table) -> Record:
    """Record rows for certmonger."""

    def record(operation: str, algorithm: str, result: str) -> None:
        table.record(peers.CERTMONGER, operation, algorithm, result)

    return record


def issuer(wires: dict[str, Wire], level: str, cipher: str = "", digest: str = "") -> Issuer:
    """Name a CA after the level and the algorithms it stands for."""
    name = "-".join(part for part in (level, cipher, digest) if part)
    return Issuer(name, wires[level].server, wires[level].url, cipher, digest)


def enrol(daemon: Certmonger, wire: Wire, issuer: Issuer, name: str, *options: str) -> Path:
    """Enrol *name*, check what certmonger saved, and return the certificate's file."""
    assert daemon.request(name, issuer, wire.server.challenge, *options) == "MONITORING"
    key = daemon.key(name)
    check_issued(wire, daemon.certificate(name), key, name, signer_key=key)
    return daemon.certificate(name)


@pytest.mark.proves("L-11")
def test_its_helper_reads_capabilities_and_ca_certificate(wires: dict[str, Wire], record: Record) -> None:
    """scep-submit asks for "message=0" and "message=1", which must not be taken for other CAs."""
    wire = wires["compatible"]

    capabilities = certmonger.ask_helper(issuer(wires, "compatible"), "-c").split()
    certificates = certmonger.ask_helper(issuer(wires, "compatible"), "-C")

    assert {"AES", "POSTPKIOperation", "Renewal", "SCEPStandard", "SHA-256"} <= set(capabilities)
    ours = x509.load_pem_x509_certificate(wire.server.ca_file.read_bytes())
    assert x509.load_pem_x509_certificates(certificates.encode())[0] == ours
    record("capabilities", "", "listed")
    record("CA certificate", "", "listed")


def test_it_enrols_at_its_defaults(wires: dict[str, Wire], daemon: Certmonger, record: Record) -> None:
    """It takes AES for AES-256, the first digest among the capabilities, and never POST."""
    wire = wires["compatible"]

    file = enrol(daemon, wire, issuer(wires, "compatible"), "default", "-D", "monger.example")

    operation = wire.operations()[-1]
    assert (operation.request.cipher, operation.method) == ("AES-256-CBC", "GET")
    assert dns_names(x509.load_pem_x509_certificate(file.read_bytes())) == ["monger.example"]
    check_lint(wire.server, file)
    record("enrol", operation.algorithm, "issued")


@pytest.mark.parametrize(("level", "cipher", "digest"), ACCEPTED)
def test_it_enrols_with_every_algorithm_it_has(
    wires: dict[str, Wire],
    daemon: Certmonger,
    record: Record,
    level: str,
    cipher: str,
    digest: str,
) -> None:
    """certmonger.conf(5) does not tell, but a CA's file may name a cipher and a digest."""
    chosen = issuer(wires, level, cipher, digest)

    enrol(daemon, wires[level], chosen, chosen.name)

    operation = wires[level].operations()[-1]
    assert operation.reply.cipher == operation.request.cipher
    assert operation.reply.digest == operation.request.digest
    record("enrol", operation.algorithm, "issued")


@pytest.mark.parametrize(("level", "cipher", "digest"), REFUSED)
def test_it_is_rejected_with_an_algorithm_that_the_level_forbids(
    wires: dict[str, Wire],
    daemon: Certmonger,
    record: Record,
    level: str,
    cipher: str,
    digest: str,
) -> None:
    """A badAlg comes in a message that a client can still read (RFC 8894 3.2.1.4)."""
    chosen = issuer(wires, level, cipher, digest)

    state = daemon.request(chosen.name, chosen, wires[level].server.challenge)

    assert state == "CA_REJECTED"
    algorithm = wires[level].operations()[-1].algorithm
    record("refused", algorithm, f"level {level}: shows CA_REJECTED")


def test_it_is_rejected_with_a_wrong_challenge(
    wires: dict[str, Wire], daemon: Certmonger, record: Record
) -> None:
    """A FAILURE that it cannot read would be CA_UNREACHABLE, and tried again for ever."""
    wire = wires["compatible"]

    state = daemon.request("wrong", issuer(wires, "compatible"), "wrong")

    assert state == "CA_REJECTED"
    assert not daemon.certificate("wrong").exists()
    record("refused", wire.operations()[-1].algorithm, "wrong challenge: shows CA_REJECTED")


def test_it_renews_with_the_same_key(wires: dict[str, Wire], daemon: Certmonger, record: Record) -> None:
    """It does so under the transaction ID of the enrolment, and must not get that answer again."""
    wire = wires["compatible"]
    old = enrol(daemon, wire, issuer(wires, "compatible"), "renewed").read_bytes()

    assert daemon.resubmit("renewed") == "MONITORING"

    key = daemon.key("renewed")
    check_issued(wire, daemon.certificate("renewed"), key, "renewed", signer_key=key)
    assert daemon.certificate("renewed").read_bytes() != old
    renewal = wire.operations()[-1]
    assert renewal.request.attributes[MESSAGE_TYPE] == "19"
    record("renew, same key", renewal.algorithm, "issued")


@pytest.mark.proves("L-06", "R-2.3-h")
def test_it_renews_with_a_new_key(wires: dict[str, Wire], daemon: Certmonger, record: Record) -> None:
    """Its PKCSReq is signed with the old certificate, and answered to the old key."""
    wire = wires["compatible"]
    enrol(daemon, wire, issuer(wires, "compatible"), "rekeyed")
    key = daemon.key("rekeyed")
    old_key = key.with_suffix(".old")
    old_key.write_bytes(key.read_bytes())

    assert daemon.rekey("rekeyed") == "MONITORING"

    assert key.read_bytes() != old_key.read_bytes()
    check_issued(wire, daemon.certificate("rekeyed"), key, "rekeyed", signer_key=old_key)
    record("renew, new key", wire.operations()[-1].algorithm, "issued")


def test_it_enrols_and_renews_with_keys_in_an_nss_database(
    wires: dict[str, Wire], daemon: Certmonger, record: Record
) -> None:
    """NSS signs with an X.509 v1 certificate that writes its version out, which DER forbids."""
    wire = wires["compatible"]
    chosen = issuer(wires, "compatible")

    enrolled = daemon.request("in_nss", chosen, wire.server.challenge, nss=True)
    first = x509.load_pem_x509_certificate(daemon.certificate_in_nss("in_nss").encode())
    rekeyed = daemon.rekey("in_nss")
    second = x509.load_pem_x509_certificate(daemon.certificate_in_nss("in_nss").encode())

    assert (enrolled, rekeyed) == ("MONITORING", "MONITORING")
    assert first.subject == second.subject
    assert first.public_key() != second.public_key()
    assert {first.serial_number, second.serial_number} <= wire.server.serials()
    enrolment, renewal = wire.operations()[-2:]
    record("enrol", f"{enrolment.algorithm}, keys in NSS", "issued")
    record("renew, new key", f"{renewal.algorithm}, keys in NSS", "issued")
