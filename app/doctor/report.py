"""From what was found to a report: each finding once, what it leads to beneath it, the worst first."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from app.diagnosis.finding import Finding, Severity
from app.diagnosis.knowledge import Knowledge
from app.doctor.folding import is_all, is_folded
from app.doctor.seen import Found
from app.personas import PERSONAS

_SEVERITIES = list(Severity)
_MOST_PLACES = 3


@dataclass(frozen=True, slots=True)
class Entry:
    """One finding of a report: where it was *seen*, and what other findings it leads to.

    *stopped* are the clients that were seen to stop at it.
    """

    finding: Finding
    seen: tuple[Found, ...]
    leads_to: tuple[str, ...]
    stopped: tuple[str, ...]

    @property
    def clients(self) -> tuple[str, ...]:
        """Those that were seen to stop, then those that are known to mind."""
        return tuple(dict.fromkeys((*self.stopped, *self.finding.clients)))

    @property
    def places(self) -> str:
        """Where it was seen and what, in one line: by personas where the doctor's own steps did not."""
        own = [one for one in self.seen if not one.by] or self.seen
        told = dict.fromkeys(f"{one.where}: {one.detail}" if one.detail else one.where for one in own)
        shown = list(told)[:_MOST_PLACES]
        more = [f"and {len(told) - len(shown)} times more"] if len(told) > len(shown) else []
        return "; ".join([*shown, *more])

    def why(self, known: Knowledge) -> str:
        """What was seen, what clients do about it, and what follows from it."""
        does = [f"{known.clients[key]}: {words}" for key, words in self.finding.clients.items()]
        stopped = ", ".join(client_name(key, known) for key in self.stopped)
        after = [f"seen to stop: {stopped}"] if stopped else []
        after += [f"it leads to {', '.join(self.leads_to)}"] if self.leads_to else []
        return ". ".join([f"Seen at {self.places}", *does, *after])


@dataclass(frozen=True, slots=True)
class StepResult:
    """How one step ended: *found* with what, or *skipped* for which reason, in words."""

    name: str
    why: str
    found: tuple[Found, ...] = ()
    skipped: str = ""
    seconds: float = 0


@dataclass(frozen=True, slots=True)
class Report:
    """What is wrong with a server, the worst first, and which steps showed it."""

    url: str
    entries: tuple[Entry, ...]
    steps: tuple[StepResult, ...]
    requests: int

    @property
    def passed(self) -> bool:
        """Whether nothing breaks a rule that a client insists on."""
        return not self.count(Severity.VIOLATION)

    @property
    def seconds(self) -> float:
        """How long it took."""
        return sum(step.seconds for step in self.steps)

    def count(self, severity: Severity) -> int:
        """How many of that severity there are."""
        return sum(entry.finding.severity is severity for entry in self.entries)

    def fails(self) -> dict[str, list[Entry]]:
        """For whom what will fail: the clients that a violation is known of, or that were seen to stop."""
        found: dict[str, list[Entry]] = {}
        for entry in self.entries:
            known = entry.finding.clients if entry.finding.severity is Severity.VIOLATION else ()
            for client in dict.fromkeys((*entry.stopped, *known)):
                found.setdefault(client, []).append(entry)
        return found

    def as_json(self, known: Knowledge) -> dict[str, object]:
        """The report for machines."""
        return {
            "url": self.url,
            "passed": self.passed,
            "findings": [
                {
                    "id": entry.finding.id,
                    "severity": entry.finding.severity,
                    "clients": list(entry.clients),
                    "what": entry.finding.what,
                    "why": entry.why(known),
                    "fix": entry.finding.fix,
                    "reference": entry.finding.reference,
                }
                for entry in self.entries
            ],
        }


def client_name(key: str, known: Knowledge) -> str:
    """What a client is called to people: one that findings speak of, or else a persona."""
    return known.clients.get(key) or PERSONAS[key].title


def make_report(url: str, steps: Sequence[StepResult], requests: int, known: Knowledge) -> Report:
    """Put together what the *steps* found."""
    order = list(known.findings)
    found: dict[str, list[Found]] = {}
    for step in steps:
        # What one answer shows is told from the outside in, as the knowledge has it.
        for one in sorted(step.found, key=lambda one: order.index(one.finding)):
            found.setdefault(one.finding, []).append(one)
    entries = list(_entries(found, known))
    # What a client was seen to stop at stands before what it would; else in the order of the steps.
    entries.sort(key=lambda entry: (_SEVERITIES.index(entry.finding.severity), not entry.stopped))
    return Report(url, tuple(entries), tuple(steps), requests)


def _entries(found: Mapping[str, Sequence[Found]], known: Knowledge) -> Iterator[Entry]:
    ends = [name for name, seen in found.items() if any(is_all(name, one.where) for one in seen)]
    if ends:
        yield Entry(known.findings[ends[0]], tuple(found[ends[0]]), (), _stopped(found[ends[0]]))
        return
    for name, seen in found.items():
        if any(is_folded(name, other) for other in found):
            continue
        beneath = tuple(other for other in found if is_folded(other, name))
        yield Entry(known.findings[name], tuple(seen), beneath, _stopped(seen))


def _stopped(seen: Iterable[Found]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(client for one in seen for client in one.clients))
