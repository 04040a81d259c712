"""The program as a person runs it: processes of their own, and what they print and leave behind."""

import os
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO
from urllib.request import urlopen

from tests.starting import CAN_COPY, Copy
from tests.world import ROOT

# What the machine of the tester has set must not reach the program.
CLEAN = {name: value for name, value in os.environ.items() if not name.startswith("SCEPBOX_")}


@dataclass(frozen=True, slots=True)
class Done:
    """How a verb ended."""

    code: int
    out: str
    err: str


def run(
    *arguments: object,
    stdin: str = "",
    environment: dict[str, str] | None = None,
    cwd: Path | None = None,
    inside: Sequence[str] = (),
) -> Done:
    """Run a verb to its end; *inside* is a command that runs the command it is given."""
    pipe = subprocess.PIPE
    with start(
        *arguments, environment=environment, cwd=cwd, inside=inside, stdin=pipe, stdout=pipe, stderr=pipe
    ) as process:
        try:
            out, err = process.communicate(stdin, timeout=60)
        except BaseException:
            process.kill()
            raise
    return Done(process.returncode, out, err)


def did(*arguments: object, stdin: str = "") -> str:
    """Run a verb that must succeed, and return its standard output."""
    done = run(*arguments, stdin=stdin)
    assert done.code == 0, done.err
    return done.out


@dataclass
class Service:
    """A running service: *log* is what it said on standard error, whole once it was stopped."""

    url: str
    process: subprocess.Popen[str]
    log_file: Path
    ready: str
    code: int | None = None

    @property
    def log(self) -> str:
        """Standard error so far."""
        return self.log_file.read_text()

    def get(self, path: str) -> tuple[str, bytes]:
        """Media type and body of *path* on this service."""
        with urlopen(self.url.removesuffix("/scep") + path, timeout=10) as answer:
            return answer.headers["Content-Type"], answer.read()


@contextmanager
def serving(
    *arguments: object, log: Path, environment: dict[str, str] | None = None, inside: Sequence[str] = ()
) -> Iterator[Service]:
    """Start it with *arguments* (no verb is added) and stop it as a service manager does.

    *inside* is a command that becomes the command it is given.
    """
    with log.open("w") as stderr:
        process = start(
            *arguments, environment=environment, inside=inside, stdout=subprocess.PIPE, stderr=stderr
        )
    assert process.stdout
    with process.stdout as stdout:
        deadline = threading.Timer(30, process.kill)
        deadline.start()
        ready = stdout.readline()
        deadline.cancel()
        service = Service(ready.removeprefix("ready: ").strip(), process, log, ready)
        try:
            assert ready, service.log
            yield service
        finally:
            process.terminate()
            service.code = process.wait(timeout=30)


def start(
    *arguments: object,
    environment: dict[str, str] | None = None,
    cwd: Path | None = None,
    inside: Sequence[str] = (),
    stdin: int | IO[str] | None = None,
    stdout: int | IO[str] | None = None,
    stderr: int | IO[str] | None = None,
) -> subprocess.Popen[str]:
    """Start a verb with these streams, of text.

    Where that can be, the process is a copy of one that has loaded the application (tests/starting.py):
    what Python itself or a library looks for as it starts, and another program, need a start from nothing.
    """
    ours = all(name.startswith("SCEPBOX_") for name in environment or {})
    popen = Copy if CAN_COPY and ours and not inside else subprocess.Popen[str]
    return popen(
        [*inside, *command(*arguments)],
        stdin=stdin,
        stdout=stdout,
        stderr=stderr,
        encoding="utf-8",
        # "\udcff" is the octet FF: what is no text can be given and is shown.
        errors="surrogateescape",
        env={**CLEAN, **(environment or {})},
        cwd=cwd,
    )


def command(*arguments: object) -> list[str]:
    """The command line of a verb, for who starts Python anew."""
    return [sys.executable, str(ROOT / "run.py"), *map(str, arguments)]
