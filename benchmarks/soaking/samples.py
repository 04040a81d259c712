"""A moment of the soak in figures, and their way into a table; who measures them is elsewhere."""

import csv
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TextIO

from benchmarks.soaking.kinds import Kind

# The names of figures that others look for. Shares are of the time since the last sample.
MEMORY = "memory of "
OPEN_FILES, THREADS, REPLACED = "open files", "threads", "workers replaced"
DATA_FILES, DATABASE, WAL, LOG = "files in the data folder", "database, MiB", "WAL, MiB", "log, MiB"
NUMBER, P50, P99 = ", number", ", p50 ms", ", p99 ms"
ALL_P99 = f"all together{P99}"
OTHERS = "other programs, share of the machine"
LOAD, SERVER = "the load, share of a core", "the server, share of a core"


@dataclass(frozen=True, slots=True)
class Sample:
    """What is measured by name, so many seconds after the start; what did not happen has no latency."""

    seconds: float
    figures: dict[str, float]


def write_rows(samples: Iterable[Sample], table: TextIO) -> Iterator[Sample]:
    """Give the samples as they come, once each stands in *table* (CSV)."""
    writer = None
    for one in samples:
        if writer is None:
            of_kinds = [f"{kind}{of}" for kind in Kind for of in (NUMBER, P50, P99)]
            columns = dict.fromkeys(["seconds", *one.figures, *of_kinds])
            writer = csv.DictWriter(table, list(columns))
            writer.writeheader()
        values = {"seconds": one.seconds, **one.figures}
        writer.writerow({name: f"{value:.6g}" for name, value in values.items()})
        table.flush()
        yield one
