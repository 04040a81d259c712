"""A program that decides: what it is told, what its end means, and all the ways in which it fails."""

import base64
import json
import logging
import os
import signal
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import quote

import pytest

from app.validators.exec import MAX_STDERR, ExecValidator
from app.validators.verdict import REFUSED
from ca.errors import ValidatorUnavailable
from ca.ports import Allowed, Deferred, Denied, Verdict
from ca.profiles import Grants
from tests.applicants import PASSWORD, applicant

LIMIT = 5.0
SHORT = 0.7
# How much later than its limit an answer may come on a machine that is busy with other tests.
SLACK = 3.0


@pytest.fixture
def program(tmp_path: Path) -> Callable[..., ExecValidator]:
    """A validator of a few lines of Python."""

    def make(lines: str, limit: float = LIMIT) -> ExecValidator:
        path = tmp_path / "validator.py"
        path.write_text(f"import json, os, sys, time\n{lines}\n", "utf-8")
        # -I: it starts in less time, and looks for nothing in its environment.
        return ExecValidator("inventory", (sys.executable, "-I", str(path)), tmp_path, limit)

    return make


Program = Callable[..., ExecValidator]


def unavailable(validator: ExecValidator, password: str | None = PASSWORD) -> str:
    """The detail for the log of a validator that gives no verdict."""
    with pytest.raises(ValidatorUnavailable) as caught:
        validator.decide(applicant(password))
    assert "inventory" in caught.value.detail
    return caught.value.detail


@pytest.mark.parametrize(
    ("code", "expected"), [(0, Allowed()), (1, Denied(REFUSED)), (2, Deferred())], ids=["yes", "no", "later"]
)
def test_the_exit_code_decides(program: Program, code: int, expected: Verdict) -> None:
    """What a shell script can say without writing JSON."""
    assert program(f"sys.exit({code})").decide(applicant()) == expected


def test_it_is_told_everything(program: Program, tmp_path: Path) -> None:
    """On standard input, as one JSON object."""
    validator = program("open('told.json', 'wb').write(sys.stdin.buffer.read())")

    validator.decide(applicant(renewal_of="1f"))

    told = json.loads((tmp_path / "told.json").read_bytes())
    assert told.pop("csr").startswith("-----BEGIN CERTIFICATE REQUEST-----\n")
    signer = told.pop("signer")
    assert signer.startswith("-----BEGIN CERTIFICATE-----\n")
    assert told == {
        "profile": "phones",
        "transaction_id": "0123ABCD",
        "message_type": "PKCSReq",
        "subject": "CN=ipad-17",
        "subject_alt_names": ["dns:ipad-17.example.org", "upn:ada@example.org"],
        "key_type": "rsa:2048",
        "challenge_password": PASSWORD,
        "signer_chain": [signer],
        "renewal_of": "1f",
        "remote": "192.0.2.7",
        "client": "test-client/1.0",
        "received_at": "2026-06-01T12:00:00Z",
    }


def test_what_it_prints_says_more(program: Program) -> None:
    """Names in the place of the device's own, and a reason."""
    grants = program("print(json.dumps({'subject': 'CN=a', 'subject_alt_names': [], 'reason': 'asset 7'}))")
    refusal = program("print(json.dumps({'allow': False, 'reason': 'asset 7 is gone'})); sys.exit(1)")

    assert refusal.decide(applicant()) == Denied("asset 7 is gone")
    # The same file was written over, and is read when it is run.
    assert program('print(\'{"allow": true, "sid": "S-1-5-21-1-2-3-7"}\')').decide(applicant()) == Allowed(
        Grants(sid="S-1-5-21-1-2-3-7")
    )
    assert grants.command == refusal.command


@pytest.mark.parametrize(
    "lines",
    [
        "print('{\"allow\": false}')",
        "print('{\"hold\": true}')",
        "print('{\"allow\": true}'); sys.exit(1)",
        "print('{\"hold\": true}'); sys.exit(1)",
        "print('{\"allow\": true}'); sys.exit(2)",
        "print('fine')",
        "print('fine'); sys.exit(1)",
        "print('[]')",
        "sys.stdout.buffer.write(bytes(range(256)))",
    ],
)
def test_an_output_that_contradicts_or_means_nothing_is_no_verdict(program: Program, lines: str) -> None:
    """One of the two is a mistake, and nobody knows which."""
    assert "no verdict" in unavailable(program(lines))


@pytest.mark.parametrize(
    ("lines", "why"),
    [
        ("sys.exit(3)", "exit code 3"),
        ("sys.exit(127)", "exit code 127"),
        pytest.param(
            "os.kill(os.getpid(), 9)",
            "signal SIGKILL",
            marks=pytest.mark.skipif(os.name == "nt", reason="Windows has no signals"),
        ),
    ],
)
def test_any_other_end_is_no_verdict(program: Program, lines: str, why: str) -> None:
    """A program that is killed for its memory has not said yes."""
    assert why in unavailable(program(lines))


def test_a_program_that_is_missing_is_no_verdict(tmp_path: Path) -> None:
    """It was moved, or is there on another machine alone."""
    missing = str(tmp_path / "nowhere")

    assert "cannot be run" in unavailable(ExecValidator("inventory", (missing,), tmp_path, LIMIT))


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such right")
def test_a_program_that_may_not_be_run_is_no_verdict(tmp_path: Path) -> None:
    """A file that was copied without its rights."""
    path = tmp_path / "validator"
    path.write_text("#!/bin/sh\nexit 0\n")

    assert "cannot be run" in unavailable(ExecValidator("inventory", (str(path),), tmp_path, LIMIT))


def test_a_folder_that_is_gone_is_no_verdict(program: Program, tmp_path: Path) -> None:
    """The data folder was on a disk that was taken away."""
    command = program("").command

    assert "cannot be run" in unavailable(ExecValidator("inventory", command, tmp_path / "gone", LIMIT))


def timed(work: Callable[[], str]) -> tuple[str, float]:
    started = time.monotonic()
    return work(), time.monotonic() - started


@pytest.mark.parametrize(
    "lines",
    [
        pytest.param("time.sleep(60)", id="sleeps"),
        pytest.param("while True: pass", id="computes for ever"),
        pytest.param(
            "sys.stdout.close(); os.close(1); os.close(2); time.sleep(60)", id="says it is done, and stays"
        ),
        pytest.param(
            "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(60)", id="will not end"
        ),
        pytest.param("print('{\"allow\": true}', flush=True); time.sleep(60)", id="says yes and stays"),
    ],
)
def test_one_that_hangs_is_killed_in_time(program: Program, lines: str) -> None:
    """The device is answered, and the program does not stay behind."""
    validator = program(f"open('pid', 'w').write(str(os.getpid()))\n{lines}", SHORT)

    detail, seconds = timed(lambda: unavailable(validator))

    assert "no end within 0.7 s" in detail
    assert SHORT <= seconds < SHORT + SLACK
    assert not _is_alive(validator.cwd / "pid")


def test_who_waited_too_long_for_a_turn_is_not_asked_about(program: Program) -> None:
    """The limit is one of the clock on the wall, and began when the request was handed over."""
    validator = program("open('run', 'w')", SHORT)

    with pytest.raises(ValidatorUnavailable) as caught:
        validator.decide(applicant(asked_at=time.monotonic() - 2 * SHORT))

    assert "no turn within 0.7 s" in caught.value.detail
    assert not (validator.cwd / "run").exists()


FORK = """
if os.fork() == 0:
    {child}
    open('pid', 'w').write(str(os.getpid()))
    time.sleep(60)
    os._exit(0)
while not os.path.exists('pid') or not open('pid').read():
    time.sleep(0.01)
print('{{"allow": true}}')
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
def test_a_child_that_keeps_the_output_open_is_killed_with_it(program: Program) -> None:
    """Whether it would have printed more nobody knows."""
    validator = program(FORK.format(child="pass"), SHORT)

    detail, seconds = timed(lambda: unavailable(validator))

    assert "no end within 0.7 s" in detail
    assert seconds < SHORT + SLACK
    assert not _is_alive(validator.cwd / "pid")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
def test_a_child_that_leaves_the_group_does_not_keep_the_device_waiting(program: Program) -> None:
    """It cannot be killed with the others; its end of the pipe is let go of."""
    validator = program(FORK.format(child="os.setsid()"), SHORT)

    try:
        detail, seconds = timed(lambda: unavailable(validator))
    finally:
        os.kill(int((validator.cwd / "pid").read_text()), signal.SIGKILL)

    assert "no end within 0.7 s" in detail
    assert seconds < SHORT + SLACK


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
def test_a_child_that_lets_go_of_the_output_may_stay(program: Program) -> None:
    """A program may start what runs on, such as a report to somebody."""
    validator = program(FORK.format(child="os.closerange(0, 3); os.setsid()"))

    try:
        assert validator.decide(applicant()) == Allowed()
    finally:
        os.kill(int((validator.cwd / "pid").read_text()), signal.SIGKILL)


def test_a_flood_is_cut_off(program: Program) -> None:
    """It neither fills the memory nor has to be waited for."""
    detail, seconds = timed(
        lambda: unavailable(program("while True: sys.stdout.write('x' * 65536)", 20.0), "secret-of-device")
    )

    assert "printed more than 65536 octets" in detail
    assert seconds < 10


def test_a_flood_of_errors_is_read_and_dropped(program: Program, caplog: pytest.LogCaptureFixture) -> None:
    """A pipe that nobody reads would stop the program; the log has a line of it."""
    validator = program("sys.stderr.write('e' * 3_000_000); sys.exit(1)")

    assert validator.decide(applicant()) == Denied(REFUSED)
    (line,) = [record.getMessage() for record in caplog.records if "stderr=" in record.getMessage()]
    assert len(line) < MAX_STDERR + 100


def test_one_that_does_not_read_its_input_may_decide(program: Program) -> None:
    """A broken pipe is no fault of the server's; what is sent is more than a pipe holds."""
    validator = program("os.close(0); sys.exit(1)")

    assert validator.decide(applicant(client="x" * 300_000)) == Denied(REFUSED)


def test_errors_go_to_the_log_in_one_line_and_without_secrets(
    program: Program, caplog: pytest.LogCaptureFixture
) -> None:
    """The author of the program needs them; a challenge password in them is nobody's business."""
    lines = "told = json.load(sys.stdin); sys.exit('no asset\\n\\x1b[31m' + told['challenge_password'])"

    with caplog.at_level(logging.DEBUG):
        verdict = program(lines).decide(applicant())

    assert verdict == Denied(REFUSED)
    assert 'stderr="no asset\\n\\u001b[31m***"' in caplog.text
    assert PASSWORD not in caplog.text


ODD = "hü\"n'ter 2/+&"
LEAKS = {
    "its input": "sys.stderr.write(sys.stdin.read())",
    "its input, escaped once more": "sys.stderr.write(json.dumps(sys.stdin.read()))",
    "its input, as Python shows it": "sys.stderr.write(repr(json.load(sys.stdin)))",
    "the CSR": "sys.stderr.write(json.load(sys.stdin)['csr'])",
    "a piece of the CSR in one line": (
        "csr = ''.join(json.load(sys.stdin)['csr'].splitlines()[1:-1]); sys.stderr.write('x ' + csr[200:])"
    ),
    "the CSR in base64 for addresses": (
        "sys.stderr.write(json.load(sys.stdin)['csr'].replace('+', '-').replace('/', '_'))"
    ),
    "the CSR in hexadecimal": (
        "import base64; csr = json.load(sys.stdin)['csr'].splitlines()[1:-1];"
        "sys.stderr.write(base64.b64decode(''.join(csr)).hex())"
    ),
    "an address": (
        "import urllib.parse; p = json.load(sys.stdin)['challenge_password'];"
        "sys.stderr.write(urllib.parse.quote(p) + ' ' + urllib.parse.urlencode({'p': p}))"
    ),
    "HTTP's basic authentication": (
        "import base64; p = json.load(sys.stdin)['challenge_password'];"
        "sys.stderr.write(base64.b64encode(('user:' + p).encode()).decode())"
    ),
    "more than is read of it": (
        "p = json.load(sys.stdin)['challenge_password'];"
        "sys.stderr.write((p * 70000).encode()[:65536 - 5].decode('utf-8', 'ignore') + p)"
    ),
}


@pytest.mark.parametrize("password", [PASSWORD, ODD], ids=["plain", "odd"])
@pytest.mark.parametrize("lines", LEAKS.values(), ids=LEAKS)
def test_a_program_that_prints_what_it_was_told_tells_the_log_nothing(
    program: Program, caplog: pytest.LogCaptureFixture, lines: str, password: str
) -> None:
    """`set -x`, a traceback or a line for debugging; the log is read by more people than the CSR."""
    asked = applicant(password)
    body = base64.b64encode(asked.csr).decode()

    program(f"sys.stdin.reconfigure(encoding='utf-8'); {lines}").decide(asked)

    (line,) = [record.getMessage() for record in caplog.records if "stderr=" in record.getMessage()]
    told = json.loads(line.partition("stderr=")[2]) if '"' in line else line
    for hidden in (password, json.dumps(password)[1:-1], password[:6], quote(password)):
        assert hidden not in told
    assert not any(body[start : start + 12] in told for start in range(len(body) - 12))
    assert asked.csr.hex()[100:140] not in told
    assert base64.b64encode(b"user:" + password.encode()).decode()[8:-4] not in told


def test_a_reason_that_repeats_the_challenge_password_is_told_without_it(program: Program) -> None:
    """A reason goes to the device and to the log."""
    lines = (
        "print(json.dumps({'reason': 'unknown: ' + json.load(sys.stdin)['challenge_password']})); sys.exit(1)"
    )

    assert program(lines).decide(applicant()) == Denied("unknown: ***")


def test_its_environment_holds_no_secret_of_ours(
    program: Program, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Secrets of other validators may be in the server's environment."""
    monkeypatch.setenv("SCEPBOX_VALIDATOR__MDM__SECRET", "another's secret")
    monkeypatch.setenv("HTTPS_PROXY", "http://user:password@proxy.example.org")

    program("open('env', 'w').write(json.dumps(dict(os.environ)))").decide(applicant())

    names = set(json.loads((tmp_path / "env").read_text()))
    assert "PATH" in names
    # LC_CTYPE is of Python's own making (PEP 538).
    assert names <= {"PATH", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "TMPDIR"} or os.name == "nt"
    assert not names & {"SCEPBOX_VALIDATOR__MDM__SECRET", "HTTPS_PROXY"}


def test_no_shell_reads_the_arguments(program: Program, tmp_path: Path) -> None:
    """What stands in the settings is what is run."""
    path = program("sys.exit(1 if sys.argv[1:] == ['$(touch made); `touch made`', '*'] else 0)").command

    validator = ExecValidator("inventory", (*path, "$(touch made); `touch made`", "*"), tmp_path, LIMIT)

    assert validator.decide(applicant()) == Denied(REFUSED)
    assert not (tmp_path / "made").exists()


def test_nothing_is_left_open(program: Program) -> None:
    """A server runs for months: no pipe, child or thread may stay behind, after failures least of all."""
    if not Path("/proc/self/fd").exists():
        pytest.skip("this system does not show what is open")
    hanging, fine = program("time.sleep(60)", 0.2), None
    unavailable(hanging)
    before = len(list(Path("/proc/self/fd").iterdir()))

    for _ in range(3):
        unavailable(hanging)
    fine = program("sys.exit(0)")
    for _ in range(3):
        fine.decide(applicant())

    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_many_run_side_by_side_in_threads(program: Program) -> None:
    """As they do in a server: one hangs, and the others are done meanwhile."""
    hangs = "sys.stdin.buffer.read().find(b'slow') >= 0 and time.sleep(60)"
    validator = program(f"{hangs}\nsys.exit(1)", 4.0)

    with ThreadPoolExecutor(6) as pool:
        slow = pool.submit(unavailable, validator, "slow")
        others = [pool.submit(validator.decide, applicant("quick")) for _ in range(5)]
        verdicts = [other.result() for other in others]
        was_done = slow.done()

    assert verdicts == [Denied(REFUSED)] * 5
    assert not was_done
    assert "no end within 4 s" in slow.result()


def test_it_is_never_told_afterwards(program: Program) -> None:
    """A program that wants to know is asked again at the next request."""
    assert not program("").wants_notifications


def _is_alive(pid_file: Path) -> bool:
    """Whether the process still runs; one that was killed may be there a moment longer."""
    pid = int(pid_file.read_text())
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return False
        status = Path(f"/proc/{pid}/status")
        if status.exists() and "\nState:\tZ" in status.read_text():
            return False
        time.sleep(0.05)
    return True
