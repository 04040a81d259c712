"""Figures, the tables they make, and the tables' place in the README."""

import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil
from pathlib import Path

import click

README = Path(__file__).resolve().parent / "README.md"
_COLUMNS = (
    "Server",
    "connections",
    "enrolments/s",
    "succeeded",
    "of these with a serial number of their own",
    "p50 / p95 / p99 ms",
    "server CPU, ms an enrolment",
    "that CPU / three RSA operations",
    "rate / scepserver's",
    "the same, repeated serial numbers as failures",
)


@dataclass(frozen=True, slots=True)
class Point:
    """One server at one number of connections.

    *three_operations* is what three private-key operations took, in milliseconds, then and there.
    """

    server: str
    connections: int
    requests: int
    successes: int
    distinct: int
    seconds: float
    latencies: list[float]
    cpu_seconds: float
    three_operations: float

    @property
    def rate(self) -> float:
        """Successful enrolments a second."""
        return self.successes / self.seconds

    @property
    def cpu_milliseconds(self) -> float:
        """Server CPU for each successful enrolment; what failures cost is in it."""
        return self.cpu_seconds * 1000 / self.successes if self.successes else float("inf")

    def percentile(self, percent: int) -> float:
        """The latency that so many in a hundred requests did not exceed, in milliseconds."""
        return sorted(self.latencies)[ceil(len(self.latencies) * percent / 100) - 1] * 1000


def make_table(points: list[Point], neighbours: float) -> str:
    """The comparison; *neighbours* is the share of the machine that others took meanwhile."""
    others = {point.connections: point for point in points if point.server == "scepserver"}
    rows = []
    for point in sorted(points, key=lambda one: one.server):
        other = others.get(point.connections) if point.server != "scepserver" else None
        row = (
            point.server,
            str(point.connections),
            f"{point.rate:.0f}",
            f"{point.successes} of {point.requests}",
            str(point.distinct),
            " / ".join(_short(point.percentile(percent)) for percent in (50, 95, 99)),
            f"{point.cpu_milliseconds:.2f}",
            f"{point.cpu_milliseconds / point.three_operations:.2f}",
            _ratio(point.rate, other.rate) if other else "",
            _ratio(point.distinct / point.seconds, other.distinct / other.seconds) if other else "",
        )
        rows.append(row)
    times = [point.three_operations for point in points]
    return f"{make_rows(_COLUMNS, rows)}\n\n{_about(times, neighbours)}"


def make_breakdown(parts: Mapping[str, float], point: Point, neighbours: float) -> str:
    """Where the CPU goes: the application's *parts*, and what the whole server takes beside it."""
    server = point.cpu_milliseconds
    outside = {
        "waitress, sockets, cold caches (the server less the application)": server - sum(parts.values())
    }
    rows = [
        (part, f"{milliseconds:.3f}", f"{milliseconds / server:.0%}")
        for part, milliseconds in sorted(({**parts, **outside}).items(), key=lambda item: -item[1])
    ]
    rows.append(("the whole server at one connection", f"{server:.3f}", "100%"))
    table = make_rows(("Part of an enrolment", "CPU ms", "share"), rows)
    return f"{table}\n\n{_about([point.three_operations], neighbours)}"


def write_readme(section: str, text: str) -> None:
    """Put *text* between the README's two markers of that *section*.

    Raises:
        click.ClickException: The markers are gone.

    """
    marks = f"<!-- {section}: begin -->", f"<!-- {section}: end -->"
    before, begin, rest = README.read_text("utf-8").partition(marks[0])
    _, end, after = rest.partition(marks[1])
    if not begin or not end:
        raise click.ClickException(f"{README.name} lacks the markers {' and '.join(marks)}")
    README.write_text(f"{before}{begin}\n{text}\n{end}{after}", "utf-8")


def make_rows(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table in Markdown."""
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _about(times: list[float], neighbours: float) -> str:
    least, most = f"{min(times):.2f}", f"{max(times):.2f}"
    span = least if least == most else f"{least} to {most}"
    return (
        f"{os.cpu_count()} cores, Python {platform.python_version()}. "
        f"Three RSA-2048 private-key operations took {span} ms of CPU in the same run; other programs "
        f"took {neighbours:.0%} of the machine meanwhile."
    )


def _ratio(ours: float, theirs: float) -> str:
    return f"{ours / theirs:.1f}" if theirs else "they had none"


def _short(milliseconds: float) -> str:
    return f"{milliseconds:.1f}" if milliseconds < 10 else f"{milliseconds:.0f}"
