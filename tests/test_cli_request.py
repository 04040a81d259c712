"""``request``: what the person who decides reads and types, and our own client at the other end."""

import hashlib
import json
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from shutil import copytree
from typing import Any

import pytest

from app.clock import utc_now
from app.data_folder import DataFolder
from app.store import StoreKeys, open_store
from tests.command_line import Service, did, run, serving, start

MANUAL = (
    '[profiles.default]\napproval = "manual"\nchallenge = "none"\n'
    '[profiles.password]\nchallenge = "required"\n'
)


@pytest.fixture(scope="module")
def data(made_ca: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A CA whose every certificate a person approves; at /scep/password a challenge is asked for too."""
    data = tmp_path_factory.mktemp("approval") / "data"
    copytree(made_ca, data)
    (data / "scepbox.toml").write_text(MANUAL)
    return data


@pytest.fixture(scope="module")
def service(data: Path) -> Iterator[Service]:
    """The server of that CA."""
    with serving("--data", data, "--listen", "127.0.0.1:0", log=data.parent / "log") as service:
        yield service


def _request(data: Path, *arguments: object) -> str:
    return did("request", *arguments, "--data", data)


def _listed(data: Path, *arguments: object) -> list[dict[str, Any]]:
    listed: list[dict[str, Any]] = json.loads(_request(data, "list", "--json", *arguments))
    return listed


def _enrol(url: str, out: Path, *options: object, stdin: str = "") -> None:
    """Ask, and do not wait."""
    done = run("enroll", url, "--out", out, "--max-polls", 0, *options, stdin=stdin)
    assert done.code == 1, done.err
    assert "pending" in done.err


def _waiting(url: str, out: Path, common_name: str) -> subprocess.Popen[str]:
    """Ask, and wait for whoever decides."""
    options = ("--subject", f"CN={common_name}", "--out", out, "--interval", 0.1, "--max-polls", 300)
    return start("enroll", url, *options, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def _await_request(data: Path, subject: str) -> int:
    """The number of the pending request for *subject*, once it is there."""
    url, deadline = f"sqlite:///{data}/scepbox.db", time.monotonic() + 30
    store = open_store(url)
    try:
        while time.monotonic() < deadline:
            found = store.transact(lambda repository: list(repository.list_requests(utc_now(), "pending")))
            for one in found:
                if one.record.subject == subject:
                    return one.id
            time.sleep(0.05)
    finally:
        store.close()
    raise AssertionError(f"no request for {subject}")


@pytest.mark.proves("R-2.5-d")
def test_our_client_polls_until_it_is_approved(data: Path, service: Service, tmp_path: Path) -> None:
    """RFC 8894 2.5: both ends are ours, and a process each."""
    client = _waiting(service.url, tmp_path, "patient")

    serial = _request(data, "approve", _await_request(data, "CN=patient")).strip()

    _, err = client.communicate(timeout=60)
    assert client.returncode == 0, err
    assert f"issued: CN=patient, serial {serial}" in err
    assert (tmp_path / "cert.pem").exists()


@pytest.mark.proves("R-2.5-d", "R-3.2.1.4-c")
def test_our_client_hears_the_reason(data: Path, service: Service, tmp_path: Path) -> None:
    """RFC 8894 3.3.2.2, 3.2.1.4: the failInfoText is what the person typed."""
    client = _waiting(service.url, tmp_path, "unknown")

    _request(data, "reject", _await_request(data, "CN=unknown"), "--reason", "not one of ours")

    _, err = client.communicate(timeout=60)
    assert client.returncode == 1
    assert "the server refused with badRequest: not one of ours" in err
    assert not (tmp_path / "cert.pem").exists()


@pytest.mark.proves("R-5.2-a")
def test_a_client_that_gave_up_goes_on_with_the_same_key(
    data: Path, service: Service, tmp_path: Path
) -> None:
    """RFC 8894 5.2: the same command again with --key, as it said itself."""
    subject = ("--subject", "CN=impatient")
    _enrol(service.url, tmp_path, *subject)
    _request(data, "approve", _await_request(data, "CN=impatient"))

    again = run("enroll", service.url, *subject, "--key", tmp_path / "key.pem", "--out", tmp_path)

    assert again.code == 0, again.err


def test_the_list_has_its_promised_shape(data: Path, service: Service, tmp_path: Path) -> None:
    """Scripts rely on it; each status can be asked for."""
    for name in ("CN=one", "CN=two", "CN=three"):
        _enrol(service.url, tmp_path / name, "--subject", name)
    one, two, three = (_await_request(data, name) for name in ("CN=one", "CN=two", "CN=three"))
    _request(data, "approve", one)
    _request(data, "reject", two, "--reason", "no")

    listed = {entry["id"]: entry for entry in _listed(data)}

    assert listed[two] == {
        "id": two,
        "transaction_id": listed[two]["transaction_id"],
        "type": "PKCSReq",
        "status": "refused",
        "subject": "CN=two",
        "profile": "default",
        "remote": "127.0.0.1",
        "received_at": listed[two]["received_at"],
        "fail_info": "badRequest",
        "reason": "no",
    }
    for number, status in ((one, "issued"), (two, "refused"), (three, "pending")):
        assert number in {entry["id"] for entry in _listed(data, "--status", status)}
        assert {entry["status"] for entry in _listed(data, "--status", status)} == {status}
    lines = _request(data, "list", "--status", "pending").splitlines()
    assert any(line.startswith(f"{three}\tpending\t") and "CN=three" in line for line in lines)


@pytest.mark.proves("L-15")
def test_show_tells_whose_request_it_is(data: Path, service: Service, tmp_path: Path) -> None:
    """L-15: what an operator compares, with the fingerprints that devices display."""
    did("challenge", "new", "--data", data, "--profile", "password", "--secret", "-", stdin="open sesame")
    options = ("--subject", "CN=show,O=Example", "--san", "dns:a.example", "--challenge", "-")
    _enrol(f"{service.url}/password", tmp_path, *options, stdin="open sesame")
    number = _await_request(data, "CN=show,O=Example")

    words = _request(data, "show", number)
    facts = json.loads(_request(data, "show", number, "--json"))

    csr = _csr(data, number)
    sha1 = hashlib.sha1(csr, usedforsecurity=False).hexdigest()
    assert facts["fingerprints"] == {
        "csr_md5": hashlib.md5(csr, usedforsecurity=False).hexdigest(),
        "csr_sha1": sha1,
        "csr_sha256": hashlib.sha256(csr).hexdigest(),
        "key_sha256": facts["fingerprints"]["key_sha256"],
    }
    assert (facts["sans"], facts["key"], facts["challenge_id"]) == (["dns:a.example"], "rsa:2048", 1)
    for word in ("CN=show,O=Example", "dns:a.example", "rsa:2048", "127.0.0.1", facts["transaction_id"]):
        assert word in words
    assert sha1.upper()[:8] in words
    assert "challenge password 1" in words
    assert "open sesame" not in words + json.dumps(facts)
    rejected = run("request", "reject", number, "--reason", "no", "--data", data)
    assert "challenge revoke 1" in rejected.err


def test_a_challenge_that_is_revoked_leaves_its_requests_to_a_person(
    data: Path, service: Service, tmp_path: Path
) -> None:
    """Who revokes it because it leaked wants to know who has asked by it until then."""
    made = ("--profile", "password", "--uses", "unlimited", "--secret", "-")
    told = run("challenge", "new", "--data", data, *made, stdin="leaked by somebody").err
    number = told.partition("challenge ")[2].partition(":")[0]
    for name in ("leak-1", "leak-2"):
        options = ("--subject", f"CN={name}", "--challenge", "-")
        _enrol(f"{service.url}/password", tmp_path / name, *options, stdin="leaked by somebody")

    revoked = run("challenge", "revoke", number, "--data", data)

    assert revoked.code == 0
    assert "note: 2 requests made with it wait for approval" in revoked.err
    for name in ("leak-1", "leak-2"):
        _request(data, "reject", _await_request(data, f"CN={name}"), "--reason", "leaked")


def _csr(data: Path, number: int) -> bytes:
    keys = StoreKeys.of_secret(DataFolder(data).load_secret())
    store = open_store(f"sqlite:///{data}/scepbox.db", keys=keys)
    queued = store.transact(lambda repository: repository.find_request(number, utc_now()))
    store.close()
    assert queued is not None
    assert queued.content is not None
    return queued.content.csr


def test_show_names_each_deviation_with_its_clause(data: Path, service: Service, tmp_path: Path) -> None:
    """An odd client is easier to recognise, and to distrust."""
    _enrol(service.url, tmp_path, "--subject", "CN=old", "--cipher", "DES-EDE3-CBC", "--digest", "SHA-1")

    words = _request(data, "show", _await_request(data, "CN=old"))

    assert "weak-cipher (RFC 8894 2.9)" in words
    assert "weak-digest (RFC 8894 2.9)" in words


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (("approve", 999_999), 1, "request 999999 is not known; see: python3 run.py request list"),
        (("reject", 999_999, "--reason", "no"), 1, "request 999999 is not known; see: "),
        (("show", 999_999), 1, "request 999999 is not known; see: "),
        (("approve", "first"), 2, "'first' is not a valid integer"),
        (("approve", 0), 2, "0 is not in the range"),
        (("reject", 1), 2, "Missing option '--reason'"),
        (("reject", 1, "--reason", " "), 2, "--reason: a reason has 1 to 200 printable characters"),
        (("reject", 1, "--reason", "x" * 201), 2, "--reason: a reason has 1 to 200 printable characters"),
        (("list", "--status", "open"), 2, "'open' is not one of"),
    ],
)
def test_a_mistake_is_told_in_one_line(
    data: Path, arguments: tuple[object, ...], code: int, says: str
) -> None:
    """With the next step, and without a traceback."""
    done = run("request", *arguments, "--data", data)

    assert done.code == code
    assert done.out == ""
    assert len(done.err.splitlines()) == 1
    assert says in done.err


def test_what_is_decided_says_so(data: Path, service: Service, tmp_path: Path) -> None:
    """Twice by mistake is no harm."""
    _enrol(service.url, tmp_path, "--subject", "CN=twice")
    number = _await_request(data, "CN=twice")
    serial = _request(data, "approve", number).strip()

    again = run("request", "approve", number, "--data", data)
    late = run("request", "reject", number, "--reason", "no", "--data", data)

    assert (again.code, late.code) == (1, 1)
    assert f"request {number} was issued already: certificate {serial}" in again.err
    assert f"request {number} was issued already" in late.err
    assert serial in _request(data, "show", number)


def test_a_request_that_never_waited_is_shown_as_well(data: Path, service: Service, tmp_path: Path) -> None:
    """The history holds it, without a CSR."""
    asking = ("--subject", "CN=nobody", "--challenge", "-", "--out", tmp_path)
    run("enroll", f"{service.url}/password", *asking, stdin="x")
    number = _listed(data, "--status", "refused")[-1]["id"]

    words = _request(data, "show", number)
    facts = json.loads(_request(data, "show", number, "--json"))

    assert "challenge password not accepted" in words
    assert (facts["fingerprints"], facts["sans"]) == (None, None)
