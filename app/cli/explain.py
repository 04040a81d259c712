"""``explain``: what a device's code or message means, and what to check, in order."""

import sys

import click
from rich.console import Console
from rich.text import Text as RichText

from app.cli.challenge import rfc3339
from app.cli.context import NotDone, Text, Workplace, json_option, print_json, say, verb
from app.clock import utc_now
from app.diagnosis.explain import Explanation, code_forms, explain
from app.diagnosis.finding import Finding, Symptom
from app.diagnosis.knowledge import Knowledge, knowledge
from app.hints import PROGRAM
from app.recorder.fitting import LATELY, Fit, find_fits
from app.recorder.reading import Wanted, list_recordings
from app.recorder.words import at_time, what_happened
from app.words import printable

_SHOWN = 60
_ALL = 1_000_000


@click.command(
    "explain",
    # A code that begins with - is no option.
    context_settings={"ignore_unknown_options": True},
)
@click.argument("text", metavar="CODE|TEXT", type=Text(), nargs=-1, required=True)
@json_option
@verb
def explain_(place: Workplace, text: tuple[str, ...], as_json: bool) -> None:
    """Say what a device's error code or message means, and what to check, in order.

    Where the server of the data folder recorded an exchange of the last minutes that fits, say so first.
    A code may be decimal or hexadecimal; a text may be a whole line of a log, - reads it from standard input.
    """
    words = " ".join(text)
    words = sys.stdin.buffer.read(1 << 16).decode("utf-8", "replace") if words == "-" else words
    known = knowledge()
    found = explain(words, known)
    fits = _find_fits(place, found)
    if as_json:
        print_json({**_as_json(found, known), "recorded": [_fit_json(one) for one in fits]})
    if not found.symptoms:
        raise NotDone(_nothing(words, found))
    if not as_json:
        _print_fits(fits, place, known)
        _print(found, known)


def _nothing(words: str, found: Explanation) -> str:
    shown = printable(words.strip())
    shown = shown if len(shown) <= _SHOWN else f"{shown[:_SHOWN]}..."
    if found.suggestions:
        return f"{shown!r} is not known; did you mean: {', '.join(found.suggestions)}?"
    advice = f"give the code alone, or the reply itself to `{PROGRAM} inspect`"
    return f"{shown!r} is not known; {advice}"


def _print(found: Explanation, known: Knowledge) -> None:
    console = Console(highlight=False, soft_wrap=not sys.stdout.isatty())
    for number, symptom in enumerate(found.symptoms):
        if number:
            console.print()
        console.print(RichText(_title(symptom, known), style="bold"))
        console.print(RichText(symptom.means))
        console.print(RichText(f"source: {_sources(symptom, known)}", style="dim"))
        console.print(RichText("check, in this order:"))
        for place, cause in enumerate(symptom.causes, 1):
            _print_cause(console, place, known.findings[cause], symptom)


def _find_fits(place: Workplace, found: Explanation) -> list[Fit]:
    now = utc_now()
    try:
        recordings = list_recordings(place.folder.recordings, Wanted(since=now - LATELY), _ALL)
    except OSError as error:
        # Whoever has no server here, or may not read what it keeps, is answered all the same.
        say(f"note: what was recorded cannot be read: {error.strerror or error}")
        return []
    return find_fits(recordings, found.symptoms, now)


def _print_fits(fits: list[Fit], place: Workplace, known: Knowledge) -> None:
    if not fits:
        return
    console = Console(highlight=False, soft_wrap=not sys.stdout.isatty())
    console.print(RichText("This time, by what was recorded in the last minutes:", style="bold"))
    for fit in fits:
        one, cause = fit.recording, known.findings[fit.cause]
        who = printable(f"{one.remote} {one.subject}".strip())
        told = f"{what_happened(one)}{_how_often(fit)}"
        console.print(RichText(f"  at {at_time(one)} UTC {who} {told}", style="red"))
        show = place.folder.command(f"log show {one.id}")
        console.print(RichText(f"     that is: {cause.what} ({cause.id}); see `{show}`"))
    console.print()


def _how_often(fit: Fit) -> str:
    """How many were alike, and by whom where that is another client than the one in question."""
    often = f", {fit.times} times" if fit.times > 1 else ""
    return often if fit.is_client else f"{often}; sent by another client: {printable(fit.recording.client)}"


def _fit_json(one: Fit) -> dict[str, object]:
    recording = one.recording
    return {
        "id": recording.id,
        "at": rfc3339(recording.at),
        "remote": recording.remote,
        "client": recording.client,
        "operation": recording.operation,
        "times": one.times,
        "subject": recording.subject,
        "transaction_id": recording.transaction_id,
        "cause": one.cause,
        "what": what_happened(recording),
    }


def _print_cause(console: Console, place: int, finding: Finding, symptom: Symptom) -> None:
    console.print(RichText(f"{place:>3}. {finding.what}", style="bold"))
    if effect := finding.clients.get(symptom.client):
        console.print(RichText(f"     {symptom.client}: {effect}"))
    console.print(RichText(f"     mend: {finding.fix}"))
    console.print(
        RichText(f"     {finding.id}, {finding.reference}, {finding.confidence.words}", style="dim")
    )


def _title(symptom: Symptom, known: Knowledge) -> str:
    codes = [f"{decimal} ({hexadecimal})" for decimal, hexadecimal in map(code_forms, symptom.codes)]
    texts = [f'"{text}"' for text in symptom.texts[:1]]
    return f"{known.clients[symptom.client]}: {', '.join((*codes, *texts))}"


def _sources(symptom: Symptom, known: Knowledge) -> str:
    return f"{'; '.join(known.sources[key] for key in symptom.source)} ({symptom.confidence.words})"


def _as_json(found: Explanation, known: Knowledge) -> dict[str, object]:
    return {
        "symptoms": [
            {
                "id": symptom.id,
                "client": symptom.client,
                "codes": [
                    {"decimal": decimal, "hex": hexadecimal}
                    for decimal, hexadecimal in map(code_forms, symptom.codes)
                ],
                "texts": list(symptom.texts),
                "means": symptom.means,
                "sources": [known.sources[key] for key in symptom.source],
                "confidence": symptom.confidence,
                "causes": [finding_json(known.findings[cause], known) for cause in symptom.causes],
            }
            for symptom in found.symptoms
        ],
        "suggestions": list(found.suggestions),
    }


def finding_json(finding: Finding, known: Knowledge) -> dict[str, object]:
    """A finding for machines."""
    return {
        "id": finding.id,
        "severity": finding.severity,
        "what": finding.what,
        "where": list(finding.where),
        "reference": finding.reference,
        "clients": dict(finding.clients),
        "leads_to": [one.id for one in known.symptoms_of(finding.id)],
        "fix": finding.fix,
        "sources": [known.sources[key] for key in finding.source],
        "confidence": finding.confidence,
    }
