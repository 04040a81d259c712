"""Challenges, enrolments and the records of both, from the command line to the command line."""

import json
import os
import re
import stat
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from shutil import copytree
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from ca.x509.certificate import Certificate
from tests.command_line import Done, Service, did, run, serving
from tests.world import NOW, der, name, self_signed

STATIC = "open sesame, every one of you"
SETTINGS = "[profiles.default]\nrenewal_days = 0\n[profiles.wifi]\nvalidity_days = 30\n"
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")


@pytest.fixture(scope="module")
def data(made_ca: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with a challenge password that any number of devices may use."""
    folder = tmp_path_factory.mktemp("enroll") / "data"
    copytree(made_ca, folder)
    (folder / "scepbox.toml").write_text(SETTINGS)
    forever = ("--secret", "-", "--uses", "unlimited", "--valid", "forever")
    said = did("challenge", "new", "--data", folder, *forever, stdin=f"{STATIC}\n")
    assert said == f"{STATIC}\n"
    return folder


@pytest.fixture(scope="module")
def service(data: Path) -> Iterator[Service]:
    """It, served."""
    with serving("--data", data, "--listen", "127.0.0.1:0", log=data.parent / "log") as running:
        yield running


def enrol(service: Service, out: Path, *arguments: object, secret: str = STATIC) -> x509.Certificate:
    """Enrol, and return the certificate."""
    challenge = ("--challenge", "-") if secret else ()
    printed = did("enroll", service.url, *challenge, "--out", out, *arguments, stdin=f"{secret}\n")
    assert printed == f"{out / 'cert.pem'}\n"
    return x509.load_pem_x509_certificate((out / "cert.pem").read_bytes())


def records(data: Path, *verb: str) -> list[dict[str, Any]]:
    """What a listing verb says with --json."""
    found: list[dict[str, Any]] = json.loads(did(*verb, "--json", "--data", data))
    return found


def fingerprint(data: Path) -> str:
    """What a person would read on the server and give to the device."""
    shown: dict[str, str] = json.loads(did("ca", "show", "--json", "--data", data))
    return shown["sha256"]


def public(path: Path) -> object:
    """The public half of a private key in a file."""
    key = serialization.load_pem_private_key(path.read_bytes(), None)
    assert isinstance(key, rsa.RSAPrivateKey)
    return key.public_key()


@pytest.mark.proves("R-2.5-c", "R-2.3-c", "R-2.4-d", "R-2.4-c", "R-2.5-a")
def test_a_device_enrols_renews_and_changes_its_key(service: Service, data: Path, tmp_path: Path) -> None:
    """RFC 8894 2.3, 3.3.1.2: the first by challenge, the next two by the certificate before."""
    first = enrol(service, tmp_path / "1", "--subject", "CN=walker", "--san", "dns:walker.example")
    key = tmp_path / "1" / "key.pem"

    renewal = ("--renew", tmp_path / "1" / "cert.pem", "--key", key)
    second = enrol(service, tmp_path / "2", *renewal, secret="")
    rekeyed = ("--renew", tmp_path / "2" / "cert.pem", "--key", key, "--rekey")
    third = enrol(service, tmp_path / "3", *rekeyed, secret="")

    names = [
        one.extensions.get_extension_for_class(x509.SubjectAlternativeName).value.get_values_for_type(
            x509.DNSName
        )
        for one in (first, second, third)
    ]
    renewed_from = {row["serial"]: row["renewed_from"] for row in records(data, "cert", "list")}
    assert names == [["walker.example"]] * 3
    assert {one.subject.rfc4514_string() for one in (first, second, third)} == {"CN=walker"}
    assert first.public_key() == second.public_key() == public(key)
    assert third.public_key() == public(tmp_path / "3" / "key.pem") != public(key)
    assert renewed_from[f"{second.serial_number:x}"] == f"{first.serial_number:x}"
    assert renewed_from[f"{third.serial_number:x}"] == f"{second.serial_number:x}"


@pytest.mark.proves("S-05")
def test_what_enroll_writes_is_usable_and_private(service: Service, data: Path, tmp_path: Path) -> None:
    """The key is its owner's alone, and ca.pem is what is to be trusted."""
    certificate = enrol(service, tmp_path / "out", "--subject", "CN=writer")

    ca = x509.load_pem_x509_certificate((tmp_path / "out" / "ca.pem").read_bytes())
    certificate.verify_directly_issued_by(ca)
    assert (tmp_path / "out" / "ca.pem").read_bytes() == (data / "ca" / "ca.pem").read_bytes()
    assert stat.S_IMODE((tmp_path / "out" / "key.pem").stat().st_mode) == 0o600


@pytest.mark.proves("R-2.9-b")
@pytest.mark.parametrize(
    "arguments",
    [
        ("--get",),
        ("--digest", "SHA-1", "--cipher", "DES-EDE3-CBC"),
        ("--digest", "SHA-512", "--cipher", "AES-256-CBC", "--get"),
        ("--digest", "SHA-384", "--cipher", "AES-128-GCM"),
        ("--strict", "--san", "ip:192.0.2.7", "--san", "upn:ann@example.org"),
    ],
    ids=" ".join,
)
def test_it_enrols_as_told(service: Service, tmp_path: Path, arguments: tuple[str, ...]) -> None:
    """RFC 8894 3.5.2, 4.1: every way of asking that the options name."""
    certificate = enrol(service, tmp_path, "--subject", "CN=told", *arguments)

    assert certificate.subject == name("told")


def test_a_profile_s_address_gives_the_profile_s_certificate(
    service: Service, data: Path, tmp_path: Path
) -> None:
    """A challenge made for a profile is good there; its certificates say which it was."""
    secret = did("challenge", "new", "--profile", "wifi", "--data", data).strip()

    printed = did(
        *("enroll", f"{service.url}/wifi", "--subject", "CN=ap", "--challenge", "-", "--out", tmp_path),
        stdin=secret,
    )

    listed = records(data, "cert", "list", "--subject", "CN=ap")
    assert printed
    assert [row["profile"] for row in listed] == ["wifi"]


def test_a_challenge_works_once(service: Service, data: Path, tmp_path: Path) -> None:
    """RFC 8894 7.3; the second device is told in one line, and no key without certificate stays."""
    secret = did("challenge", "new", "--data", data).strip()
    enrol(service, tmp_path / "1", "--subject", "CN=first", secret=secret)

    pin = ("--fingerprint", fingerprint(data))
    arguments = ("--subject", "CN=second", "--challenge", "-", "--out", tmp_path / "2", *pin)
    done = run("enroll", service.url, *arguments, stdin=secret)

    assert (done.code, done.out) == (1, "")
    assert "badRequest: challenge password not accepted" in done.err
    assert len(done.err.splitlines()) == 1
    assert list((tmp_path / "2").iterdir()) == []


def test_a_key_that_was_given_stays_after_a_refusal(service: Service, tmp_path: Path) -> None:
    """It is not ours to remove, wherever it lies."""
    key = tmp_path / "key.pem"
    key.write_bytes(_PEM_KEY)

    done = run("enroll", service.url, "--subject", "CN=x", "--key", key, "--out", tmp_path)

    assert done.code == 1
    assert key.read_bytes() == _PEM_KEY


def test_without_a_pin_the_fingerprint_is_shown(service: Service, data: Path, tmp_path: Path) -> None:
    """RFC 8894 2.2: a person can compare it, and give it the next time."""
    command = ("enroll", service.url, "--subject", "CN=x", "--challenge", "-", "--out")

    without = run(*command, tmp_path / "1", stdin=STATIC)
    pinned = run(*command, tmp_path / "2", "--fingerprint", fingerprint(data), stdin=STATIC)

    assert f"SHA-256 fingerprint {fingerprint(data)}" in without.err.splitlines()[0]
    assert fingerprint(data) not in pinned.err
    assert (without.code, pinned.code) == (0, 0)


def test_every_kind_of_subject_comes_back(service: Service, tmp_path: Path) -> None:
    """What ``cert list`` shows can be given to ``--subject``."""
    subject = "CN=ann,SN=Lee,GN=Ann,title=Dr,serialNumber=7,emailAddress=ann@example.org,O=Example"

    certificate = enrol(service, tmp_path, "--subject", subject)

    assert str(Certificate.load(der(certificate)).subject) == subject


def test_a_certificate_that_could_not_be_written_can_be_had_again(service: Service, tmp_path: Path) -> None:
    """Its key stays, and the same request gets the same certificate."""
    (tmp_path / "cert.pem").mkdir()
    command = ("enroll", service.url, "--subject", "CN=full", "--challenge", "-", "--out", tmp_path)

    done = run(*command, stdin=STATIC)
    (tmp_path / "cert.pem").rmdir()
    again = run(*command, "--key", tmp_path / "key.pem", stdin=STATIC)

    assert done.code == 2
    assert f"--key {tmp_path / 'key.pem'}" in done.err.splitlines()[-1]
    assert again.code == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["ca.pem", "cert.pem", "key.pem"]


@pytest.mark.skipif(os.name == "nt", reason="an open file cannot be replaced there")
def test_a_certificate_before_is_replaced_whole(service: Service, tmp_path: Path) -> None:
    """A daemon that reads cert.pem meanwhile meets the old one or the new one."""
    before = enrol(service, tmp_path, "--subject", "CN=twice")
    held = (tmp_path / "cert.pem").open("rb")
    with held:
        renewal = ("--renew", tmp_path / "cert.pem", "--key", tmp_path / "key.pem")
        after = enrol(service, tmp_path, *renewal, secret="")
        read_meanwhile = x509.load_pem_x509_certificate(held.read())

    assert read_meanwhile == before != after


def test_enroll_never_overwrites_a_key(service: Service, tmp_path: Path) -> None:
    """A key that was lost takes its certificate with it."""
    (tmp_path / "key.pem").write_text("precious")

    done = run(
        "enroll", service.url, "--subject", "CN=x", "--challenge", "-", "--out", tmp_path, stdin=STATIC
    )

    assert done.code == 2
    assert "key.pem" in done.err
    assert (tmp_path / "key.pem").read_text() == "precious"


BAD: dict[str, tuple[tuple[str, ...], int, str]] = {
    "no subject": ((), 2, "--subject is missing"),
    "subject": (("--subject", "x"), 2, ""),
    "SAN": (("--subject", "CN=x", "--san", "ip:x"), 2, ""),
    "renewal without key": (("--renew", "{cert}"), 2, "--renew needs --key"),
    "renewal of no certificate": (("--renew", __file__, "--key", __file__), 2, "not a PEM certificate"),
    "key that is none": (("--subject", "CN=x", "--key", __file__), 2, "private key"),
    "subject of an unknown kind": (("--subject", "shoe=43"), 2, "shoe"),
    "another CA's fingerprint": (("--subject", "CN=x", "--fingerprint", "00" * 32), 1, "do not trust"),
    "part of a fingerprint": (("--subject", "CN=x", "--fingerprint", "00:11"), 2, "no fingerprint"),
    "empty fingerprint": (("--subject", "CN=x", "--fingerprint", ""), 2, "no fingerprint"),
    "colon for a fingerprint": (("--subject", "CN=x", "--fingerprint", ":"), 2, "no fingerprint"),
    "rekey without renewal": (("--subject", "CN=x", "--rekey"), 2, "go with --renew"),
    "challenge file that is no text": (("--subject", "CN=x", "--challenge", "{bytes}"), 2, "not UTF-8"),
    "challenge file gone": (("--subject", "CN=x", "--challenge", "/nowhere"), 2, "/nowhere"),
}


@pytest.fixture(scope="module")
def bad(service: Service, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Done]:
    """Every case, run side by side."""
    folder = tmp_path_factory.mktemp("bad")
    (folder / "cert.pem").write_bytes(_some_certificate())
    (folder / "bytes").write_bytes(b"\xff\xfe\n")

    def fail(case: str) -> Done:
        arguments = (
            argument.format(cert=folder / "cert.pem", bytes=folder / "bytes") for argument in BAD[case][0]
        )
        return run("enroll", service.url, "--out", folder / case, *arguments)

    with ThreadPoolExecutor(8) as pool:
        return dict(zip(BAD, pool.map(fail, BAD), strict=True))


@pytest.mark.parametrize("case", BAD)
def test_what_cannot_be_enrolled_is_said_in_one_line(bad: dict[str, Done], case: str) -> None:
    """Exit code 2 for a mistake of the person's, 1 for a server's no."""
    _, code, why = BAD[case]

    assert bad[case].code == code, bad[case].err
    assert why in bad[case].err
    assert len(bad[case].err.splitlines()) == 1, bad[case].err


@pytest.mark.parametrize(
    "url",
    ["127.0.0.1/scep", "http://127.0.0.1:http/scep", "http://a b/", "http://[::1", "http://127.0.0.1:9/"],
)
def test_a_server_that_cannot_be_asked_is_said_in_one_line(tmp_path: Path, url: str) -> None:
    """It could not run, and leaves nothing behind."""
    done = run("enroll", url, "--subject", "CN=x", "--out", tmp_path / "out")

    assert (done.code, done.out) == (2, "")
    assert len(done.err.splitlines()) == 1, done.err
    assert list(tmp_path.iterdir()) == []


def _some_certificate() -> bytes:
    certificate = x509.load_der_x509_certificate(self_signed("x", _KEY, NOW).der)
    return certificate.public_bytes(serialization.Encoding.PEM)


_KEY = rsa.generate_private_key(65537, 2048)
_PEM_KEY = _KEY.private_bytes(
    serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
)


def test_certificates_are_listed_for_machines(service: Service, data: Path, tmp_path: Path) -> None:
    """The shape is fixed: peers and scripts read it."""
    certificate = enrol(service, tmp_path, "--subject", "CN=listed", "--san", "dns:listed.example")
    serial = f"{certificate.serial_number:x}"

    (row,) = records(data, "cert", "list", "--subject", "listed.example")
    shown = json.loads(did("cert", "show", f"0x{serial.upper()}", "--json", "--data", data))
    exported = did("cert", "export", serial, "--data", data)

    assert list(row) == [
        *("serial", "subject", "sans", "profile", "status", "not_before", "not_after", "transaction_id"),
        *("renewed_from", "revoked_at", "reason", "issuer", "authority_key_id"),
    ]
    assert (row["serial"], row["subject"], row["sans"]) == (serial, "CN=listed", ["dns:listed.example"])
    assert (row["profile"], row["status"], row["renewed_from"]) == ("default", "valid", None)
    ca = json.loads(did("ca", "show", "--json", "--data", data))
    assert (row["issuer"], row["authority_key_id"]) == (ca["subject"], ca["key_id"])
    assert TIME.fullmatch(row["not_before"])
    assert TIME.fullmatch(row["not_after"])
    assert row.items() <= shown.items()
    assert exported == (tmp_path / "cert.pem").read_text()


def test_listings_can_be_narrowed(service: Service, data: Path, tmp_path: Path) -> None:
    """What ends soon is what an administrator looks for."""
    enrol(service, tmp_path, "--subject", "CN=narrow")
    narrowed = ("--subject", "narrow", "--status")

    counts = [
        len(records(data, "cert", "list", *narrowed, status, "--expiring", span))
        for status, span in (("valid", "400d"), ("all", "1d"), ("expired", "400d"))
    ]

    assert counts == [1, 0, 0]


def test_challenges_are_listed_without_their_secrets(data: Path) -> None:
    """The shape is fixed, and the secret is nowhere in it."""
    secret = did("challenge", "new", "--subject", "CN=shape", "--valid", "2h", "--uses", "3", "--data", data)

    text = did("challenge", "list", "--json", "--data", data)
    (row,) = [row for row in json.loads(text) if row["subject"] == "CN=shape"]

    assert set(row) == {"id", "profile", "uses_left", "expires_at", "subject", "created_at"}
    assert (row["profile"], row["uses_left"]) == ("default", 3)
    assert TIME.fullmatch(row["expires_at"])
    assert secret.strip() not in text
    assert STATIC not in text


def test_a_revoked_challenge_is_worth_nothing(service: Service, data: Path, tmp_path: Path) -> None:
    """And revoking it twice is said."""
    secret = did("challenge", "new", "--subject", "CN=gone", "--data", data).strip()
    (number,) = [row["id"] for row in records(data, "challenge", "list") if row["subject"] == "CN=gone"]
    did("challenge", "revoke", str(number), "--data", data)

    arguments = ("--subject", "CN=gone", "--challenge", "-", "--out", tmp_path)
    done = run("enroll", service.url, *arguments, stdin=secret)

    assert done.code == 1
    assert "challenge password not accepted" in done.err


@pytest.mark.proves("R-2.1.1-a", "R-2.2-c")
def test_the_ca_is_shown_and_exported(service: Service, data: Path) -> None:
    """The fingerprint that people compare is the one of what devices get (RFC 8894 2.2)."""
    shown = json.loads(did("ca", "show", "--json", "--data", data))

    ca = x509.load_der_x509_certificate(service.get("/ca.cer")[1])
    assert shown["sha256"] in service.log
    assert shown["sha256"] == ca.fingerprint(hashes.SHA256()).hex()
    assert shown["sha1"] == ca.fingerprint(hashes.SHA1()).hex()
    assert shown["serial"] == f"{ca.serial_number:x}"
    assert {"digitalSignature", "keyEncipherment", "keyCertSign"} <= set(shown["key_usage"])
    assert did("ca", "export", "--data", data) == ca.public_bytes(serialization.Encoding.PEM).decode()


@pytest.mark.proves("S-01")
def test_no_secret_lies_about(service: Service, data: Path, tmp_path: Path) -> None:
    """Neither the database, nor the log, nor a list of processes tells a challenge password."""
    secret = did("challenge", "new", "--data", data).strip()
    enrol(service, tmp_path, "--subject", "CN=quiet", secret=secret)
    run(
        *("enroll", service.url, "--subject", "CN=loud", "--challenge", "-", "--out", tmp_path / "2"),
        stdin="wrong one",
    )

    kept = b"".join(path.read_bytes() for path in data.rglob("*") if path.is_file()) + service.log.encode()

    assert "CN=quiet" in service.log
    assert [word for word in (STATIC, secret, "wrong one", "PRIVATE KEY") if word in service.log] == []
    assert [word for word in (STATIC, secret, "wrong one") if word.encode() in kept] == []


@pytest.mark.skipif(sys.platform != "linux", reason="mounts a folder read-only, as Linux does")
def test_a_folder_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    """A container with a read-only volume is started every day."""
    did("init", "--data", tmp_path / "data")
    mount = 'mount --bind "$0" "$0" && mount -o remount,bind,ro "$0" && exec "$@"'
    inside = ["unshare", "--mount", "--map-root-user", "sh", "-c", mount, str(tmp_path)]

    done = run("challenge", "new", "--data", tmp_path / "data", inside=inside)

    assert done.code == 2, done.err
    (line,) = done.err.splitlines()
    assert str(tmp_path / "data") in line
