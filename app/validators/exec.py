"""``exec``: a program that is run for each request, and decides by its exit code and what it prints."""

import asyncio
import json
import logging
import os
import signal
import subprocess
import time
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from app.validators.facts import facts
from app.validators.redaction import Redaction
from app.validators.verdict import MAX_OCTETS, NoVerdict, Statement, read_statement, safe_text
from ca.errors import ValidatorUnavailable
from ca.journal import log_line
from ca.ports import Applicant, Verdict

log = logging.getLogger(__name__)
ALLOW, DENY, HOLD = 0, 1, 2
MAX_STDERR = 2000
_STDIN, _STDOUT, _STDERR = 0, 1, 2
# How long a program that was killed is waited for, which takes no time unless the system is in trouble.
_REAP_SECONDS = 2.0
# What programs cannot do without. Nothing else of ours, for there may be secrets among it.
_ENVIRONMENT = (
    ("SYSTEMROOT", "SYSTEMDRIVE", "PATH", "PATHEXT", "COMSPEC", "TEMP", "TMP")
    if os.name == "nt"
    else ("PATH", "LANG", "LC_ALL", "TZ", "TMPDIR")
)


@dataclass(frozen=True, slots=True)
class ExecValidator:
    """Runs *command* in the folder *cwd*, with all that is known of a request as JSON on standard input.

    Exit code 0 is yes, 1 no and 2 for a person to decide. JSON on standard output may say the reason
    and the names; what contradicts the exit code counts as no answer, and so does everything else.
    """

    name: str
    command: tuple[str, ...]
    cwd: Path
    timeout_seconds: float

    @property
    def wants_notifications(self) -> bool:
        """Never."""
        return False

    def decide(self, applicant: Applicant) -> Verdict:
        """Run it (see :class:`ca.ports.Validator`)."""
        seconds = applicant.asked_at + self.timeout_seconds - time.monotonic()
        if seconds <= 0:
            # Nobody waits for its answer any more.
            raise self._unavailable(f"no turn within {self.timeout_seconds:g} s")
        run = asyncio.run(self._run(json.dumps(facts(applicant)).encode("utf-8"), seconds))
        redact = Redaction.of(applicant)
        self._tell_stderr(run.stderr, redact)
        if run.failure:
            raise self._unavailable(run.failure)
        try:
            return _read(run.code, bytes(run.stdout), redact).verdict()
        except NoVerdict as error:
            raise self._unavailable(f"what it printed is no verdict: {error}") from error

    async def _run(self, stdin: bytes, seconds: float) -> "_Run":
        loop = asyncio.get_running_loop()
        run = _Run(stdin)
        try:
            transport, _ = await loop.subprocess_exec(
                lambda: run,
                *self.command,
                cwd=self.cwd,
                env={name: os.environ[name] for name in _ENVIRONMENT if name in os.environ},
                # A group of its own, so that what it started ends with it.
                start_new_session=True,
                creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
            )
        except (OSError, ValueError) as error:
            run.failure = f"{self.command[0]} cannot be run: {getattr(error, 'strerror', None) or error}"
            return run
        try:
            async with asyncio.timeout(seconds):
                await run.over.wait()
        except TimeoutError:
            run.failure = f"no end within {self.timeout_seconds:g} s"
        if run.failure:
            _kill(transport)
            with suppress(TimeoutError):
                await asyncio.wait_for(run.exited.wait(), _REAP_SECONDS)
        # Whatever escaped from the group may hold the pipes open; they are let go of here.
        transport.close()
        with suppress(TimeoutError):
            await asyncio.wait_for(run.closed.wait(), _REAP_SECONDS)
        run.code = transport.get_returncode()
        return run

    def _tell_stderr(self, octets: bytearray, redact: Redaction) -> None:
        text = redact(octets.decode("utf-8", "replace"))
        if len(octets) >= MAX_OCTETS:
            # What was cut in two is not known again.
            text = text[: max(0, len(text) - redact.longest)]
        text = text.strip()
        if text:
            log.warning(log_line(validator=self.name, stderr=text[:MAX_STDERR]))

    def _unavailable(self, why: str) -> ValidatorUnavailable:
        return ValidatorUnavailable(detail=f"validator {self.name}: {safe_text(why)}")


class _Run(asyncio.SubprocessProtocol):
    """One run: what is written and read meanwhile, bounded. *over* is set when nothing more will come."""

    def __init__(self, stdin: bytes) -> None:
        self._stdin = stdin
        self.stdout = bytearray()
        self.stderr = bytearray()
        self.code: int | None = None
        self.failure = ""
        self.over, self.exited, self.closed = asyncio.Event(), asyncio.Event(), asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Hand the request over."""
        if isinstance(transport, asyncio.SubprocessTransport):
            pipe = transport.get_pipe_transport(_STDIN)
            if isinstance(pipe, asyncio.WriteTransport):
                pipe.write(self._stdin)
                pipe.close()

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        """Keep what it prints, as far as there is room."""
        if fd == _STDERR:
            self.stderr += data[: MAX_OCTETS - len(self.stderr)]
        elif fd == _STDOUT and not self.failure:
            self.stdout += data
            if len(self.stdout) > MAX_OCTETS:
                self.failure = f"it printed more than {MAX_OCTETS} octets"
                self.over.set()

    def process_exited(self) -> None:
        """Note that it has ended; what it started may still print."""
        self.exited.set()

    def connection_lost(self, exc: Exception | None) -> None:
        """It has ended, and nobody holds its output open any more."""
        self.closed.set()
        self.over.set()


def _kill(transport: asyncio.SubprocessTransport) -> None:
    """End it, and on POSIX all that it started."""
    if hasattr(os, "killpg"):
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(transport.get_pid(), signal.SIGKILL)
    else:
        with suppress(ProcessLookupError):
            transport.kill()


def _read(code: int | None, stdout: bytes, redact: Redaction) -> Statement:
    """What exit code and output say together.

    Raises:
        NoVerdict: They contradict each other, or one of them says nothing.

    """
    if code not in (ALLOW, DENY, HOLD):
        raise NoVerdict(f"it ended with {_how(code)}")
    said = read_statement(stdout, redact) if stdout.strip() else Statement()
    if said.allow not in (None, code == ALLOW) or (said.hold and code != HOLD):
        raise NoVerdict(f"it contradicts exit code {code}")
    return replace(said, allow=code == ALLOW, hold=code == HOLD)


def _how(code: int | None) -> str:
    if code is None or code >= 0:
        return f"exit code {code}"
    try:
        return f"signal {signal.Signals(-code).name}"
    except ValueError:
        return f"signal {-code}"
