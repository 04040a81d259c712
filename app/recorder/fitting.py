"""Which of the causes of what a device says it was this time: what was recorded just before."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from app.diagnosis.finding import Symptom
from app.metrics.clients import OTHER, SILENT, family_of
from app.recorder.recording import Recording
from app.recorder.words import FAMILY_OF, what_happened

# Between what a device meets and somebody who asks why.
LATELY = timedelta(minutes=15)
_MOST = 5
# What says the least of why, the worst last: every refusal is one, and any stranger meets HTTP errors.
_GENERAL = ("server-fault", "refused", "http-error")
# How likely it is that it was the client in question.
_IT, _PERHAPS, _ANOTHER = range(3)


@dataclass(frozen=True, slots=True)
class Fit:
    """An exchange that went wrong, and the cause that it is; the newest of *times* that were alike.

    *is_client* is False where it was sent by something that calls itself another client than the symptom's.
    """

    recording: Recording
    cause: str
    is_client: bool = True
    times: int = 1


def find_fits(recordings: Iterable[Recording], symptoms: Iterable[Symptom], now: datetime) -> list[Fit]:
    """Of the last quarter of an hour, up to five that one of *symptoms* can mean.

    Only exchanges of an operation that the symptom is of, for one of its causes. Where its client is among
    those who sent them, the others are left out; where nobody can tell, those that may be it come first.
    What says most of why is first, and of that the latest.
    """
    looked_for = tuple(symptoms)
    ranked: dict[int, list[Fit]] = {}
    for one in sorted(recordings, key=lambda one: one.at, reverse=True):
        if (one.is_refusal or one.outcome == "unanswered") and now - LATELY <= one.at <= now + LATELY:
            fits = [(rank, cause) for symptom in looked_for for rank, cause in _fit(one, symptom)]
            if fits:
                rank, cause = min(fits, key=lambda fit: (fit[0], _generality(fit[1])))
                ranked.setdefault(rank, []).append(Fit(one, cause, rank < _ANOTHER))
    found = _fold(ranked[min(ranked)]) if ranked else []
    return sorted(found, key=lambda fit: _generality(fit.cause))[:_MOST]


def _fit(one: Recording, symptom: Symptom) -> list[tuple[int, str]]:
    """How likely it was the client of *symptom*, with each of the causes that are noted."""
    if symptom.operations and one.operation not in symptom.operations:
        return []
    rank = _rank(family_of(one.client), symptom.client)
    return [(rank, found.id) for found in one.findings if found.id in symptom.causes]


def _rank(family: str, client: str) -> int:
    if client == "everyone" or family == FAMILY_OF.get(client, client):
        return _IT
    return _PERHAPS if family in (SILENT, OTHER) else _ANOTHER


def _generality(cause: str) -> int:
    return _GENERAL.index(cause) + 1 if cause in _GENERAL else 0


def _fold(fits: Iterable[Fit]) -> list[Fit]:
    """Those that differ in nothing but their time as one each, the newest of them."""
    folded: dict[tuple[str, ...], Fit] = {}
    for fit in fits:
        one = fit.recording
        alike = (one.remote, one.client, one.subject, fit.cause, what_happened(one))
        newest = folded.get(alike)
        folded[alike] = replace(newest, times=newest.times + 1) if newest else fit
    return list(folded.values())
