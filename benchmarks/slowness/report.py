"""The rates alone and beside slow connections, and the table that they make."""

import os
import platform
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import mean

from benchmarks.report import markdown
from benchmarks.slowness.drops import Slowness


@dataclass(frozen=True, slots=True)
class Measured:
    """Honest enrolments: how many a second, how many *failed*, and the server's CPU ms for each other."""

    rate: float
    failed: int
    cpu: float


@dataclass(frozen=True, slots=True)
class Turn:
    """Honest enrolments *alone*, and right after it as many *beside* slow connections from *place*."""

    place: str
    alone: Measured
    beside: Measured
    slowness: Slowness


def make_table(turns: Sequence[Turn], connections: int, others: float) -> str:
    """A row for where the slow ones come from; *others* is the share of the machine other programs took."""
    columns = (
        "Slow connections from",
        "enrolments/s alone",
        "beside them",
        "ratio of the means",
        "ratio of each turn",
        "server CPU, ms an enrolment alone",
        "beside them",
        "alone / beside",
        "not enrolled",
        "held open, of all",
        "connected anew a second",
        "CPU of the slow side",
    )
    rows = []
    for place in dict.fromkeys(one.place for one in turns):
        those = [one for one in turns if one.place == place]
        alone, beside = mean(one.alone.rate for one in those), mean(one.beside.rate for one in those)
        cpu_alone, cpu_beside = mean(one.alone.cpu for one in those), mean(one.beside.cpu for one in those)
        rows.append(
            (
                place,
                f"{alone:.0f}",
                f"{beside:.0f}",
                f"{beside / alone:.2f}",
                ", ".join(f"{one.beside.rate / one.alone.rate:.2f}" for one in those),
                f"{cpu_alone:.2f}",
                f"{cpu_beside:.2f}",
                f"{cpu_alone / cpu_beside:.2f}",
                str(sum(one.alone.failed + one.beside.failed for one in those)),
                f"{mean(one.slowness.held for one in those):.0f} of {connections}",
                f"{mean(one.slowness.anew for one in those):.0f}",
                f"{mean(one.slowness.cpu for one in those):.1%} of a core",
            )
        )
    about = (
        f"{os.cpu_count()} cores, Python {platform.python_version()}; other programs took {others:.0%} of "
        "the machine meanwhile."
    )
    return f"{markdown(columns, rows)}\n\n{about}"
