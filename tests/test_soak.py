"""The soak's judgement: what it calls growth, and what it shows of it."""

import csv
import io
import random
from xml.etree import ElementTree

from benchmarks.soaking.kinds import MIX, Kind
from benchmarks.soaking.plot import draw
from benchmarks.soaking.samples import DATABASE, MEMORY, P50, Sample, write_rows
from benchmarks.soaking.trends import find_trends

WORKER = f"{MEMORY}worker 1, MiB"
LATENCY = f"{Kind.ENROL}{P50}"


def samples_of(name: str, slope: float, noise: float = 0.0) -> list[Sample]:
    """An hour of samples of something that begins at 80 and grows by *slope*."""
    chance = random.Random(1)
    return [
        Sample(seconds, {name: 80 + slope * seconds / 3600 + chance.uniform(-noise, noise)})
        for seconds in range(0, 3600, 10)
    ]


def grown(samples: list[Sample]) -> list[str]:
    return [one.what for one in find_trends(samples) if one.grows]


def test_a_leak_below_the_noise_is_found() -> None:
    """Two MiB an hour are a full machine in a month, and between two samples nothing to see."""
    assert grown(samples_of(WORKER, slope=2, noise=3)) == [WORKER]


def test_noise_is_no_growth() -> None:
    """A verdict that cries for nothing is not read the second time."""
    assert grown(samples_of(WORKER, slope=0, noise=3)) == []


def test_a_latency_grows_by_its_own_measure() -> None:
    """A tenth more is the machine's doing; half as much again is a search through what was stored."""
    assert grown(samples_of(LATENCY, slope=8, noise=2)) == []
    assert grown(samples_of(LATENCY, slope=40, noise=2)) == [LATENCY]


def test_the_database_may_grow() -> None:
    """It keeps what was issued."""
    assert find_trends(samples_of(DATABASE, slope=100)) == []


def test_the_second_half_is_told_apart() -> None:
    """What levels off was warm-up, and its line alone would not say so."""
    samples = [Sample(seconds, {WORKER: min(80.0, seconds / 20)}) for seconds in range(0, 3600, 10)]

    (trend,) = find_trends(samples)

    assert trend.grows
    assert trend.later == 0


def test_what_happens_later_has_its_column_too() -> None:
    """The first ten seconds may pass without a revocation."""
    samples = [Sample(10, {WORKER: 80}), Sample(20, {WORKER: 81, f"{Kind.REVOKE}{P50}": 7})]
    table = io.StringIO()

    assert list(write_rows(samples, table)) == samples

    first, second = csv.DictReader(io.StringIO(table.getvalue()))
    assert (first["seconds"], first[WORKER], first[f"{Kind.REVOKE}{P50}"]) == ("10", "80", "")
    assert second[f"{Kind.REVOKE}{P50}"] == "7"


def test_the_plot_shows_every_curve() -> None:
    """It is read by eye alone, so that a curve that is lost would not be missed."""
    curves = {"one < two": [(0.0, 1.0), (1.0, 2.0)], "none": [], "two": [(0.0, 0.0), (1.0, 0.0)]}

    root = ElementTree.fromstring(draw({"panel": curves}, 1.0))

    lines = [one.get("points", "").split() for one in root.iter("{http://www.w3.org/2000/svg}polyline")]
    texts = [one.text for one in root.iter("{http://www.w3.org/2000/svg}text")]
    assert [len(points) for points in lines] == [2, 2]
    assert {"panel", "one < two", "two"} <= set(texts)


def test_the_mix_is_whole() -> None:
    """Its weights are told as parts of a thousand."""
    assert set(MIX) == set(Kind)
    assert sum(MIX.values()) == 1000
