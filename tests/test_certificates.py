"""What an issued certificate holds: RFC 5280 and the RFCs of its key types, byte for byte."""

import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from hashlib import sha1
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.x509.name import _ASN1Type

from ca.asn1 import read, tags, writer
from ca.deviations import Deviations
from ca.errors import FailInfo
from ca.issuing.root import encode_pem, make_ca_certificate
from ca.scep.messages import Failure
from ca.x509 import oids
from ca.x509.certificate import Certificate
from ca.x509.extensions import KeyUsageBit
from ca.x509.name import Name
from tests.forging_csr import KEYS, Key, alternative_names, ask, certified, dns, install
from tests.world import NOW, Device, World, certificate_of, der, rsa_key

BIT = KeyUsageBit
SERVER_AUTH = "1.3.6.1.5.5.7.3.1"
ALL_USES = writer.bit_string(b"\xf8", unused=3)


def _tbs(certificate: Certificate) -> list[bytes]:
    whole = read(certificate.der, "certificate", Deviations())
    return [part.raw for part in whole.sequence()[0].sequence()]


@pytest.mark.proves("X-01")
def test_serial_numbers_are_random(world: World) -> None:
    """RFC 5280 4.1.2.2: positive, unique, at most 20 octets; 64 random bits or more (X-01)."""
    certificates = [
        certificate_of(
            ask(world, Device(f"ipad-{number}"), Device(f"ipad-{number}").csr(), transaction_id=f"t{number}")
        )
        for number in range(60)
    ]

    serials = {one.serial_number for one in certificates}
    assert len(serials) == 60
    assert all(serial > 1 << 63 for serial in serials)
    assert all(len(one.serial_der) - 2 <= 20 for one in certificates)
    assert len({serial >> 96 for serial in serials}) == 60


def _typed(oid: x509.ObjectIdentifier, text: str, kind: _ASN1Type) -> x509.NameAttribute[str]:
    return x509.NameAttribute(oid, text, kind)


CN, ORGANISATION = x509.NameOID.COMMON_NAME, x509.NameOID.ORGANIZATION_NAME
CA_NAMES = {
    "PrintableString": x509.Name([_typed(CN, "Test CA", _ASN1Type.PrintableString)]),
    "UTF8String": x509.Name([_typed(CN, "Prüfstelle", _ASN1Type.UTF8String)]),
    "T61String": x509.Name([_typed(CN, "Test CA", _ASN1Type.T61String)]),
    "BMPString": x509.Name([_typed(CN, "Prüfstelle", _ASN1Type.BMPString)]),
    "several types": x509.Name(
        [
            _typed(x509.NameOID.DOMAIN_COMPONENT, "example", _ASN1Type.IA5String),
            _typed(ORGANISATION, "Example  Ltd", _ASN1Type.T61String),
            _typed(CN, "Test CA", _ASN1Type.UTF8String),
        ]
    ),
    "a multi-valued RDN": x509.Name(
        [
            x509.RelativeDistinguishedName(
                [
                    _typed(CN, "Test CA", _ASN1Type.PrintableString),
                    _typed(x509.NameOID.SERIAL_NUMBER, "7", _ASN1Type.PrintableString),
                ]
            )
        ]
    ),
}


def _ca(
    ca_name: x509.Name, *, key_identifier: bytes | None = b"twenty octets or so.", years: int = 10
) -> Certificate:
    key = rsa_key(0)
    builder = (
        x509.CertificateBuilder()
        .subject_name(ca_name)
        .issuer_name(ca_name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(NOW - timedelta(days=1))
        .not_valid_after(NOW + timedelta(days=365 * years))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    )
    if key_identifier is not None:
        builder = builder.add_extension(x509.SubjectKeyIdentifier(key_identifier), critical=False)
    return Certificate.load(der(builder.sign(key, hashes.SHA256())))


@pytest.mark.proves("X-02")
@pytest.mark.parametrize("ca_name", CA_NAMES.values(), ids=CA_NAMES.keys())
def test_the_issuer_is_the_ca_byte_for_byte(world: World, ca_name: x509.Name) -> None:
    """RFC 5280 4.1.2.4: chains are built by these bytes, and a re-encoded name breaks them (X-02)."""
    install(world, _ca(ca_name), rsa_key(0))

    certificate = certified(world)

    assert certificate.issuer_der == ca_name.public_bytes() == world.ca.subject_der


@pytest.mark.proves("X-04")
@pytest.mark.parametrize(
    ("end", "tag"),
    [
        (datetime(2049, 12, 31, 23, 59, 59, tzinfo=UTC), tags.UTC_TIME),
        (datetime(2050, 1, 1, tzinfo=UTC), tags.GENERALIZED_TIME),
    ],
    ids=["2049", "2050"],
)
def test_a_time_changes_its_type_with_2050(world: World, end: datetime, tag: int) -> None:
    """RFC 5280 4.1.2.5: UTCTime through 2049, with seconds and Z in both (X-04)."""
    install(world, _ca(CA_NAMES["UTF8String"], years=40), rsa_key(0))
    world.now = end - timedelta(days=365) + timedelta(microseconds=7)

    certificate = certified(world)

    not_after = read(_tbs(certificate)[4], "validity", Deviations()).sequence()[1]
    assert not_after.tag == tag
    assert not_after.content.endswith(end.strftime("%y%m%d%H%M%SZ").encode())
    assert certificate.not_valid_after == end


@pytest.mark.proves("X-04")
def test_a_certificate_ends_with_its_ca_at_the_latest(world: World) -> None:
    """A chain is valid only while all of it is (X-04)."""
    world.now = world.ca.not_valid_after - timedelta(days=10)

    assert certified(world).not_valid_after == world.ca.not_valid_after


def test_a_certificate_begins_with_its_ca_at_the_earliest(world: World) -> None:
    """It starts some minutes back for slow clocks, though not before the CA."""
    ca = make_ca_certificate(Name.from_text("CN=New CA"), rsa_key(0), 10, NOW + timedelta(minutes=5))
    install(world, Certificate.load(ca), rsa_key(0))
    world.now = NOW + timedelta(minutes=2)

    early = certified(world)
    world.now = NOW + timedelta(hours=1)
    late = certified(world, key=rsa_key(2), transaction_id="t2")

    assert early.not_valid_before == world.ca.not_valid_before
    assert NOW < late.not_valid_before < world.now


def test_an_expired_ca_issues_nothing(world: World) -> None:
    """Its signature would count for nobody."""
    world.now = world.ca.not_valid_after + timedelta(seconds=1)

    outcome = world.enrol(Device())

    assert isinstance(outcome, Failure)
    assert outcome.fail_info is FailInfo.BAD_REQUEST
    assert world.issued() == []


@pytest.mark.proves("X-05", "X-15")
def test_the_encoding_is_der_of_version_3(world: World) -> None:
    """RFC 5280 4.1: DER, v3, and one signature algorithm inside and outside (X-05, X-15)."""
    certificate = certified(world, alternative_names(dns("a.example")))
    deviations = Deviations()

    whole = read(certificate.der, "certificate", deviations)

    assert writer.normalise(whole) == certificate.der
    assert len(deviations) == 0
    assert certificate.version == 3
    assert _tbs(certificate)[2] == whole.sequence()[1].raw
    signature = whole.sequence()[2].bits()
    tbs = whole.sequence()[0].raw
    rsa_key(0).public_key().verify(signature, tbs, padding.PKCS1v15(), hashes.SHA256())


@pytest.mark.proves("X-06", "X-07")
@pytest.mark.parametrize("key_identifier", [b"twenty octets or so.", b"short", None])
def test_the_key_identifiers_are_the_cas_and_the_keys(world: World, key_identifier: bytes | None) -> None:
    """RFC 5280 4.2.1.1, 4.2.1.2: the AKI is the CA's SKI as it stands there (X-06, X-07)."""
    install(world, _ca(CA_NAMES["UTF8String"], key_identifier=key_identifier), rsa_key(0))
    of_key = x509.SubjectKeyIdentifier.from_public_key

    certificate = x509.load_der_x509_certificate(certified(world).der)

    aki = certificate.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier)
    ski = certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier)
    assert aki.value.key_identifier == (key_identifier or of_key(rsa_key(0).public_key()).digest)
    assert ski.value.digest == of_key(rsa_key(1).public_key()).digest
    assert len(ski.value.digest) == sha1(usedforsecurity=False).digest_size
    assert not aki.critical
    assert not ski.critical


@pytest.mark.proves("X-08")
def test_nobody_becomes_a_ca(world: World) -> None:
    """RFC 5280 4.2.1.9: basicConstraints without cA TRUE, the default left out (X-08)."""
    extension = certified(world).extensions[oids.BASIC_CONSTRAINTS]

    assert extension.value == writer.sequence()
    assert extension.critical


def _run(*command: str | Path) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize("make", KEYS.values(), ids=KEYS.keys())
def test_openssl_verifies_the_chain_strictly(world: World, tmp_path: Path, make: Callable[[], Key]) -> None:
    """An independent reader, with every check of RFC 5280 that it has."""
    ca, leaf = tmp_path / "ca.pem", tmp_path / "leaf.pem"
    ca.write_bytes(encode_pem(world.ca))
    leaf.write_bytes(encode_pem(certified(world, alternative_names(dns("a.example")), key=make())))
    then = str(int(NOW.timestamp()))

    printed = _run(
        "openssl", "verify", "-x509_strict", "-purpose", "sslclient", "-attime", then, "-CAfile", ca, leaf
    )  # fmt: skip

    assert "OK" in printed


@pytest.mark.proves("X-15")
@pytest.mark.parametrize("which", ["CA", *KEYS])
def test_a_linter_finds_no_error(world: World, tmp_path: Path, which: str) -> None:
    """A linter reads every clause of RFC 5280 and of the RFCs of the key types."""
    certificate = world.ca
    if which in KEYS:
        certificate = certified(world, alternative_names(dns("a.example")), key=KEYS[which]())
    file = tmp_path / "certificate.der"
    file.write_bytes(certificate.der)
    module = "pkilint.bin.lint_pkix_cert"

    # It exits with the number of findings.
    _run(sys.executable, "-m", module, "lint", "-s", "ERROR", "--document-format", "DER", file)
