"""The soak's figures in words: a table of what was asked, one of what must not grow, and the plot."""

import os
import platform
from collections.abc import Sequence
from statistics import mean

from benchmarks.report import markdown
from benchmarks.soaking.kinds import Kind
from benchmarks.soaking.plot import Curves, draw
from benchmarks.soaking.samples import (
    ALL_P99,
    DATABASE,
    LOAD,
    LOG,
    MEMORY,
    OPEN_FILES,
    OTHERS,
    P50,
    REPLACED,
    SERVER,
    THREADS,
    WAL,
    Sample,
)
from benchmarks.soaking.trends import Trend, find_trends
from benchmarks.soaking.watch import Replies, percentile

_SHOWN_WRONGS = 10
# What the database keeps a row or more of.
_STORED = (Kind.ENROL, Kind.RENEW, Kind.HOLD, Kind.GUESS)


def make_report(samples: Sequence[Sample], replies: Replies, rate: float, warm_up: float) -> str:
    """All of it in Markdown; the first *warm_up* seconds are not asked about growth."""
    settled = [one for one in samples if one.seconds > warm_up]
    trends = find_trends(settled)
    parts = [_verdict(trends, settled, warm_up), _about(samples, replies, rate), _growth_table(trends)]
    return "\n\n".join([*parts, _request_table(replies), _wrongs(replies)]).strip()


def make_plot(samples: Sequence[Sample]) -> str:
    """The samples as curves."""
    kinds = (Kind.ENROL, Kind.RENEW, Kind.POLL, Kind.GET_CA, Kind.CRL, Kind.OCSP_GET)
    names = list(samples[-1].figures)
    panels = {
        "resident memory, MiB": [name for name in names if name.startswith(MEMORY)],
        "open files and threads of all processes": [OPEN_FILES, THREADS],
        "database, WAL and log, MiB": [DATABASE, WAL, LOG],
        "latency, median of ten seconds, ms": [f"{kind}{P50}" for kind in kinds],
        "latency, 99th of a hundred in ten seconds, ms": [ALL_P99],
        "shares: of all cores what other programs took; of one core what server and load took": [
            OTHERS,
            SERVER,
            LOAD,
        ],
    }
    return draw({title: _curves(samples, names) for title, names in panels.items()}, samples[-1].seconds / 60)


def _curves(samples: Sequence[Sample], names: Sequence[str]) -> Curves:
    return {
        name: [(one.seconds / 60, one.figures[name]) for one in samples if name in one.figures]
        for name in names
    }


def _verdict(trends: Sequence[Trend], settled: Sequence[Sample], warm_up: float) -> str:
    if not trends:
        return "Too short to tell whether anything grows."
    growing = [f"{one.what} by {one.slope:.2g} an hour" for one in trends if one.grows]
    span = (settled[-1].seconds - settled[0].seconds) / 60
    since = f"in the {span:.0f} minutes after the first {warm_up / 60:.0f}"
    if growing:
        return f"**Grew {since}:** {'; '.join(growing)}."
    return (
        f"**Nothing grew {since}:** neither memory nor open files, threads, files in the data folder, the "
        "WAL, a latency, or the CPU that the same requests take."
    )


def _about(samples: Sequence[Sample], replies: Replies, rate: float) -> str:
    others = [one.figures[OTHERS] for one in samples]
    first, last = samples[0].figures, samples[-1].figures
    stored = sum(len(replies.seconds[kind]) for kind in _STORED)
    octets = (last[DATABASE] - first[DATABASE]) * 1024**2 / max(1, stored)
    log = last[LOG] - first[LOG]
    right, wrong = sum(map(len, replies.seconds.values())), replies.wrong.total()
    return (
        f"{samples[-1].seconds / 60:.0f} minutes, {rate:g} a second: {right} right, {wrong} wrong, "
        f"{replies.late} sent late, {last[REPLACED]:.0f} workers replaced. "
        f"The database grew from {first[DATABASE]:.1f} to {last[DATABASE]:.1f} MiB, "
        f"{octets:.0f} octets for each request that it keeps; the log by {log:.1f} MiB. "
        f"{os.cpu_count()} cores, Python {platform.python_version()}; other programs took {mean(others):.0%} "
        f"of the machine meanwhile ({min(others):.0%} to {max(others):.0%} in ten seconds), which is in the "
        f"latencies; the server took {_mean(samples, SERVER):.1%} of one core, "
        f"the load {_mean(samples, LOAD):.1%}."
    )


def _mean(samples: Sequence[Sample], name: str) -> float:
    return mean(one.figures[name] for one in samples)


def _growth_table(trends: Sequence[Trend]) -> str:
    columns = (
        "What",
        "at the start",
        "slope an hour",
        "its standard error",
        "slope of the second half",
        "allowed",
        "grew",
    )
    rows = [
        (
            one.what,
            f"{one.start:.2f}",
            f"{one.slope:+.2f}",
            f"{one.error:.2f}",
            f"{one.later:+.2f}",
            f"{one.tolerated:.2f}",
            "yes" if one.grows else "no",
        )
        for one in trends
    ]
    return markdown(columns, rows)


def _request_table(replies: Replies) -> str:
    rows = []
    for kind in Kind:
        if seconds := replies.seconds[kind]:
            latencies = " / ".join(
                f"{percentile(seconds, percent) * 1000:.1f}" for percent in (50, 95, 99, 100)
            )
            rows.append((kind.value, str(len(seconds)), str(replies.wrong_of(kind)), latencies))
    return markdown(("Asked", "right", "wrong", "p50 / p95 / p99 / longest, ms"), rows)


def _wrongs(replies: Replies) -> str:
    return "\n".join(f"- {number} times: {why}" for why, number in replies.wrong.most_common(_SHOWN_WRONGS))
