"""docs/diagnoses.md, written from the one body of knowledge."""

from collections.abc import Iterator

from app.diagnosis.explain import code_forms
from app.diagnosis.finding import Finding, Symptom
from app.diagnosis.knowledge import AREAS, Knowledge
from tests.faults.catalogue import FAULTS
from tests.world import ROOT

DOCUMENT = ROOT / "docs/diagnoses.md"
HINT = "SCEPBOX_WRITE_DOCS=1 pytest tests/test_diagnoses.py writes docs/diagnoses.md anew"

_INTRODUCTION = """\
# Diagnoses

Why a device says what it says. First what devices and programs say, each with the causes in the order to
check; then every finding, with the clients that mind and how it is mended. `python3 run.py explain 22013`
looks here, and `python3 run.py inspect FILE` shows findings in the place where they are.

No iPhone, Mac, Windows host or Cisco router was at hand: what is said of them is from source code, from a
decompilation, from documents and from public reports, as each line says. *Inferred* and *only believed* are
what they are called.

The tests write this file from [app/diagnosis/known](../app/diagnosis/known):
`SCEPBOX_WRITE_DOCS=1 pytest tests/test_diagnoses.py`.
"""

_FAULTS = f"""\
## Faults that doctor was tried on

{len(FAULTS)} small servers of the tests (tests/faults, on public libraries, with nothing of this program in
them), each of which is wrong in one way. `tests/test_faults.py` holds `doctor` to name that one first, with
those whom it hurts, and nothing false beside it; of the server without a fault it has nothing to say.
`python -m tests.faults.server --fault NAME` runs one of them for a client of your own.
"""


def markdown(known: Knowledge) -> str:
    """The whole document."""
    parts = [_INTRODUCTION, "## What devices say\n"]
    for client, name in known.clients.items():
        symptoms = [one for one in known.symptoms.values() if one.client == client]
        if symptoms:
            parts.append(f"### {name[0].upper()}{name[1:]}\n")
            parts += [text for one in symptoms for text in _symptom(one, known)]
    for area, title in AREAS.items():
        parts.append(f"## {title}\n")
        findings = (one for one in known.findings.values() if one.area == area)
        parts += [text for one in findings for text in _finding(one, known)]
    parts += _faults(known)
    return "\n".join(parts)


def _symptom(symptom: Symptom, known: Knowledge) -> Iterator[str]:
    codes = [f"`{decimal}` (`{hexadecimal}`)" for decimal, hexadecimal in map(code_forms, symptom.codes)]
    yield f"**{', '.join([*codes, *(f'“{_plain(text)}”' for text in symptom.texts)])}**\n"
    yield f"{_plain(symptom.means)}. ({_sources(symptom, known)})\n"
    for place, cause in enumerate(symptom.causes, 1):
        yield f"{place}. [{_plain(known.findings[cause].what)}](#{cause})"
    yield ""


def _finding(finding: Finding, known: Knowledge) -> Iterator[str]:
    yield f"### {finding.id}\n"
    yield f"{_plain(finding.what)}. *{finding.severity.capitalize()}*, {finding.reference}.\n"
    yield from (f"- {known.clients[client]}: {_plain(does)}" for client, does in finding.clients.items())
    yield f"\nMend: {_plain(finding.fix)}.\n"
    places = ", ".join(f"`{place}`" for place in finding.where)
    yield f"Shown at {places}. Source: {_sources(finding, known)}.\n"


def _faults(known: Knowledge) -> Iterator[str]:
    """The table of what test_faults.py proves."""
    yield _FAULTS
    yield "| What is wrong | What doctor names first | Whom it hurts | Cure | Without a challenge |"
    yield "|---|---|---|---|---|"
    for fault in FAULTS.values():
        finding = known.findings[fault.finding]
        hurt = ", ".join(known.clients[client] for client in fault.clients) or "nobody that is known"
        named = f"[{_plain(finding.what)}](#{finding.id})"
        seen = "no" if fault.hidden else "yes"
        yield f"| {fault.says} (`{fault.name}`) | {named} | {hurt} | {_plain(finding.fix)} | {seen} |"
    yield ""


def _sources(one: Finding | Symptom, known: Knowledge) -> str:
    return f"{'; '.join(known.sources[key] for key in one.source)}: {one.confidence.words}"


def _plain(text: str) -> str:
    return text.replace("<", "&lt;").replace("*", "\\*").replace("[", "\\[")
