"""``cert revoke``, ``crl`` and ``/crl``, as an administrator and a relying party use them."""

import json
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.x509.ocsp import OCSPRequestBuilder, load_der_ocsp_response

from app.cli.service import BUSY_SECONDS
from app.client import ClientError, ScepClient, Transport, get_certificate, get_crl
from app.client.csr import make_identity
from app.data_folder import DataFolder
from app.store import tables
from app.succession import load_ca_certificate
from ca.issuing.addresses import public_name
from ca.issuing.key_store import encode_private_key
from ca.issuing.root import encode_pem
from ca.x509.extensions import KeyUsageBit
from tests.backing_up import run_sql, sqlite_of
from tests.command_line import Done, Service, did, run, serving
from tests.test_unit_ca_material import CA_KEY, ca_certificate
from tests.world import NOW, name, rsa_key

ANY_PORT = ("--listen", "127.0.0.1:0")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A CA."""
    did("init", "--data", tmp_path / "data", "--subject", "CN=Revoking CA")
    return tmp_path / "data"


@pytest.fixture
def service(data: Path, tmp_path: Path) -> Iterator[Service]:
    """Its server."""
    with serving("--data", data, *ANY_PORT, log=tmp_path / "log") as service:
        yield service


def enrol(data: Path, service: Service, name: str = "ipad-17") -> str:
    """Enrol, and return the serial number."""
    secret = did("challenge", "new", "--data", data)
    into = data.parent / name
    options = ("--subject", f"CN={name}", "--challenge", "-", "--out", into)
    did("enroll", service.url, *options, stdin=secret)
    return f"{x509.load_pem_x509_certificate((into / 'cert.pem').read_bytes()).serial_number:x}"


def revoke(data: Path, serial: str, *options: str) -> Done:
    return run("cert", "revoke", serial, *options, "--data", data)


@contextmanager
def writing(data: Path) -> Iterator[None]:
    """Another program that writes to the database all the while."""
    with closing(sqlite3.connect(data / "scepbox.db", isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        yield
        connection.execute("ROLLBACK")


def test_while_another_writes_nobody_waits_who_only_reads(data: Path, service: Service) -> None:
    """CRL and OCSP need nothing written; who waits for a lock would keep GetCACert waiting too."""
    serial = enrol(data, service)
    before = service.get("/crl")[1]
    ca = load_ca_certificate(DataFolder(data).current_ca)
    issuer, subject = (x509.load_der_x509_certificate(one) for one in (ca.der, _exported(data, serial)))
    question = OCSPRequestBuilder().add_certificate(subject, issuer, hashes.SHA256()).build()
    asking = Request(service.url.replace("/scep", "/ocsp"), question.public_bytes(serialization.Encoding.DER))

    with writing(data):
        # What was looked up a moment ago has to be looked up again.
        time.sleep(0.6)
        began = time.monotonic()
        crl = service.get("/crl")[1]
        with urlopen(asking, timeout=30) as answer:
            told = load_der_ocsp_response(answer.read())
        service.get("/scep?operation=GetCACert")
        took = time.monotonic() - began

    assert crl == before
    assert told.certificate_status.name == "GOOD"
    assert took < BUSY_SECONDS


def _exported(data: Path, serial: str) -> bytes:
    pem = did("cert", "export", serial, "--data", data).encode()
    return x509.load_pem_x509_certificate(pem).public_bytes(serialization.Encoding.DER)


def fingerprint(data: Path) -> str:
    facts: dict[str, str] = json.loads(did("ca", "show", "--json", "--data", data))
    return facts["sha256"]


def shown(data: Path) -> dict[str, Any]:
    facts: dict[str, Any] = json.loads(did("crl", "show", "--json", "--data", data))
    return facts


def test_revoking_is_seen_everywhere(data: Path, service: Service) -> None:
    """The list of certificates, the CRL of the folder and the one that is served."""
    serial = enrol(data, service)

    done = revoke(data, serial.upper(), "--reason", "KeyCompromise")

    assert (done.code, done.out) == (0, "")
    assert done.err == f"revoked (keyCompromise): CN=ipad-17, serial {serial}\n"
    (listed,) = json.loads(did("cert", "list", "--json", "--status", "revoked", "--data", data))
    assert (listed["serial"], listed["status"], listed["reason"]) == (serial, "revoked", "keyCompromise")
    entry = {"serial": serial, "revoked_at": listed["revoked_at"], "reason": "keyCompromise"}
    assert shown(data)["revoked"] == [entry]
    (served,) = x509.load_der_x509_crl(service.get("/crl")[1])
    assert f"{served.serial_number:x}" == serial
    assert "keyCompromise" in did("crl", "show", "--data", data)


@pytest.mark.proves("R-2.6-a", "R-4.6-a")
def test_our_client_hears_of_it_by_scep(data: Path, service: Service) -> None:
    """GetCert gives the certificate until it is revoked, and GetCRL the CRL that says so."""
    number = int(enrol(data, service), 16)
    client = ScepClient(Transport(service.url), fingerprint=fingerprint(data), strict=True)
    asker = make_identity(name("asker"), rsa_key(1))
    found = get_certificate(client, number, asker)
    revoke(data, f"{number:x}")

    with pytest.raises(ClientError, match="badCertId: the certificate is revoked"):
        get_certificate(client, number, asker)

    assert found.serial_number == number
    assert [one.serial_number for one in get_crl(client, number, asker)] == [number]
    assert client.deviations.kinds() == []


def test_revoking_twice_says_since_when(data: Path, service: Service) -> None:
    """Exit code 1, one line."""
    serial = enrol(data, service)
    revoke(data, serial)

    done = revoke(data, serial, "--reason", "superseded")

    assert done.code == 1
    assert f"{serial} (CN=ipad-17): it is revoked already (" in done.err
    assert done.err.count("\n") == 1


def test_what_it_was_renewed_to_is_told(data: Path, tmp_path: Path) -> None:
    """Whoever has the stolen key may have renewed with it, and a renewal is a certificate of its own."""
    (data / "scepbox.toml").write_text("[profiles.default]\nrenewal_days = 0\n")
    serials, old = [], tmp_path / "ipad-17"
    with serving("--data", data, *ANY_PORT, log=tmp_path / "log") as service:
        serials.append(enrol(data, service))
        for number in (1, 2):
            new = tmp_path / f"renewed-{number}"
            signing = ("--renew", old / "cert.pem", "--key", tmp_path / "ipad-17" / "key.pem")
            did("enroll", service.url, *signing, "--out", new)
            old = new
            pem = (new / "cert.pem").read_bytes()
            serials.append(f"{x509.load_pem_x509_certificate(pem).serial_number:x}")

    first = revoke(data, serials[1], "--reason", "keyCompromise")
    second = revoke(data, serials[0], "--reason", "keyCompromise")

    for done in (first, second):
        note, *others = done.err.splitlines()[1:]
        assert note.startswith("note: it was renewed, and the new one is good until ")
        assert f"cert revoke {serials[2]} --reason keyCompromise" in note
        # Whoever has the stolen key has what it was renewed from too.
        assert [serials[0] in other for other in others] == ([True] if done is first else [])
    # Of many that have one key the first are named, and how many more there are.
    columns = [column.name for column in tables.certificate.c]
    for number in range(1, 8):
        values = ", ".join(f"'{number:x}'" if column == "serial" else column for column in columns)
        copied = f"SELECT {values} FROM certificate WHERE serial = '{serials[2]}'"
        run_sql(sqlite_of(data), f"INSERT INTO certificate ({', '.join(columns)}) {copied}")
    *some, rest = revoke(data, serials[2]).err.splitlines()[1:]
    assert [one.startswith("note: another one for the same key") for one in some] == [True] * 5
    assert rest.startswith("note: 2 more ")


def test_a_hold_is_taken_back(data: Path, service: Service) -> None:
    """The phone was found again."""
    serial = enrol(data, service)
    revoke(data, serial, "--reason", "certificateHold")

    done = revoke(data, serial, "--reason", "removeFromCRL")

    assert (done.code, done.err) == (0, f"released from hold: CN=ipad-17, serial {serial}\n")
    assert shown(data)["revoked"] == []


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (("cert", "revoke", "ab"), 1, "there is no certificate ab"),
        (("cert", "revoke", "ab", "--reason", "boredom"), 2, "'boredom' is not one of"),
        (("cert", "revoke"), 2, "SERIAL"),
        (("crl", "show"), 1, "there is no CRL yet"),
        (("serve", *ANY_PORT, "--base-url", "scep.example"), 2, "is not an address such as"),
        (("serve", *ANY_PORT, "--base-url", "http://schlüssel.example"), 2, "is not an address such as"),
    ],
)
def test_mistakes_are_told_in_one_line(data: Path, arguments: tuple[str, ...], code: int, says: str) -> None:
    """And say what to do next."""
    done = run(*arguments, "--data", data)

    assert done.code == code
    assert says in done.err
    assert "Traceback" not in done.err


def test_publish_makes_another(data: Path) -> None:
    """Each has a higher number (RFC 5280 5.2.3)."""
    assert "at /crl" in run("crl", "publish", "--data", data).err
    first = shown(data)

    did("crl", "publish", "--data", data)

    assert shown(data)["number"] > first["number"]
    assert first["issuer"] == "CN=Revoking CA"


@pytest.mark.proves("R-2.7-a", "R-3.3.4-b")
def test_the_crl_is_served_for_caches(service: Service) -> None:
    """GET, HEAD and the question whether it is still the same; caches have to ask (R-2.7-a)."""
    url = service.url.removesuffix("/scep") + "/crl"
    with urlopen(url, timeout=10) as answer:
        body, headers = answer.read(), answer.headers
    with urlopen(Request(url, method="HEAD"), timeout=10) as answer:
        assert answer.read() == b""
        assert answer.headers["Content-Length"] == str(len(body))

    assert headers["Content-Type"] == "application/pkix-crl"
    assert headers["Content-Length"] == str(len(body))
    assert headers["Cache-Control"] == "public, no-cache"
    assert headers["Last-Modified"].endswith("GMT")
    with pytest.raises(HTTPError) as caught:
        urlopen(Request(url, headers={"If-None-Match": f'"0", W/{headers["ETag"]}'}), timeout=10)
    assert caught.value.code == 304
    caught.value.close()


def test_a_ca_without_crl_sign_says_so(tmp_path: Path) -> None:
    """An imported CA may be one; its revocations are told by OCSP alone (RFC 5280 4.2.1.3)."""
    data, now = tmp_path / "data", datetime.now(UTC)
    usage = {KeyUsageBit.keyCertSign, KeyUsageBit.digitalSignature, KeyUsageBit.keyEncipherment}
    ca = ca_certificate(usage=usage, days=(now - NOW).days + 30)
    (tmp_path / "ca.pem").write_bytes(encode_pem(ca))
    (tmp_path / "ca.key").write_bytes(encode_private_key(CA_KEY))
    imported = ("--import-cert", tmp_path / "ca.pem", "--import-key", tmp_path / "ca.key")
    did("init", "--data", data, *imported)

    publishing = run("crl", "publish", "--data", data)
    with serving("--data", data, *ANY_PORT, log=tmp_path / "log") as service:
        serial = enrol(data, service)
        revoked = revoke(data, serial)
        with pytest.raises(HTTPError) as caught:
            service.get("/crl")

        assert "warning: the CA certificate lacks cRLSign" in service.log

    assert (publishing.code, revoked.code) == (1, 0)
    assert "lacks cRLSign" in publishing.err
    assert caught.value.code == 404
    assert b"lacks cRLSign" in caught.value.read()


def test_certificates_name_the_address_that_is_known(data: Path, tmp_path: Path) -> None:
    """--base-url, or [ca] distribution_url where the devices' is another; never one that is guessed."""
    (data / "scepbox.toml").write_text('[ca]\ndistribution_url = "http://pki.example/x/"\n')
    with serving(
        "--data", data, *ANY_PORT, "--base-url", "https://scep.example", log=tmp_path / "1"
    ) as service:
        enrol(data, service)
    (data / "scepbox.toml").write_text("")
    with serving(
        "--data", data, *ANY_PORT, "--base-url", "https://ca.example", log=tmp_path / "2"
    ) as service:
        enrol(data, service, "second")
        assert "by http:// alone" in service.log
    with serving("--data", data, *ANY_PORT, log=tmp_path / "3") as service:
        enrol(data, service, "third")
        assert "do not say where CRL" in service.log

    known = [
        (data.parent / name / "cert.pem").read_bytes().decode() for name in ("ipad-17", "second", "third")
    ]
    found = [_addresses(x509.load_pem_x509_certificate(one.encode())) for one in known]
    ca = public_name(load_ca_certificate(DataFolder(data).current_ca))
    assert found == [
        [f"{url}/crl/{ca}.crl", f"{url}/ocsp", f"{url}/ca/{ca}.cer"]
        for url in ("http://pki.example/x", "https://ca.example")
    ] + [[]]


def _addresses(certificate: x509.Certificate) -> list[str]:
    found: list[str] = []
    for extension in certificate.extensions:
        if isinstance(extension.value, x509.CRLDistributionPoints):
            found += [name.value for point in extension.value for name in point.full_name or ()]
        if isinstance(extension.value, x509.AuthorityInformationAccess):
            found += [one.access_location.value for one in extension.value]
    return found
