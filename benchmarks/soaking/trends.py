"""Whether something grew: a straight line laid through the samples, and what it says."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt
from statistics import linear_regression, mean

from benchmarks.soaking.samples import (
    ALL_P99,
    DATA_FILES,
    MEMORY,
    OPEN_FILES,
    P50,
    P99,
    SERVER,
    THREADS,
    WAL,
    Sample,
)

_SECONDS_AN_HOUR = 3600
# Of both halves.
_LEAST_SAMPLES = 6
# So many standard errors are no chance: some twenty lines are looked at.
_SURE = 3
# More an hour is growth: MiB of a process or the WAL, files or threads, a part of a latency or of the CPU.
_MIB, _NUMBER, _PART = 1.0, 1.0, 0.2


@dataclass(frozen=True, slots=True)
class Trend:
    """The line of least squares through what was measured: a *start*, and a *slope* an hour.

    *error* is the slope's standard error, *later* the slope of the second half alone. The slope has to be
    more than *tolerated* to be growth.
    """

    what: str
    start: float
    slope: float
    error: float
    later: float
    tolerated: float

    @property
    def grows(self) -> bool:
        """Whether the slope is both more than what is tolerated and more than chance brings about."""
        return self.slope > max(self.tolerated, _SURE * self.error)


def find_trends(samples: Sequence[Sample]) -> list[Trend]:
    """Of all that must not grow. Where there are too few samples of something, it is left out."""
    names = sorted({name for one in samples for name in one.figures})
    trends = []
    for name in names:
        tolerated = _tolerated(name)
        points = [(one.seconds, one.figures[name]) for one in samples if name in one.figures]
        if tolerated is not None and len(points) >= _LEAST_SAMPLES:
            trends.append(_fit(name, points, tolerated))
    return sorted(trends, key=lambda one: one.what.endswith((P50, P99)))


def _tolerated(name: str) -> float | None:
    """What it may grow by in an hour, or the part of itself; None where it may by as much as it will."""
    if name.startswith(MEMORY) or name == WAL:
        return _MIB
    if name in (OPEN_FILES, THREADS, DATA_FILES):
        return _NUMBER
    # Of one kind there are too few in a sample for its slowest to say anything.
    return 0.0 if name.endswith(P50) or name in (ALL_P99, SERVER) else None


def _fit(what: str, points: Sequence[tuple[float, float]], tolerated: float) -> Trend:
    slope, start, error = _line(points)
    later, *_ = _line(points[len(points) // 2 :])
    return Trend(what, start, slope, error, later, tolerated or _PART * start)


def _line(points: Sequence[tuple[float, float]]) -> tuple[float, float, float]:
    """Slope an hour, the value at the first of the points, and the slope's standard error."""
    hours = [seconds / _SECONDS_AN_HOUR for seconds, _ in points]
    values = [value for _, value in points]
    slope, intercept = linear_regression(hours, values)
    middle = mean(hours)
    spread = sum((hour - middle) ** 2 for hour in hours)
    rest = sum((value - intercept - slope * hour) ** 2 for hour, value in zip(hours, values, strict=True))
    return slope, intercept + slope * hours[0], sqrt(rest / (len(points) - 2) / spread)
