"""``enroll`` at a server where a person decides: what stays of a request, and how it goes on."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ca.algorithms.digests import MD5
from ca.deviations import DeviationKind
from ca.errors import FailInfo
from ca.issuing.key_store import encode_private_key
from ca.issuing.root import encode_pem
from ca.scep.messages import Failure, Pending
from ca.x509.certificate import Certificate
from tests.command_line import CLEAN, run
from tests.forged import DEVICE_KEY, ForgedServer, Forgery, issue, serving
from tests.world import ROOT

SOON = ("--interval", "0.1", "--max-polls", "1")


@pytest.fixture
def server() -> Iterator[ForgedServer]:
    """A server that keeps everything for a person to decide."""
    with serving(ForgedServer(answers=[Pending()])) as forged:
        yield forged


def enrolment(server: ForgedServer, out: Path, *arguments: object) -> tuple[object, ...]:
    """The command line of an enrolment."""
    return ("enroll", server.url, "--subject", "CN=ipad-17", "--challenge", "-", "--out", out, *arguments)


def test_a_pending_request_goes_on_with_its_key(server: ForgedServer, tmp_path: Path) -> None:
    """RFC 8894 4.4: the same request under the same transactionID, as the message said."""
    first = run(*enrolment(server, tmp_path, *SOON), stdin="open sesame")
    server.answers = [Failure(FailInfo.BAD_REQUEST, "not one of ours")]
    second = run(*enrolment(server, tmp_path, "--key", tmp_path / "key.pem"), stdin="open sesame")

    transactions = {message.transaction.transaction_id for message in server.received}
    assert (first.code, second.code) == (1, 1)
    assert "pending" in first.err.splitlines()[-1]
    assert f"--key {tmp_path / 'key.pem'}" in first.err.splitlines()[-1]
    assert "not one of ours" in second.err
    assert (len(server.received), len(transactions)) == (3, 1)
    assert [path.name for path in tmp_path.iterdir()] == ["key.pem"]


def test_a_key_refused_in_the_end_does_not_stay(server: ForgedServer, tmp_path: Path) -> None:
    """The person said no while it was polled."""
    server.answers = [Pending(), Failure(FailInfo.BAD_REQUEST, "not one of ours")]

    done = run(*enrolment(server, tmp_path, *SOON), stdin="open sesame")

    assert done.code == 1
    assert list(tmp_path.iterdir()) == []


def test_a_key_stays_where_the_reply_was_lost(server: ForgedServer, tmp_path: Path) -> None:
    """RFC 8894 7.4: the server may have issued the certificate."""
    server.answers = [500]

    done = run(*enrolment(server, tmp_path), stdin="open sesame")

    assert done.code == 1
    assert "to go on" in done.err
    assert [path.name for path in tmp_path.iterdir()] == ["key.pem"]


def test_a_pending_change_of_key_goes_on_with_the_new_key(server: ForgedServer, tmp_path: Path) -> None:
    """A renewal is signed with the old key, which is therefore not the one to go on with."""
    old, key, out = tmp_path / "old.pem", tmp_path / "old.key", tmp_path / "out"
    old.write_bytes(_pem(issue()))
    key.write_bytes(encode_private_key(DEVICE_KEY))
    renewal = ("enroll", server.url, "--renew", old, "--key", key, "--out", out, *SOON)

    first = run(*renewal, "--rekey")
    second = run(*renewal, "--new-key", out / "key.pem")

    transactions = {message.transaction.transaction_id for message in server.received}
    assert f"--new-key {out / 'key.pem'}" in first.err
    assert "the same command again" in second.err
    assert len(transactions) == 1


@pytest.mark.skipif(os.name == "nt", reason="Ctrl-C is another matter there")
def test_who_stops_waiting_can_go_on(server: ForgedServer, tmp_path: Path) -> None:
    """Ctrl-C: one line, and the key is there."""
    process = subprocess.Popen(
        [sys.executable, str(ROOT / "run.py"), *map(str, enrolment(server, tmp_path))],
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=CLEAN,
        # What a shell starts in the background ignores it otherwise.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    assert process.stdin
    process.stdin.write("open sesame\n")
    process.stdin.flush()
    deadline = time.monotonic() + 30
    while not server.received and time.monotonic() < deadline:
        time.sleep(0.05)

    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=30)

    assert process.returncode == 1, said
    assert f"--key {tmp_path / 'key.pem'}" in said
    assert "Traceback" not in said
    assert said.splitlines()[-1].startswith("scepbox: interrupted")
    assert (tmp_path / "key.pem").exists()


def test_another_subject_is_reported(server: ForgedServer, tmp_path: Path) -> None:
    """RFC 8894 2.3: a CA may change what was asked, and the person ought to know."""
    key = tmp_path / "key.pem"
    key.write_bytes(encode_private_key(DEVICE_KEY))
    server.answers = [Forgery(certificates=(issue("ipad-18"),), digest=MD5)]

    done = run(*enrolment(server, tmp_path, "--key", key), stdin="open sesame")

    assert done.code == 0
    assert "warning: the certificate is for CN=ipad-18, not for CN=ipad-17" in done.err
    assert str(DeviationKind.WEAK_DIGEST) in done.err


def _pem(certificate: bytes) -> bytes:
    return encode_pem(Certificate.load(certificate))
