"""Which of the causes of what a device says it was this time: what was recorded just before."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from app.recorder.recording import Recording

# Between what a device meets and somebody who asks why.
LATELY = timedelta(minutes=15)
_MOST = 5
# Of what else is known it is said better.
_ANY_REFUSAL = "refused"


@dataclass(frozen=True, slots=True)
class Fit:
    """An exchange that went wrong, and the cause that it is."""

    recording: Recording
    cause: str


def find_fits(recordings: Iterable[Recording], causes: Collection[str], now: datetime) -> list[Fit]:
    """The newest five of the last quarter of an hour of which one of *causes* is noted, the latest first."""
    fits = []
    for one in sorted(recordings, key=lambda one: one.at, reverse=True):
        noted = [found.id for found in one.findings if found.id in causes]
        went_wrong = one.is_refusal or one.outcome == "unanswered"
        if noted and went_wrong and now - LATELY <= one.at <= now + LATELY:
            fits.append(Fit(one, next((id for id in noted if id != _ANY_REFUSAL), _ANY_REFUSAL)))
    return fits[:_MOST]
