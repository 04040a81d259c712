"""From what was found to a report: each finding once, what it leads to beneath it, the worst first."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from app.diagnosis.finding import Finding, Severity
from app.diagnosis.knowledge import Knowledge
from app.doctor.folding import ENDS, is_all, is_folded
from app.doctor.seen import Found
from app.personas import PERSONAS

_SEVERITIES = list(Severity)
_MOST_PLACES = 3
EVERYONE = "everyone"
# The area of what a client reads before it writes.
_BEFORE_A_MESSAGE = "ca_answers"
# What harms whoever is impersonated or overheard. No client fails at it.
_HARMS_OTHERS = {"challenge-unchecked", "csr-signature-unchecked", "renewal-open", "server-oracle"}
# Areas of what stands between a client and its certificate. The others tell of what comes afterwards too.
_ON_THE_WAY = {"encoding", "reply", "request", "transport"}


@dataclass(frozen=True, slots=True)
class Entry:
    """One finding of a report: where it was *seen*, and what other findings it leads to.

    *stopped* are the clients that were seen to stop at it. *severity* is the finding's, or worse: where
    somebody was seen to stop, that is a violation.
    """

    finding: Finding
    seen: tuple[Found, ...]
    leads_to: tuple[str, ...]
    stopped: tuple[str, ...]
    severity: Severity

    @property
    def clients(self) -> tuple[str, ...]:
        """Those that were seen to stop, then those that are known to mind."""
        return tuple(dict.fromkeys((*self.stopped, *self.finding.clients)))

    @property
    def places(self) -> str:
        """Where it was seen and what, in one line.

        What a persona saw is told where it stopped at that, or where the doctor's own steps saw nothing.
        """
        own = [one for one in self.seen if not one.by]
        # Who stopped may have met something else than the doctor did.
        met = [one for one in self.seen if one.by and one.clients and not _is_told(one.detail, own)]
        return "; ".join(_places(one) for one in ((own, met) if own else (self.seen,)) if one)

    def why(self, known: Knowledge) -> str:
        """What was seen, what clients do about it, and what follows from it."""
        does = [f"{known.clients[key]}: {words}" for key, words in self.finding.clients.items()]
        stopped = in_list(self.stopped, known)
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
    """What is wrong with a server, the worst first, and which steps showed it.

    *enrolled* are the personas that got a certificate and took it, *went_on* those that came by and stopped
    at nothing, whether they were to ask for one or not. *asked* are the clients that somebody wants to hear
    of; empty where that is all of them.
    """

    url: str
    entries: tuple[Entry, ...]
    steps: tuple[StepResult, ...]
    requests: int
    enrolled: tuple[str, ...] = ()
    went_on: tuple[str, ...] = ()
    asked: tuple[str, ...] = ()

    @property
    def passed(self) -> bool:
        """Whether nothing breaks a rule that a client insists on, and nobody was seen to stop."""
        return not self.count(Severity.VIOLATION)

    @property
    def seconds(self) -> float:
        """How long it took."""
        return sum(step.seconds for step in self.steps)

    def count(self, severity: Severity) -> int:
        """How many of that severity there are."""
        return sum(entry.severity is severity for entry in self.entries)

    def fails(self) -> dict[str, list[Entry]]:
        """For whom what will fail: the clients that were seen to stop, or that a violation is known of.

        What is of every client comes first. Who was seen to get past it in this visit, or is not known to
        stop at it, is not named for what is only known.
        """
        found: dict[str, list[Entry]] = {EVERYONE: []}
        for entry in self.entries:
            minds = [one for one in _known_to_fail(entry.finding) if not self._has_passed(one, entry.finding)]
            for client in together((*entry.stopped, *minds)):
                if not self.asked or client in (*self.asked, EVERYONE):
                    found.setdefault(client, []).append(entry)
        return {client: entries for client, entries in found.items() if entries}

    def _has_passed(self, client: str, finding: Finding) -> bool:
        """Whether *client* came past *finding*: to its certificate, or as far as it was to go.

        For every client, whether any got a certificate in spite of it.
        """
        if client == EVERYONE:
            return bool(self.enrolled) and finding.area in _ON_THE_WAY
        return client in self.enrolled or (client in self.went_on and finding.area == _BEFORE_A_MESSAGE)

    def as_json(self, known: Knowledge) -> dict[str, object]:
        """The report for machines."""
        return {
            "url": self.url,
            "passed": self.passed,
            "findings": [
                {
                    "id": entry.finding.id,
                    "severity": entry.severity,
                    "clients": list(entry.clients),
                    "what": entry.finding.what,
                    "why": entry.why(known),
                    "fix": entry.finding.fix,
                    "reference": entry.finding.reference,
                }
                for entry in self.entries
            ],
        }


def _known_to_fail(finding: Finding) -> list[str]:
    """The clients that a violation is known to stop: none that minds it and goes on."""
    if finding.severity is not Severity.VIOLATION or finding.id in _HARMS_OTHERS:
        return []
    return [one for one in finding.clients if one not in PERSONAS or not PERSONAS[one].goes_on_at(finding.id)]


def _is_told(detail: str, seen: Iterable[Found]) -> bool:
    return not detail or any(detail in one.detail for one in seen)


def _places(seen: Iterable[Found]) -> str:
    """What was seen, each with the steps that saw it."""
    told: dict[str, list[str]] = {}
    for one in seen:
        step, _, place = one.where.partition(": ")
        steps = told.setdefault(": ".join(filter(None, (place, one.detail))), [])
        if step not in steps:
            steps.append(step)
    return _some([": ".join(filter(None, (_some(told[what], ", "), what))) for what in told], "; ")


def _some(parts: Sequence[str], between: str) -> str:
    """So many as a person reads, and how many more there are."""
    count = len(parts) - _MOST_PLACES
    more = [f"and {count} more"] if count > 0 else []
    return between.join([*parts[:_MOST_PLACES], *more])


def client_name(key: str, known: Knowledge) -> str:
    """What a client is called to people: one that findings speak of, or else a persona."""
    return known.clients.get(key) or PERSONAS[key].title


def in_list(clients: Iterable[str], known: Knowledge) -> str:
    """Clients one behind the other: a comma within a name would make two of it."""
    return ", ".join(client_name(one, known).replace(", ", "/") for one in clients)


def together(clients: Iterable[str]) -> tuple[str, ...]:
    """Each once; "every client" instead of all that there are, or beside those whom it includes."""
    named = tuple(dict.fromkeys(clients))
    return (EVERYONE,) if EVERYONE in named or set(named) >= PERSONAS.keys() else named


def make_report(
    url: str,
    steps: Sequence[StepResult],
    requests: int,
    known: Knowledge,
    *,
    enrolled: Sequence[str] = (),
    went_on: Sequence[str] = (),
    asked: Sequence[str] = (),
    spared: Mapping[str, Collection[str]] = MappingProxyType({}),
) -> Report:
    """Put together what the *steps* found.

    Where a client stops at what is only a note, that is a violation only if one *asked* for the personas
    that came by. *spared* are clients, by finding, whom it does not harm as this server does it.
    """
    findings = {name: _without(one, spared.get(name, ())) for name, one in known.findings.items()}
    order = list(known.findings)
    found: dict[str, list[Found]] = {}
    for step in steps:
        # What one answer shows is told from the outside in, as the knowledge has it.
        for one in sorted(step.found, key=lambda one: order.index(one.finding)):
            found.setdefault(one.finding, []).append(one)
    if found.keys() & ENDS:
        found = {name: [one for one in seen if not one.late] or seen for name, seen in found.items()}
    told = _ends(found) or _causes(found)
    entries = [_entry(findings[name], found, told[name], insists=bool(asked)) for name in told]
    # What a client was seen to stop at stands before what it would; else in the order of the steps.
    entries.sort(key=lambda entry: (_SEVERITIES.index(entry.severity), not entry.stopped))
    named = [_named(one, known) for one in asked]
    return Report(
        url, tuple(entries), tuple(steps), requests, tuple(enrolled), tuple(went_on), (*asked, *named)
    )


def _named(persona: str, known: Knowledge) -> str:
    """By which name findings speak of a persona."""
    return persona if persona in known.clients else PERSONAS[persona].family


def _without(finding: Finding, spared: Collection[str]) -> Finding:
    clients = {client: does for client, does in finding.clients.items() if client not in spared}
    return finding.model_copy(update={"clients": clients}) if spared else finding


def _ends(found: Mapping[str, Sequence[Found]]) -> dict[str, tuple[str, ...]]:
    """What is all that there is to tell, with what clients call it that stop there; empty without such."""
    ends = [name for name, seen in found.items() if any(is_all(name, one.where) for one in seen)]
    stops = [name for name, seen in found.items() if _stopped(seen)]
    return {name: tuple(other for other in stops if other != name) for name in ends[:1]}


def _causes(found: Mapping[str, Sequence[Found]]) -> dict[str, tuple[str, ...]]:
    """What follows from nothing else, each with what follows from it."""

    def follows(finding: str, cause: str) -> bool:
        could = cause not in ENDS or all(one.late for one in found[finding])
        return could and is_folded(finding, cause)

    causes = [name for name in found if not any(follows(name, other) for other in found)]
    return {name: tuple(other for other in found if follows(other, name)) for name in causes}


def _entry(
    finding: Finding, found: Mapping[str, Sequence[Found]], beneath: tuple[str, ...], *, insists: bool
) -> Entry:
    """Who stops at what follows from a finding stops at that finding."""
    seen = tuple(found[finding.id])
    stopped = _stopped(one for name in (finding.id, *beneath) for one in found[name])
    counts = stopped and (insists or finding.severity is not Severity.INFO)
    severity = Severity.VIOLATION if counts else finding.severity
    return Entry(finding, seen, beneath, stopped, severity)


def _stopped(seen: Iterable[Found]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(client for one in seen for client in one.clients))
