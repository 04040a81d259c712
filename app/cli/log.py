"""``log``: what devices and server said to each other, listed, followed, told whole, and handed on."""

import json
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import click
from rich.console import Console
from rich.text import Text as RichText

from app.cli.cert import plain_serial
from app.cli.challenge import Duration
from app.cli.context import NotDone, Text, Workplace, json_option, print_json, print_table, say, verb
from app.cli.inspect import print_finding
from app.clock import utc_now
from app.data_folder import replace_private, write_private
from app.diagnosis.attributes import Role
from app.diagnosis.inspection import inspect, verdicts
from app.diagnosis.knowledge import Knowledge, knowledge
from app.diagnosis.opener import Opener
from app.hints import PROGRAM
from app.recorder.reading import Follower, InOrder, Wanted, each_recording, find_recording, list_recordings
from app.recorder.recording import Recording
from app.recorder.words import Names, at_time, what_happened, what_was_asked
from app.words import printable

_SOME = 100
_ALL = 1_000_000
_LOOK_SECONDS = 0.25
_WIDE = 4096
# No calendar reaches further back.
_AGES = timedelta(days=365_000)
_OCTETS = {"request", "reply"}


@click.group(invoke_without_command=True)
@click.option("--follow", is_flag=True, help="Tell what comes, until Ctrl-C.")
@click.option("--transaction", type=Text(), default="", metavar="ID", help="Only of this transactionID.")
@click.option("--subject", type=Text(), default="", metavar="TEXT", help="Only where the subject has this.")
@click.option("--serial", type=Text(), default="", help="Only about this certificate, in hexadecimal.")
@click.option("--remote", type=Text(), default="", metavar="ADDRESS", help="Only from this address.")
@click.option("--since", type=Duration(), metavar="DURATION", help="Only what is no older, as in 2h.")
@click.option("--limit", type=click.IntRange(1, _ALL), default=_SOME, show_default=True)
@json_option
@verb
def log(
    place: Workplace,
    follow: bool,
    transaction: str,
    subject: str,
    serial: str,
    remote: str,
    since: timedelta | None,
    limit: int,
    as_json: bool,
) -> None:
    """List what devices asked for lately and what came of it, the newest last.

    What an administrator or a device decided for good is in the audit log: log audit.
    """
    context = click.get_current_context()
    if context.invoked_subcommand is not None:
        given = {name for name in context.params if _is_given(context, name)}
        if given:
            option = f"--{min(given).replace('as_', '')}"
            raise click.UsageError(f"put {option} behind {context.invoked_subcommand}", context)
        return
    plain = plain_serial(serial) if serial else ""
    wanted = Wanted(transaction, subject, plain, remote, begin_of(since))
    folder = place.folder.recordings
    if follow:
        _follow(folder, wanted, as_json=as_json)
        return
    found = list_recordings(folder, wanted, limit)
    if as_json:
        print_json([_summary(one) for one in found])
        return
    names = Names(each_recording(folder))
    rows = [
        [one.id, f"{one.at.astimezone(UTC):%Y-%m-%d %H:%M:%S}", names.of(one), what_happened(one)]
        for one in found
    ]
    print_table(["id", "at (UTC)", "who", "what"], rows)
    if not found:
        say(f"nothing that fits was recorded in {folder}; what is kept, [recorder] in the settings says")


@log.command()
@click.argument("id")
@json_option
@verb
def show(place: Workplace, id: str, as_json: bool) -> None:
    """Tell one exchange whole: what came of it, why, and which clients mind what."""
    one = _find(place, id)
    if as_json:
        print_json(one.model_dump(mode="json"))
        return
    # A pipe has no width to fit.
    console = Console(highlight=False, width=None if sys.stdout.isatty() else _WIDE)
    for name, text in _fields(one):
        console.print(RichText.assemble((f"{name}: ", "bold"), printable(text)))
    console.print()
    known = knowledge()
    told = list(_findings(one, known))
    for finding, detail in told:
        print_finding(console, known.findings[finding], detail, known)
    if not told:
        console.print("nothing is wrong with it that is known here", style="green")


@log.command()
@click.argument("id")
@click.argument("file", metavar="FILE|-", type=click.Path(dir_okay=False, allow_dash=True, path_type=Path))
@click.option("--whole", is_flag=True, help="With what only the operator may read.")
@click.option("--force", is_flag=True, help="Replace a file that is there.")
@verb
def export(place: Workplace, id: str, file: Path, whole: bool, force: bool) -> None:
    """Write one exchange into a file, or with - to standard output, for inspect and log replay anywhere.

    Nothing in it is secret. What the device was not told (why exactly, and by whom a password was used) is
    left out, because the file is handed to others; --whole leaves it in.
    """
    found = _find(place, id)
    one = found if whole else found.for_others()
    content = f"{one.model_dump_json(indent=2, exclude_defaults=True)}\n".encode()
    left_out = "" if one == found else "without what the device was not told (--whole has it); "
    if str(file) == "-":
        click.echo(content, nl=False)
        say(f"{left_out}look into it by `{PROGRAM} inspect`")
        return
    try:
        (replace_private if force else write_private)(file, content)
    except FileExistsError as error:
        raise NotDone(f"{file} is there already: choose another name, or --force") from error
    say(f"written: {file}; {left_out}look into it by `{PROGRAM} inspect {file}`")


def begin_of(span: timedelta | None) -> datetime | None:
    """When *span* began that ends now; None where that is before all there is."""
    return utc_now() - span if span and span < _AGES else None


def _is_given(context: click.Context, name: str) -> bool:
    return context.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE


def _find(place: Workplace, id: str) -> Recording:
    found = find_recording(place.folder.recordings, id)
    if found is None:
        raise NotDone(f"no exchange {printable(id)} is recorded here (any more): `log` lists those that are")
    return found


def _follow(folder: Path, wanted: Wanted, *, as_json: bool) -> None:
    """Tell what comes in words, a line each, until somebody has seen enough."""
    follower, in_order = Follower(folder), InOrder()
    names = Names(each_recording(folder))

    def tell(found: list[Recording]) -> None:
        for one in found:
            names.note(one)
            if wanted.fits(one):
                words = f"{at_time(one)} {names.of(one)} {what_happened(one)}"
                click.echo(json.dumps(_summary(one)) if as_json else words)

    say(f"following {folder}; times are UTC, Ctrl-C ends it")
    try:
        while True:
            tell(in_order.put(follower.news()))
            time.sleep(_LOOK_SECONDS)
    except KeyboardInterrupt:
        tell(in_order.rest())


def _summary(one: Recording) -> dict[str, object]:
    """All but the octets."""
    return one.model_dump(mode="json", exclude=_OCTETS)


def _fields(one: Recording) -> Iterator[tuple[str, str]]:
    asked = one.asked
    fields = {
        "exchange": f"{one.id}, {one.at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC",
        "from": f"{one.remote}{f', which calls itself {one.client}' if one.client else ''}",
        "operation": f"{one.operation}, profile {one.profile}, HTTP {one.status or 'not answered'}",
        "what happened": what_happened(one),
        "told": f"{one.fail_info}: {one.reason}" if one.fail_info else "",
        "decided by": f"{one.rule}, at the stage {one.stage}" if one.rule else "",
        "transactionID": one.transaction_id,
        "subject": one.subject,
        "certificate": one.serial,
        "renewal of": one.renewal_of,
        "asked for": what_was_asked(one),
        "challenge password": asked.challenge if asked else "",
        "took": ", ".join(f"{stage} {seconds * 1000:.1f} ms" for stage, seconds in one.seconds.items()),
        "octets": f"request {len(one.request_octets)}, reply {len(one.reply_octets)}"
        + (", cut short" if one.cut else ""),
    }
    return ((name, text) for name, text in fields.items() if text)


def _findings(one: Recording, known: Knowledge) -> Iterator[tuple[str, str]]:
    """What the server noticed, and what is seen in the octets, each once."""
    found = {noticed.id: noticed.detail for noticed in one.findings if noticed.id in known.findings}
    opener = Opener(one.at)
    for octets, role in ((one.request_octets, Role.REQUEST), (one.reply_octets, Role.ANSWER)):
        if octets:
            for verdict in verdicts(inspect(octets, opener, role), known):
                found.setdefault(verdict.finding.id, verdict.note.detail)
    yield from found.items()
