"""A process that is copied is like one that was started: what the other tests find holds for both."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.command_line import CLEAN
from tests.processes import children
from tests.starting import CAN_COPY, Copy

pytestmark = pytest.mark.skipif(not CAN_COPY, reason="here each process is started from nothing")
Start = Callable[..., subprocess.Popen[str]]
PIPE = subprocess.PIPE
TELLING = """
import atexit, os, signal, sys, threading
atexit.register(print, "at the end")
print(__name__, __file__, sys.argv, sys.orig_argv, sys.path[0], os.getcwd(), dict(os.environ))
for one in (sys.stdin, sys.stdout, sys.stderr):
    print(one.fileno(), one.encoding, one.errors, one.line_buffering, one.write_through, one.isatty())
for one in (signal.SIGINT, signal.SIGTERM, signal.SIGPIPE, signal.SIGCHLD, signal.SIGHUP):
    print(one, signal.getsignal(one))
print(signal.pthread_sigmask(signal.SIG_BLOCK, []), oct(os.umask(0o22)), threading.active_count())
print(os.getpgrp(), os.getsid(0), os.getppid(), sorted(os.listdir("/proc/self/fd")))
print(ascii(sys.stdin.read()), file=sys.stderr)
"""
ENDS = {
    "returns": "",
    "status": "sys.exit(3)",
    "words": "sys.exit('this went wrong')",
    "exception": "1 / 0",
    "in a thread": "import threading; threading.Thread(target=lambda: 1 / 0).start()",
    "unraisable": "type('One', (), {'__del__': lambda _: 1 / 0})()",
    "interrupted": "os.kill(os.getpid(), signal.SIGINT); time.sleep(60)",
    "killed": "os.kill(os.getpid(), signal.SIGKILL)",
    "no reader": "os.close(1); print('lost')",
    "child of its own": "print(os.waitstatus_to_exitcode(os.wait()[1]) if os.fork() else sys.exit(4))",
}


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the programs are, and this process too, as streams that are not given are its own."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def both(program: Path, *words: str, said: str = "", **more: object) -> list[tuple[int, str, str]]:
    """How a program ends and what it says: started, and copied."""
    found = []
    for popen in (subprocess.Popen[str], Copy):
        arguments = [sys.executable, str(program), *words]
        options: dict[str, object] = {"env": CLEAN, "encoding": "utf-8", "errors": "surrogateescape", **more}
        with popen(arguments, stdin=PIPE, stdout=PIPE, stderr=PIPE, **options) as process:  # type: ignore[call-overload]
            out, err = process.communicate(said, timeout=60)
        found.append((process.returncode, out, err))
    return found


def test_it_finds_what_a_started_one_finds(folder: Path) -> None:
    """Arguments, folder, environment, streams, signals, files: whatever a program may look at."""
    program, elsewhere = folder / "telling.py", folder / "elsewhere"
    elsewhere.mkdir()
    program.write_text(TELLING)
    environment = {**CLEAN, "SCEPBOX_ANY": "umläut \udcff"}

    started, copied = both(
        program, "a b", "ü", "\udcff", said="zwölf\r\n\udcff", env=environment, cwd=elsewhere
    )

    assert started[0] == 0, started[2]
    assert copied == started


@pytest.mark.parametrize("end", ENDS)
def test_it_ends_as_a_started_one_does(folder: Path, end: str) -> None:
    """The status, and what Python says of an end that nobody caught, but for where it stood."""
    program = folder / "ending.py"
    program.write_text(f"import os, signal, sys, time\nprint('before')\n{ENDS[end]}\n")

    (code, out, err), copied = both(program)

    assert (copied[0], copied[1]) == (code, out)
    assert _without_places(copied[2]) == _without_places(err)


def test_it_is_a_child_that_signals_reach(folder: Path) -> None:
    """As a service manager does it, and with nothing in between that would have to be ended too."""
    program = folder / "waiting.py"
    program.write_text("import sys, time\nsys.stdout.write('ready\\n')\nsys.stdout.flush()\ntime.sleep(60)\n")
    with Copy([sys.executable, str(program)], stdout=PIPE, env=CLEAN, encoding="utf-8") as process:
        assert process.stdout
        assert process.stdout.readline() == "ready\n"
        assert process.poll() is None
        assert process.pid in children(os.getpid())
        process.send_signal(signal.SIGTERM)

        assert process.wait(60) == -signal.SIGTERM
        assert process.stdout.read() == ""


def test_many_can_be_started_at_once(folder: Path) -> None:
    """Each with streams of its own: one that kept another's open would keep its reader waiting."""
    program = folder / "saying.py"
    program.write_text("import sys\nprint(sys.argv[1], sys.stdin.read())\n")
    streams = {"stdin": PIPE, "stdout": PIPE, "env": CLEAN, "encoding": "utf-8"}
    processes = [Copy([sys.executable, str(program), str(number)], **streams) for number in range(4)]  # type: ignore[call-overload]

    said = [process.communicate(f"to {number}", timeout=60)[0] for number, process in enumerate(processes)]

    assert said == [f"{number} to {number}\n" for number in range(4)]


def _without_places(text: str) -> list[str]:
    lines = re.sub(r"0x\w+", "0x", text).splitlines()
    return [line for line in lines if not line.startswith(" ")]
