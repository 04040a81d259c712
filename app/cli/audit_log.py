"""``log audit`` and ``log verify``: reading the audit log, and checking that nothing in it was changed."""

import re
import sys
from datetime import timedelta

import click
from rich.console import Console
from rich.progress import Progress

from app.cli.challenge import Duration, rfc3339
from app.cli.context import NotDone, Workplace, json_option, print_json, print_table, say, verb
from app.cli.log import begin_of, log
from app.store import SqlRepository
from app.store.records import AuditHead, AuditReport, Finding, WrittenEntry

_HEAD = re.compile(r"([0-9]{1,18}):([0-9a-fA-F]{64})")
# So many are told in words; --json has all of them.
_MOST_TOLD = 20
_SOME = 100


class _Head(click.ParamType[AuditHead]):
    """``NUMBER:HASH``."""

    name = "head"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> AuditHead:
        """The end of the log as it was."""
        match = _HEAD.fullmatch(str(value))
        if match is None:
            self.fail(f"{value!r} is not NUMBER:HASH, as log verify prints it", param, ctx)
        return AuditHead(int(match[1]), bytes.fromhex(match[2]))


@log.command()
@click.option("--since", type=Duration(), metavar="DURATION", help="Only what is no older, as in 7d.")
@click.option("--limit", type=click.IntRange(1, 1_000_000), default=_SOME, show_default=True)
@json_option
@verb
def audit(place: Workplace, since: timedelta | None, limit: int, as_json: bool) -> None:
    """List the newest decisions, the newest last."""
    place.require_ca()
    found = place.read(lambda repository: repository.list_audit(begin_of(since), limit))
    if as_json:
        print_json([_as_json(one) for one in found])
        return
    rows = [
        [
            str(one.number),
            f"{one.entry.at:%Y-%m-%d %H:%M:%S}",
            one.entry.actor,
            one.entry.action,
            one.entry.target,
            one.entry.outcome,
            one.entry.rule,
            one.entry.detail,
        ]
        for one in found
    ]
    print_table(["number", "at (UTC)", "actor", "action", "target", "outcome", "rule", "detail"], rows)


@log.command()
@click.option("--head", type=_Head(), metavar="NUMBER:HASH", help="Where it ended once, as it was printed.")
@json_option
@verb
def verify(place: Workplace, head: AuditHead | None, as_json: bool) -> None:
    """Check the whole audit log, and print where it ends. Keep that elsewhere, for --head."""
    place.require_ca()

    def check(repository: SqlRepository) -> AuditReport:
        total = repository.audit_head().number
        task = progress.add_task("checking", total=total)
        return repository.check_audit(head, lambda: progress.advance(task))

    with Progress(console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty()) as progress:
        report = place.read(check)
    if as_json:
        print_json(_report(report))
    if report.unchecked and not as_json:
        lost = "cannot be checked: their key was lost, as the next one says"
        say(f"note: entries 1 to {report.unchecked} {lost}")
    if report.findings:
        raise NotDone("\n".join(_in_words(report)))
    if not as_json:
        click.echo(str(report.head))
        say(f"whole: {report.head.number} entries; keep the line above elsewhere, for --head")


def _as_json(one: WrittenEntry) -> dict[str, object]:
    entry = one.entry
    return {
        "number": one.number,
        "at": rfc3339(entry.at),
        "actor": entry.actor,
        "action": entry.action,
        "target": entry.target,
        "outcome": entry.outcome,
        "rule": entry.rule,
        "detail": entry.detail,
        "hash": one.chain.hex(),
    }


def _report(report: AuditReport) -> dict[str, object]:
    return {
        "whole": not report.findings,
        "head": str(report.head),
        "unchecked": report.unchecked,
        "findings": [
            {"first": one.first, "last": one.last, "flaw": str(one.flaw), "what": one.what}
            for one in report.findings
        ],
        "more": report.is_cut,
    }


def _in_words(report: AuditReport) -> list[str]:
    told = [_told(one) for one in report.findings[:_MOST_TOLD]]
    if report.is_cut or len(report.findings) > _MOST_TOLD:
        told.append("and more; --json lists them")
    count = len(report.findings)
    return [
        *told,
        f"the audit log is not as it was written ({count} found): ask who could change the database",
    ]


def _told(one: Finding) -> str:
    which = f"entry {one.first}" if one.first == one.last else f"entries {one.first} to {one.last}"
    return f"{which}: {one.flaw}: {one.what}"
