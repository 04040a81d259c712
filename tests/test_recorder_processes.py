"""The recorder at work: several processes write, others read, follow, explain, hand on and say it again."""

import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from app.cli.main import top
from app.recorder.recording import FORMAT
from ca.errors import FailInfo
from ca.scep.codec import decode_ca_certificates
from ca.scep.messages import Failure, Outcome
from ca.x509.certificate import Certificate
from tests.command_line import CLEAN, Done, Service, command, serving
from tests.processes import children
from tests.test_reload import ask, await_
from tests.world import SECRET, Device, certificate_of, rsa_key

WORKERS = 2 if hasattr(os, "fork") else 1
# What is told within a second on a quiet machine; this one may be ten times as slow.
PATIENCE = 15.0
WHEN = ("then:", "now: ")


@contextmanager
def server(data: Path, log: Path) -> Iterator[Service]:
    options = ("--listen", "127.0.0.1:0", "--admin-listen", "off", "--workers", WORKERS)
    with serving("serve", "--data", data, *options, log=log) as service:
        yield service


def ca_of(service: Service) -> Certificate:
    (ca,) = decode_ca_certificates(service.get("/scep?operation=GetCACert")[1])
    return ca


def enrol(service: Service, ca: Certificate, number: int) -> Outcome:
    device = Device(f"ipad-{number}", rsa_key(number % 4), signing_time=None)
    message = device.message(ca, transaction_id=device.common_name)
    answer = ask(service.url, "POST", "/scep?operation=PKIOperation", message)
    return device.read(answer.body, ca, device.common_name)


def run(*arguments: object, stdin: str = "") -> Done:
    """Run a verb to its end in this process, which starts faster than another."""
    done = CliRunner().invoke(top, [*map(str, arguments)], input=stdin)
    return Done(done.exit_code, done.stdout, done.stderr)


def did(*arguments: object, stdin: str = "") -> str:
    """Run a verb that must succeed, and return its standard output."""
    done = run(*arguments, stdin=stdin)
    assert done.code == 0, done.err
    return done.out


class Watching:
    """``log --follow`` in a process of its own."""

    def __init__(self, data: Path, *options: str) -> None:
        self._lines: queue.Queue[str] = queue.Queue()
        self._process = subprocess.Popen(
            command("log", "--follow", "--data", data, *options),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=CLEAN,
        )
        assert self._process.stderr
        # It follows from here on.
        assert "following" in self._process.stderr.readline()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout
        for line in self._process.stdout:
            self._lines.put(line)

    def until(self, words: str) -> str:
        """The next line with *words* in it."""
        deadline = time.monotonic() + PATIENCE
        while True:
            line = self._lines.get(timeout=max(0.0, deadline - time.monotonic()))
            if words in line:
                return line

    def end(self) -> tuple[int, str]:
        """Press Ctrl-C: how it ends, and what it complains of."""
        assert self._process.stderr
        self._process.send_signal(signal.SIGINT)
        return self._process.wait(timeout=60), self._process.stderr.read()

    def close(self) -> None:
        """Be gone, however the test ended."""
        self._process.kill()
        self._process.wait()
        self._reader.join()
        for stream in (self._process.stdout, self._process.stderr):
            assert stream
            stream.close()


def listed(data: Path, *options: object) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(did("log", "--json", "--data", data, *options))
    return found


@pytest.mark.skipif(sys.platform == "win32", reason="a test cannot press Ctrl-C for one process alone there")
def test_a_refusal_is_told_as_it_happens_explained_handed_on_and_said_again(tmp_path: Path) -> None:
    """A device with a spent password: within a second the log says so, explain points at it, and a fresh
    server of another machine, which knows neither device nor password, gives the same verdict.
    """
    data, other = tmp_path / "data", tmp_path / "other"
    did("init", "--data", data)
    did("challenge", "new", "--data", data, "--secret", "-", stdin=SECRET)
    with closing(Watching(data)) as watching:
        _tell_and_say_again(watching, data, other, tmp_path)


def _tell_and_say_again(watching: Watching, data: Path, other: Path, tmp_path: Path) -> None:
    with server(data, tmp_path / "log") as service:
        ca = ca_of(service)
        assert "127.0.0.1 asked for the CA certificate" in watching.until("asked")
        # Whose answer has no body.
        ask(service.url, "HEAD", "/scep?operation=GetCACaps", None)
        assert watching.until("asked what").rstrip().endswith("127.0.0.1 asked what the server can do")
        certificate_of(enrol(service, ca, 16))
        assert "ipad-16 (127.0.0.1) sent a request: issued, certificate " in watching.until("sent")
        began = time.monotonic()
        assert enrol(service, ca, 17) == Failure(FailInfo.BAD_REQUEST, "challenge password not accepted")
        line = watching.until("refused")
        assert time.monotonic() - began < PATIENCE
        assert (
            "ipad-17 (127.0.0.1) sent a request: refused, challenge 1 was used already by CN=ipad-16" in line
        )

        explained = did("explain", "22013", "--data", data).splitlines()
        assert explained[0] == "This time, by what was recorded in the last minutes:"
        assert "127.0.0.1 CN=ipad-17 sent a request: refused, challenge 1 was used already" in explained[1]
        assert "(challenge-refused)" in explained[2]
        (fit,) = json.loads(did("explain", "22013", "--json", "--data", data))["recorded"]
        assert (fit["cause"], fit["subject"]) == ("challenge-refused", "CN=ipad-17")

        (bad,) = listed(data, "--transaction", "ipad-17")
        assert bad["id"] == fit["id"]
        told = did("log", "show", bad["id"], "--data", data)
        assert "decided by: ChallengeReused, at the stage decide" in told
        assert "iOS, iPadOS: 22013" in told
        exported, granted = tmp_path / "refused.json", tmp_path / "granted.json"
        did("log", "export", bad["id"], exported, "--data", data)
        # It is for others, and who else had the password is not theirs to know.
        assert "ipad-16" not in exported.read_text()
        did("log", "export", bad["id"], exported, "--data", data, "--whole", "--force")
        assert "ipad-16" in exported.read_text()
        did("log", "export", bad["id"], exported, "--data", data, "--force")
        assert did("log", "export", bad["id"], "-", "--data", data) == exported.read_text()
        (good,) = listed(data, "--subject", "ipad-16")
        serial = good["serial"].upper().zfill(40)
        pairs = ":".join(serial[place : place + 2] for place in range(0, 40, 2))
        assert listed(data, "--serial", pairs) == [good]
        did("log", "export", good["id"], granted, "--data", data)

    # Nobody who kills a process takes along what it had written, and those after it go on.
    with server(data, tmp_path / "log2") as service:
        if hasattr(os, "fork"):
            before = children(service.process.pid)
            enrol(service, ca, 18)
            watching.until("ipad-18")
            for pid in before:
                os.kill(pid, signal.SIGKILL)
            await_(lambda: len(set(children(service.process.pid)) - set(before)) == WORKERS)
        enrol(service, ca, 19)
        watching.until("ipad-19")
    assert watching.end() == (0, "")
    assert {"ipad-16", "ipad-17", "ipad-19"} <= {one["transaction_id"] for one in listed(data)}

    kept = b"".join(path.read_bytes() for path in (data / "recordings").iterdir()) + exported.read_bytes()
    assert SECRET.encode() not in kept
    assert "Traceback" not in (tmp_path / "log").read_text() + (tmp_path / "log2").read_text()

    assert "challenge-refused" in did("inspect", exported)
    did("init", "--data", other)
    with server(other, tmp_path / "log3") as fresh:
        again = run("log", "replay", exported, fresh.url)
        assert "sent: the message made again under a new key\n" in again.err
        assert again.err.endswith("a device would hear the same\n")
        assert (again.code, again.out.splitlines()) == (
            0,
            [f"{when} HTTP 200, FAILURE, badRequest, challenge password not accepted" for when in WHEN],
        )
        refused = run("log", "replay", granted, fresh.url.removesuffix("/scep"), "--json")
        assert refused.code == 1
        assert json.loads(refused.out)["same"] is False
        assert "give a good one by --challenge -" in refused.err
        did("challenge", "new", "--data", other, "--secret", "-", stdin=SECRET)
        assert "now:  HTTP 200, SUCCESS" in did(
            "log", "replay", granted, fresh.url, "--challenge", "-", stdin=SECRET
        )


def test_without_recordings_each_verb_says_so(tmp_path: Path) -> None:
    """Before the first start, with a wrong name, with a file that is something else."""
    nothing = tmp_path / "nothing"
    junk = tmp_path / "junk.json"
    hostile = {"format": FORMAT, **dict.fromkeys(("id", "remote", "operation", "outcome"), "x"), "status": 1}
    junk.write_text(json.dumps({**hostile, "at": "2026-06-01T10:00:00Z", "seconds": {"\x1b[2J": "x"}}))
    target = tmp_path / "out.json"

    assert listed(nothing) == []
    plain = run("log", "--data", nothing)
    assert (plain.code, plain.out, "nothing that fits was recorded" in plain.err) == (0, "", True)
    for arguments, code, words in (
        (("log", "show", "abcdef-1", "--data", nothing), 1, "no exchange abcdef-1 is recorded"),
        (("log", "export", "\x1b[2J", target, "--data", nothing), 1, "no exchange  [2J is recorded"),
        (("log", "replay", junk, "http://127.0.0.1:1/scep"), 2, "is no recording: seconds. [2J: "),
        (("log", "--since", "1h", "audit"), 2, "put --since behind audit"),
    ):
        done = run(*arguments)
        assert (done.code, done.out) == (code, ""), done.err
        assert words in done.err.splitlines()[-1]
    assert did("explain", "22013", "--data", nothing).startswith("iOS")


def test_a_short_list_knows_of_all_who_came_from_an_address(tmp_path: Path) -> None:
    """Else who asked last would be called by the one name that is on the list."""
    begun = {"format": FORMAT, "remote": "192.0.2.7", "status": 200, "outcome": "answered"}
    parts = [
        {"operation": "PKIOperation", "message": "PKCSReq", "subject": "CN=ipad-17"},
        {"operation": "PKIOperation", "message": "PKCSReq", "subject": "CN=ipad-18"},
        {"operation": "GetCACert"},
    ]
    lines = [
        json.dumps({**begun, **part, "id": f"abcdef-{number}", "at": f"2026-06-01T10:00:0{number}Z"})
        for number, part in enumerate(parts)
    ]
    (tmp_path / "recordings").mkdir()
    (tmp_path / "recordings" / "1795668935721-abcdef.jsonl").write_text("\n".join([*lines, ""]))

    told = run("log", "--limit", "2", "--data", tmp_path).out.splitlines()

    assert [line.split("\t")[2] for line in told] == ["ipad-18 (192.0.2.7)", "192.0.2.7"]
