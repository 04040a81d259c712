"""``challenge import``: many challenge passwords at once, from a CSV file, all or none."""

import csv
import io
import sys
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path

import click
from rich.console import Console
from rich.progress import Progress

from app.challenge_file import MOST_OCTETS, ChallengeFile, Row
from app.challenge_terms import MadeChallenge
from app.cli.challenge import challenge, rfc3339
from app.cli.context import Refusal, Workplace, say, verb
from app.clock import utc_now
from app.data_folder import write_private
from app.decisions import decision
from app.store import SqlRepository
from ca.policy.challenges import ChallengeKey

_AT_ONCE = 500
_MOST_WARNINGS = 20
_HEAD = ("id", "profile", "subject", "san", "uses", "expires", "sid", "note", "secret")


@challenge.command("import")
@click.argument("file", metavar="FILE.csv|-")
@click.option(
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Where the secrets go, for its owner alone to read; else to stdout. Never overwritten.",
)
@verb
def import_(place: Workplace, file: str, out: Path | None) -> None:
    """Make a challenge password for each row of a CSV file; the secrets come out as CSV.

    The first line names the columns, all of which may be left out: profile, subject, san (several with
    a bar between them, or as several columns), uses, valid, sid, note, secret.
    """
    place.require_ca()
    octets = _read(file)
    if out is not None and out.exists():
        raise Refusal(f"{out} is there already; choose another name for --out")
    with Progress(console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty()) as progress:
        rows = _check(place, file, octets, progress)
        made = _Making(place, file, out, rows).run(progress)
    if out is None:
        click.echo(made, nl=False)
        if sys.stdout.isatty():
            say("note: these secrets are on the screen now; --out FILE keeps them off it")
    where = f", in {out}" if out else ""
    say(f"{len(rows)} challenge password{'s' if len(rows) > 1 else ''} made{where}")


def _read(file: str) -> bytes:
    with nullcontext(sys.stdin.buffer) if file == "-" else Path(file).open("rb") as source:
        octets = source.read(MOST_OCTETS + 1)
    if len(octets) > MOST_OCTETS:
        raise Refusal(f"{file}: larger than {MOST_OCTETS >> 20} MiB; make it several files")
    return octets


def _check(place: Workplace, file: str, octets: bytes, progress: Progress) -> list[Row]:
    """The rows of a file without a mistake.

    Raises:
        Refusal: There are mistakes; all of them are told.

    """
    key = ChallengeKey(place.folder.load_secret())
    task = progress.add_task("checking", total=max(octets.count(b"\n") - 1, 1))
    reader = ChallengeFile(place.config.build_profiles(), utc_now())
    rows = reader.read(octets, lambda: progress.advance(task))
    problems = reader.problems
    brought = {key.mac(one.terms.secret): one.line for one in rows if one.terms.secret}
    if brought:
        there = place.read(lambda repository: repository.find_challenges(brought))
        problems += [(brought[mac], "secret: there is a challenge with it already") for mac in there]
    name = "standard input" if file == "-" else file
    if problems:
        raise Refusal("\n".join(f"{name}:{line}: {what}" for line, what in sorted(problems)))
    if not rows:
        raise Refusal(f"{file}: no rows below the first line; nothing to make")
    _warn(name, reader.warnings)
    return rows


def _warn(name: str, warnings: Sequence[tuple[int, str]]) -> None:
    for line, what in warnings[:_MOST_WARNINGS]:
        say(f"warning: {name}:{line}: {what}")
    if len(warnings) > _MOST_WARNINGS:
        say(f"warning: {name}: and {len(warnings) - _MOST_WARNINGS} more like these")


class _Making:
    """One transaction, and the file of the secrets in it: there are both in the end, or neither."""

    def __init__(self, place: Workplace, file: str, out: Path | None, rows: Sequence[Row]) -> None:
        self._place = place
        self._source = "standard input" if file == "-" else Path(file).name
        self._out = out
        key, now = ChallengeKey(place.folder.load_secret()), utc_now()
        self._made = [one.terms.make(key, now) for one in rows]

    def run(self, progress: Progress) -> str:
        """Make them all, and return the CSV with their secrets."""
        task = progress.add_task("making", total=len(self._made))
        written = False

        def work(repository: SqlRepository) -> str:
            nonlocal written
            numbers: list[int] = []
            for start in range(0, len(self._made), _AT_ONCE):
                some = [one.record for one in self._made[start : start + _AT_ONCE]]
                numbers += repository.add_challenges(some)
                progress.advance(task, len(some))
            target = f"challenges {min(numbers)} to {max(numbers)}"
            detail = f"{len(numbers)} from {self._source}"
            repository.add_audit(decision("challenge import", target, "made", detail))
            content = _csv(numbers, self._made)
            if self._out is not None:
                write_private(self._out, content.encode())
                written = True
            return content

        try:
            return self._place.transact(work)
        except BaseException:
            if written and self._out is not None:
                # Nobody will ever accept what is in it.
                self._out.unlink()
            raise


def _csv(numbers: Sequence[int], made: Sequence[MadeChallenge]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(_HEAD)
    for number, one in zip(numbers, made, strict=True):
        record = one.record
        writer.writerow(
            [
                number,
                record.profile,
                record.subject or "",
                "|".join(record.subject_alt_names or ()),
                "unlimited" if record.uses_left is None else record.uses_left,
                rfc3339(record.expires_at) if record.expires_at else "forever",
                record.sid or "",
                record.note,
                one.secret,
            ]
        )
    return text.getvalue()
