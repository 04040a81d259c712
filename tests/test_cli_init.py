"""``init --import-cert``: a CA that is brought along, taken where it can serve and refused where not."""

import json
import stat
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import TypeAlias

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from ca.scep.codec import decode_ca_certificates
from tests.command_line import run, serving
from tests.world import name, rsa_key

Key: TypeAlias = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey
ROOT_KEY, CA_KEY, OTHER_KEY = rsa_key(10), rsa_key(11), rsa_key(12)
EC_KEY = ec.generate_private_key(ec.SECP256R1())
PASSPHRASE = "correct horse"


@cache
def certificate(
    subject: str, key: Key, issuer: str, issuer_key: Key, *, is_ca: bool = True, days: int = 365
) -> bytes:
    """A certificate in PEM, valid for *days* from yesterday."""
    now = datetime.now(UTC) - timedelta(days=1)
    builder = (
        x509.CertificateBuilder()
        .subject_name(name(subject))
        .issuer_name(name(issuer))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + timedelta(days=min(days, 0) * 2))
        .not_valid_after(now + timedelta(days=days))
        .add_extension(x509.BasicConstraints(ca=is_ca, path_length=None), critical=True)
    )
    return builder.sign(issuer_key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


ROOT_CA = certificate("Root", ROOT_KEY, "Root", ROOT_KEY)
SELF_SIGNED = certificate("My CA", CA_KEY, "My CA", CA_KEY)
INTERMEDIATE = certificate("My CA", CA_KEY, "Root", ROOT_KEY)


def pem(key: Key, passphrase: str = "") -> bytes:
    """The private key, PKCS #8."""
    encryption: serialization.KeySerializationEncryption = serialization.NoEncryption()
    if passphrase:
        encryption = serialization.BestAvailableEncryption(passphrase.encode())
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption)


@pytest.fixture
def import_ca(tmp_path: Path) -> Callable[..., tuple[int, str]]:
    """Run init with what is given, and tell exit code and standard error."""

    def init(cert: bytes, key: bytes, *more: str, chain: bytes = b"", stdin: str = "") -> tuple[int, str]:
        files = {"cert": cert, "key": key, "chain": chain}
        arguments: list[str] = []
        for option, content in files.items():
            if content:
                (tmp_path / option).write_bytes(content)
                arguments += [f"--import-{option}", str(tmp_path / option)]
        done = run("init", "--data", tmp_path / "data", *arguments, *more, stdin=stdin)
        return done.code, done.err

    return init


Import: TypeAlias = Callable[..., tuple[int, str]]


@pytest.mark.proves("R-4.2.1-a")
def test_a_self_signed_ca_is_served_as_it_is(import_ca: Import, tmp_path: Path) -> None:
    """RFC 8894 4.2.1.1: one certificate, bare; devices that trust it already go on."""
    code, said = import_ca(SELF_SIGNED, pem(CA_KEY))

    with serving("--data", tmp_path / "data", "--listen", "127.0.0.1:0", log=tmp_path / "log") as service:
        media_type, body = service.get("/scep?operation=GetCACert")

    assert code == 0, said
    assert media_type == "application/x-x509-ca-cert"
    assert body == x509.load_pem_x509_certificate(SELF_SIGNED).public_bytes(serialization.Encoding.DER)
    assert stat.S_IMODE((tmp_path / "data" / "ca" / "ca.key").stat().st_mode) == 0o600


@pytest.mark.proves("R-4.2.1-b", "R-2.2-b")
def test_an_intermediate_is_served_with_its_chain(import_ca: Import, tmp_path: Path) -> None:
    """RFC 8894 4.2.1.2: more than one certificate is a bundle, the CA's own among them."""
    code, said = import_ca(INTERMEDIATE, pem(CA_KEY), chain=ROOT_CA)

    with serving("--data", tmp_path / "data", "--listen", "127.0.0.1:0", log=tmp_path / "log") as service:
        media_type, body = service.get("/scep?operation=GetCACert")

    assert code == 0, said
    assert media_type == "application/x-x509-ca-ra-cert"
    assert [str(one.subject) for one in decode_ca_certificates(body)] == ["CN=My CA", "CN=Root"]
    exported = run("ca", "export", "--chain", "--data", tmp_path / "data").out
    assert len(x509.load_pem_x509_certificates(exported.encode())) == 2


def test_a_chain_may_stand_in_the_certificate_s_own_file(import_ca: Import, tmp_path: Path) -> None:
    """That is how most tools write it."""
    code, said = import_ca(INTERMEDIATE + ROOT_CA, pem(CA_KEY))

    assert code == 0, said
    assert (tmp_path / "data" / "ca" / "chain.pem").read_bytes() == ROOT_CA


def test_an_encrypted_key_is_opened_with_its_passphrase(import_ca: Import, tmp_path: Path) -> None:
    """From standard input, where no list of processes shows it."""
    key = pem(CA_KEY, PASSPHRASE)

    code, said = import_ca(SELF_SIGNED, key, "--import-passphrase", "-", stdin=f"{PASSPHRASE}\n")

    assert code == 0, said
    assert PASSPHRASE not in said


POLICY_KEY = ec.generate_private_key(ec.SECP384R1())
POLICY_CA = certificate("Policy CA", POLICY_KEY, "Root", ROOT_KEY)
BELOW: dict[str, tuple[Key, tuple[str, ...]]] = {
    "RSA": (CA_KEY, ()),
    "RSA with an RA": (CA_KEY, ("--ra",)),
    "EC": (EC_KEY, ()),
    "EC with an RA": (EC_KEY, ("--ra",)),
}


@pytest.mark.proves("RA-01", "RA-03", "R-4.2.1-b")
@pytest.mark.parametrize("case", BELOW)
def test_an_intermediate_of_three_levels_is_served_upwards(
    import_ca: Import, tmp_path: Path, case: str
) -> None:
    """RFC 8894 4.2.1.2, RA-03: the RA first, then its issuer, then up to the root, however they came."""
    key, options = BELOW[case]
    made = certificate("My CA", key, "Policy CA", POLICY_KEY)

    code, said = import_ca(made, pem(key), *options, chain=ROOT_CA + made + POLICY_CA)

    (tmp_path / "data" / "scepbox.toml").write_text("[profiles.default]\nchain_in_reply = true\n")
    with serving("--data", tmp_path / "data", "--listen", "127.0.0.1:0", log=tmp_path / "log") as service:
        media_type, body = service.get("/scep?operation=GetCACert")
        challenge = run("challenge", "new", "--data", tmp_path / "data").out
        asking = ("enroll", service.url, "--subject", "CN=ipad-17", "--challenge", "-", "--out", tmp_path)
        enrolled = run(*asking, stdin=challenge)
    assert code == 0, said
    assert enrolled.code == 0, enrolled.err
    assert media_type == "application/x-x509-ca-ra-cert"
    registration = [] if case == "RSA" else ["CN=My CA RA"]
    served = [str(one.subject) for one in decode_ca_certificates(body)]
    assert served == [*registration, "CN=My CA", "CN=Policy CA", "CN=Root"]
    shown = json.loads(run("ca", "show", "--json", "--data", tmp_path / "data").out)
    assert [one["subject"] for one in (*shown["ra"], shown, *shown["chain"])] == served
    exported = x509.load_pem_x509_certificates(
        run("ca", "export", "--chain", "--data", tmp_path / "data").out.encode()
    )
    assert [one.subject.rfc4514_string() for one in exported] == served[len(registration) :]


REFUSED: dict[str, tuple[bytes, bytes, bytes, str]] = {
    "another key": (SELF_SIGNED, pem(OTHER_KEY), b"", "does not belong"),
    "not a CA": (
        certificate("Leaf", CA_KEY, "Root", ROOT_KEY, is_ca=False),
        pem(CA_KEY),
        b"",
        "not a CA's",
    ),
    "expired": (certificate("Old", CA_KEY, "Old", CA_KEY, days=-3), pem(CA_KEY), b"", "not valid now"),
    "another chain": (
        INTERMEDIATE,
        pem(CA_KEY),
        certificate("Root", OTHER_KEY, "Root", OTHER_KEY),
        "chain does not lead",
    ),
    "an expired chain": (
        INTERMEDIATE,
        pem(CA_KEY),
        certificate("Root", ROOT_KEY, "Root", ROOT_KEY, days=-3),
        "chain does not lead",
    ),
    "a stranger in the chain": (INTERMEDIATE, pem(CA_KEY), ROOT_CA + POLICY_CA, "to CN=Policy CA"),
    "no certificate": (pem(CA_KEY), pem(CA_KEY), b"", "not a PEM certificate"),
    "no key": (SELF_SIGNED, SELF_SIGNED, b"", "private key cannot be read"),
    "an encrypted key": (SELF_SIGNED, pem(CA_KEY, PASSPHRASE), b"", "no passphrase was given"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_a_ca_is_refused_in_words(import_ca: Import, tmp_path: Path, case: str) -> None:
    """RFC 8894 2.1.2; and nothing is left behind that the next try would trip over."""
    cert, key, chain, why = REFUSED[case]

    code, said = import_ca(cert, key, chain=chain)

    assert code == 2
    assert why in said
    assert len(said.splitlines()) == 1
    assert not (tmp_path / "data" / "ca").exists()


def test_a_wrong_passphrase_is_refused(import_ca: Import) -> None:
    """And not repeated to the screen."""
    key = pem(CA_KEY, PASSPHRASE)

    code, said = import_ca(SELF_SIGNED, key, "--import-passphrase", "-", stdin="tr0ub4dor\n")

    assert code == 2
    assert "passphrase is wrong" in said
    assert "tr0ub4dor" not in said


def test_init_never_overwrites(import_ca: Import, tmp_path: Path) -> None:
    """The key of a CA in use cannot be had again."""
    import_ca(SELF_SIGNED, pem(CA_KEY))
    before = (tmp_path / "data" / "ca" / "ca.key").read_bytes()

    code, said = import_ca(SELF_SIGNED, pem(CA_KEY))

    assert code == 2
    assert "--data" in said
    assert (tmp_path / "data" / "ca" / "ca.key").read_bytes() == before


def test_init_makes_the_ca_that_was_asked_for(tmp_path: Path) -> None:
    """Name, key size and years."""
    arguments = ("--subject", "CN=Pilot CA,O=Example", "--key-type", "rsa:3072", "--years", "2")

    done = run("init", "--data", tmp_path / "data", *arguments)

    made = x509.load_pem_x509_certificate((tmp_path / "data" / "ca" / "ca.pem").read_bytes())
    assert done.code == 0
    assert made.subject.rfc4514_string() == "CN=Pilot CA,O=Example"
    assert made.public_key().key_size == 3072  # type: ignore[union-attr] # RSA, as asked for
    assert 729 <= (made.not_valid_after_utc - datetime.now(UTC)).days <= 732


@pytest.mark.parametrize(
    "subject",
    [
        "emailAddress=ca@example.org,CN=Pilot CA",
        "CN=Pilot CA,serialNumber=4711,O=Example",
        "CN=Pilot CA,O=Gerätestelle 東京",
    ],
)
def test_the_ca_may_have_any_name(tmp_path: Path, subject: str) -> None:
    """Attributes beyond the nine of RFC 4514, as openssl and other CAs write them."""
    done = run("init", "--data", tmp_path / "data", "--subject", subject)

    shown = json.loads(run("ca", "show", "--json", "--data", tmp_path / "data").out)
    assert done.code == 0, done.err
    assert shown["subject"] == subject
