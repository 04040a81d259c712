"""``doctor``: what would fail for which client at any SCEP server, and why."""

import ssl
import sys
from collections.abc import Sequence
from pathlib import Path

import click
from rich.console import Console
from rich.progress import Progress
from rich.text import Text as RichText

from app.cli.context import Refusal, Seconds, Workplace, json_option, print_json, read_secrets, verb
from app.cli.doctor_plan import print_plan
from app.diagnosis.finding import Severity
from app.diagnosis.knowledge import Knowledge, knowledge
from app.doctor.examination import Request, examine, plan
from app.doctor.junit import junit
from app.doctor.report import Entry, Report, client_name, in_list, together
from app.doctor.step import Step
from app.doctor.target import Target
from app.personas import PERSONAS, Reach
from app.words import printable
from ca.x509.name import Name

_STYLES = {Severity.VIOLATION: "bold red", Severity.WARNING: "yellow", Severity.INFO: "cyan"}
_FILE = click.Path(dir_okay=False, exists=True, path_type=Path)
_MOST_CHALLENGES = 100
_ONLY_READ = "no certificate was asked for: with --challenge it enrols as each client too"


@click.command()
@click.argument("url")
@click.option(
    "--challenge",
    metavar="FILE|-",
    help="Enrol as well, with this challenge password: a file, or - for stdin; one on a line for each "
    "enrolment, or one that may be used often.",
)
@click.option(
    "--as",
    "as_",
    multiple=True,
    type=click.Choice(list(PERSONAS)),
    help="Have this client come by; may be given often. Without it all of them do.",
)
@click.option("--read-only", is_flag=True, help="Ask for no certificate, whatever else is given.")
@click.option("--subject", help="What certificates are asked for, as in CN=test; else names of its own.")
@click.option("--cafile", type=_FILE, help="Whom to trust in TLS instead of the system's authorities, PEM.")
@click.option("--timeout", type=Seconds(), default=30.0, show_default=True, help="Seconds an answer.")
@click.option("--dry-run", is_flag=True, help="Say what would be sent and why, and send nothing.")
@click.option(
    "--junit", "junit_file", type=click.Path(dir_okay=False, path_type=Path), help="Write JUnit XML too."
)
@json_option
@verb
def doctor(
    _: Workplace,
    url: str,
    challenge: str | None,
    as_: tuple[str, ...],
    read_only: bool,
    subject: str | None,
    cafile: Path | None,
    timeout: float,
    dry_run: bool,
    junit_file: Path | None,
    as_json: bool,
) -> int:
    """Examine the SCEP server at URL: what would fail for which client, why, and how it is mended.

    Without --challenge it only reads. Exit code 1 where something breaks a rule that a client insists on, or
    where a client stops: with --as even at what is only a note else.
    """
    request = Request(
        _target(url),
        _read_challenges(challenge),
        read_only,
        _check_subject(subject),
        as_ or tuple(PERSONAS),
        bool(as_),
        Reach(timeout, _read_trust(cafile)),
    )
    if dry_run and junit_file is not None:
        raise Refusal("--junit has nothing to write in a --dry-run: leave one of them out")
    if dry_run:
        print_plan(request, _console(), as_json=as_json)
        return 0
    report = _examine(request)
    known = knowledge()
    if as_json:
        print_json(report.as_json(known))
    else:
        _print(report, known)
        if report.passed and not (request.challenges or request.read_only):
            _console().print(RichText(_ONLY_READ, style="dim"))
    if junit_file is not None:
        _write(junit_file, junit(report, known))
    return 0 if report.passed else 1


def _write(file: Path, document: bytes) -> None:
    try:
        file.write_bytes(document)
    except OSError as error:
        raise Refusal(f"{file}: {error.strerror}; the report was not written there") from error


def _target(url: str) -> Target:
    try:
        target = Target(url)
    except ValueError as error:
        raise Refusal(str(error)) from error
    if "operation" in {name.lower() for name in target.query_names}:
        raise Refusal(f"{target.shown}: leave out operation=: every client puts its own there")
    return target


def _check_subject(text: str | None) -> str:
    try:
        return str(Name.from_text(text)) if text else ""
    except ValueError as error:
        raise Refusal(f"--subject {text!r} is no name such as CN=test,O=Example: {error}") from error


def _read_trust(cafile: Path | None) -> ssl.SSLContext | None:
    if cafile is None:
        return None
    try:
        return ssl.create_default_context(cafile=str(cafile))
    except ssl.SSLError as error:
        raise Refusal(f"{cafile}: no certificates in PEM") from error


def _read_challenges(source: str | None) -> tuple[str, ...]:
    """The challenge passwords, one on a line.

    Raises:
        Refusal: It cannot be read, is not UTF-8, or there is none in it.

    """
    if source is None:
        return ()
    try:
        found = read_secrets(source, "challenge password")[:_MOST_CHALLENGES]
    except OSError as error:
        raise Refusal(f"{source}: {error.strerror}; --challenge takes a file, or - for stdin") from error
    if not found:
        where = "standard input" if source == "-" else source
        raise Refusal(f"{where}: there is no challenge password in it, one on a line")
    return found


def _examine(request: Request) -> Report:
    """Examine, with a bar for a person who waits."""
    with Progress(console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty()) as progress:
        task = progress.add_task("looking", total=len(plan(request)))

        def tell(step: Step) -> None:
            progress.update(task, description=step.name, advance=1)

        return examine(request, tell)


def _console() -> Console:
    # A pipe has no width to fit.
    return Console(highlight=False, soft_wrap=not sys.stdout.isatty())


def _print(report: Report, known: Knowledge) -> None:
    console = _console()
    console.print(_headline(report))
    _print_failures(console, report, known)
    _print_clients(console, report, known)
    for entry in report.entries:
        console.print()
        _print_entry(console, entry, known)


def _print_failures(console: Console, report: Report, known: Knowledge) -> None:
    """What will fail for whom, before the reasons."""
    fails = report.fails()
    if not fails:
        return
    console.print()
    console.print(RichText("what will fail, for whom:", style="bold"))
    for client, entries in fails.items():
        line = RichText(f"  {client_name(client, known)}: ")
        for number, entry in enumerate(entries):
            line.append(", " if number else "")
            line.append(entry.finding.id, style=_STYLES[entry.severity])
        console.print(line)


def _print_clients(console: Console, report: Report, known: Knowledge) -> None:
    """Who came by and got a certificate, and who was seen to stop at what."""
    stops = [entry for entry in report.entries if entry.stopped]
    if report.enrolled or stops:
        console.print()
    if report.enrolled:
        console.print(RichText(f"got a certificate: {_names(report.enrolled, known)}"))
    if stops:
        told = (f"{_names(entry.stopped, known)} at {entry.finding.id}" for entry in stops)
        console.print(RichText(f"seen to stop: {'; '.join(told)}"))


def _names(clients: Sequence[str], known: Knowledge) -> str:
    return in_list(together(clients), known)


def _headline(report: Report) -> RichText:
    counts = [(report.count(one), one) for one in Severity]
    told = ", ".join(f"{count} {one}{'s' if count > 1 else ''}" for count, one in counts if count)
    asked = f"{report.requests} request{'s' if report.requests > 1 else ''}"
    line = RichText(f"{report.url}: ", style="bold")
    line.append(told or "nothing is wrong with it that is known here", style="" if told else "green")
    return line.append(f" ({asked} in {report.seconds:.1f} s)", style="dim")


def _print_entry(console: Console, entry: Entry, known: Knowledge) -> None:
    finding = entry.finding
    line = RichText(f"{entry.severity}: ", style=_STYLES[entry.severity])
    line.append(finding.what, style="bold" if entry.severity is Severity.VIOLATION else "")
    console.print(line)
    for client, does in finding.clients.items():
        console.print(RichText(f"  {known.clients[client]}: {does}"))
    if entry.stopped:
        console.print(RichText(f"  seen to stop here: {_names(entry.stopped, known)}"))
    console.print(RichText(printable(f"  seen: {entry.places}")))
    if entry.leads_to:
        console.print(RichText(f"  leads to: {', '.join(entry.leads_to)}"))
    console.print(RichText(f"  mend: {finding.fix}"))
    console.print(RichText(f"  {finding.id}, {finding.reference}, {finding.confidence.words}", style="dim"))
