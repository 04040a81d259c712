"""The rates alone and beside slow connections, and the table that they make."""

import os
import platform
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import mean

from benchmarks.report import make_rows
from benchmarks.slowness.drops import Slowness


@dataclass(frozen=True, slots=True)
class Turn:
    """Honest enrolments alone, and right after it as many beside the slow side. Rates are a second."""

    beside: str
    alone: float
    beside_rate: float
    failed: int
    slowness: Slowness

    @property
    def ratio(self) -> float:
        """What is left of the rate."""
        return self.beside_rate / self.alone


def make_table(turns: Sequence[Turn], connections: int, others: float) -> str:
    """A row for where the slow ones come from; *others* is the share of the machine other programs took."""
    columns = (
        "Slow connections from",
        "enrolments/s alone",
        "beside them",
        "ratio of the means",
        "ratio of each turn",
        "not enrolled",
        "held open, of all",
        "connected anew a second",
        "CPU of the slow side",
    )
    rows = []
    for beside in dict.fromkeys(one.beside for one in turns):
        those = [one for one in turns if one.beside == beside]
        alone, with_them = mean(one.alone for one in those), mean(one.beside_rate for one in those)
        rows.append(
            (
                beside,
                f"{alone:.0f}",
                f"{with_them:.0f}",
                f"{with_them / alone:.2f}",
                ", ".join(f"{one.ratio:.2f}" for one in those),
                str(sum(one.failed for one in those)),
                f"{mean(one.slowness.held for one in those):.0f} of {connections}",
                f"{mean(one.slowness.anew for one in those):.0f}",
                f"{mean(one.slowness.cpu for one in those):.1%} of a core",
            )
        )
    about = (
        f"{os.cpu_count()} cores, Python {platform.python_version()}; other programs took {others:.0%} of "
        "the machine meanwhile."
    )
    return f"{make_rows(columns, rows)}\n\n{about}"
