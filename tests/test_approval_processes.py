"""Approval by real processes at once, and by ones that die in the midst of it: one certificate."""

import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from shutil import copytree
from urllib.request import Request, urlopen

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from ca.scep.codec import decode_ca_certificates
from ca.scep.messages import MessageType, Outcome, Pending
from ca.x509.certificate import Certificate
from tests.command_line import CLEAN, Service, command, did, run, serving, start
from tests.waiting import names_of
from tests.world import Device, certificate_of, rsa_key

POLLS = 50
MANUAL = '[profiles.default]\napproval = "manual"\nchallenge = "none"\n'


@pytest.fixture
def data(made_ca: Path, tmp_path: Path) -> Path:
    """A CA whose every certificate a person approves."""
    data = tmp_path / "data"
    copytree(made_ca, data)
    (data / "scepbox.toml").write_text(MANUAL)
    return data


@contextmanager
def _serving(data: Path, name: str) -> Iterator[Service]:
    log = data.parent / name
    options = ("--listen", "127.0.0.1:0", "--workers", 2, "--base-url", "http://pki.example")
    with serving("--data", data, *options, log=log) as service:
        yield service


def _ca(service: Service) -> Certificate:
    with urlopen(f"{service.url}?operation=GetCACert", timeout=10) as answer:
        return decode_ca_certificates(answer.read())[0]


def _send(service: Service, device: Device, ca: Certificate, *, poll: bool = False) -> Outcome:
    payload = names_of(ca, device) if poll else device.csr(None)
    message_type = MessageType.CERT_POLL if poll else MessageType.PKCS_REQ
    message = device.message(ca, payload, message_type=message_type)
    with urlopen(Request(f"{service.url}?operation=PKIOperation", message), timeout=30) as answer:
        return device.read(answer.read(), ca)


def _serials(data: Path) -> list[str]:
    return [one["serial"] for one in json.loads(did("cert", "list", "--json", "--data", data))]


def _statuses(data: Path) -> list[str]:
    return [one["status"] for one in json.loads(did("request", "list", "--json", "--data", data))]


@pytest.fixture
def device() -> Device:
    """One that knows the time, as the server does."""
    return Device(signing_time=None)


def test_fifty_polls_and_two_approvals_at_once_give_one_certificate(data: Path, device: Device) -> None:
    """Section 8: issuing happens once, whichever process is first."""
    with _serving(data, "log") as service, ThreadPoolExecutor(POLLS + 2) as pool:
        ca = _ca(service)
        assert _send(service, device, ca) == Pending()
        approvals = [pool.submit(run, "request", "approve", 1, "--data", data) for _ in range(2)]
        polls = [pool.submit(_poll_until_issued, service, device, ca) for _ in range(POLLS)]
        codes = sorted(one.result().code for one in approvals)
        certificates = {one.result() for one in polls}

    (serial,) = _serials(data)
    assert codes == [0, 1]
    assert certificates == {serial}
    assert [one.result().out.strip() for one in approvals if one.result().code == 0] == [serial]
    # What the server alone was told.
    assert b"http://pki.example/crl" in x509.load_pem_x509_certificate(
        did("cert", "export", serial, "--data", data).encode()
    ).public_bytes(serialization.Encoding.DER)


def _poll_until_issued(service: Service, device: Device, ca: Certificate) -> str:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        outcome = _send(service, device, ca, poll=True)
        if outcome != Pending():
            return f"{certificate_of(outcome).serial_number:x}"
    raise AssertionError("still pending")


def test_of_an_approval_and_a_rejection_at_once_one_wins(data: Path, device: Device) -> None:
    """Two people at two terminals, and the device hears one of them."""
    with _serving(data, "log") as service, ThreadPoolExecutor(2) as pool:
        ca = _ca(service)
        _send(service, device, ca)
        approval = pool.submit(run, "request", "approve", 1, "--data", data)
        rejection = pool.submit(run, "request", "reject", 1, "--reason", "no", "--data", data)
        codes = (approval.result().code, rejection.result().code)
        outcome = _send(service, device, ca, poll=True)

    assert sorted(codes) == [0, 1]
    assert len(_serials(data)) == (codes == (0, 1))
    assert (type(outcome).__name__ == "Success") == (codes == (0, 1))


@pytest.mark.proves("R-5.2-b")
@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="this system has no kill -9")
def test_what_waits_survives_kill_9(data: Path, device: Device) -> None:
    """Section 8: on the disk before the reply, approved while nobody serves, fetched after."""
    log = data.parent / "killed.log"
    with log.open("w") as stderr:
        words = ("--data", data, "--listen", "127.0.0.1:0", "--workers", 1)
        process = start(*words, stdout=subprocess.PIPE, stderr=stderr)
    assert process.stdout
    with process.stdout as stdout:
        service = Service(stdout.readline().removeprefix("ready: ").strip(), process, log, "")
        ca = _ca(service)
        assert _send(service, device, ca) == Pending()
        os.kill(process.pid, signal.SIGKILL)
        process.wait(timeout=30)

    with _serving(data, "second.log") as service:
        waiting = _send(service, device, ca, poll=True)
    serial = did("request", "approve", 1, "--data", data).strip()
    with _serving(data, "third.log") as service:
        outcome = _send(service, device, ca, poll=True)

    assert waiting == Pending()
    assert f"{certificate_of(outcome).serial_number:x}" == serial


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="this system has no kill -9")
def test_an_approval_that_is_killed_has_happened_or_not(data: Path) -> None:
    """One transaction: never a certificate whose request waits on, or the other way round."""
    killed = 0
    with _serving(data, "log") as service:
        ca = _ca(service)
        for number in range(6):
            _send(service, Device(f"phone-{number}", rsa_key(number + 1), signing_time=None), ca)
    # From before it has read its settings to after its end.
    for number, seconds in enumerate((0.1, 0.3, 0.45, 0.6, 0.75, 0.9), 1):
        process = subprocess.Popen(
            command("request", "approve", number, "--data", data),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=CLEAN,
        )
        time.sleep(seconds)
        process.kill()
        killed += process.wait(timeout=30) < 0

        assert _statuses(data).count("issued") == len(_serials(data))

    assert killed
    for number, status in enumerate(_statuses(data), 1):
        again = run("request", "approve", number, "--data", data)
        assert again.code == (0 if status == "pending" else 1), again.err
    assert len(_serials(data)) == 6
