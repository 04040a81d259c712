"""``benchmarks/stored.py``: its options, and the run from empty folders to a table."""

import statistics
import tempfile
import time
from collections import defaultdict
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import click
from cryptography.hazmat.primitives.asymmetric import rsa

from benchmarks.cpu import Neighbours, ThreeOperations, largest_resident
from benchmarks.indexing import index_names
from benchmarks.load import apply_load
from benchmarks.looks import look
from benchmarks.measure import console, make_keys, measure, prepare
from benchmarks.report import Point, about, markdown, write_readme
from benchmarks.servers import Server, make_scepbox, serving_scepbox
from benchmarks.stock import stock_of

_Figures = dict[str, dict[str, str]]


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a stock is: *name* is the head of its column, *database* where it is not SQLite."""

    name: str
    count: int
    folder: Path
    database: str = ""


@click.command(context_settings={"show_default": True})
@click.option("--stored", multiple=True, type=click.IntRange(0), default=(0, 100_000, 1_000_000))
@click.option("--database", metavar="URL", help="The largest on this empty PostgreSQL database as well.")
@click.option("--requests", type=click.IntRange(10), default=1000, help="Enrolments a point.")
@click.option("--rounds", type=click.IntRange(1), default=5, help="Points for each stock, in turn.")
@click.option("--connections", type=click.IntRange(1, 500), default=8)
@click.option("--keys", type=click.IntRange(1), default=32, help="RSA keys that the devices share.")
@click.option("--folder", type=click.Path(exists=True, path_type=Path), help="Where the servers write.")
@click.option("--stocks", type=click.Path(path_type=Path), help="Keep them here, for the next run as well.")
@click.option("--write", is_flag=True, help="Put the result into benchmarks/README.md.")
def stored(
    stored: tuple[int, ...],
    database: str | None,
    requests: int,
    rounds: int,
    connections: int,
    keys: int,
    folder: Path | None,
    stocks: Path | None,
    write: bool,
) -> None:
    """Enrol, list, revoke and ask for states beside so many certificates, one in 20 of them revoked."""
    device_keys = make_keys(keys)
    with tempfile.TemporaryDirectory(dir=folder) as passing:
        top = stocks or Path(passing)
        top.mkdir(exist_ok=True)
        places = [_Place(f"{count:,} stored", count, top / str(count)) for count in sorted(set(stored))]
        if database:
            most = max(stored)
            places.append(_Place(f"{most:,} stored, PostgreSQL", most, top / "postgresql", database))
        figures: _Figures = defaultdict(dict)
        challenges = [_make(place, device_keys, figures) for place in places]
        result = _measure(places, challenges, device_keys, requests, rounds, connections, figures)
    click.echo(result)
    if write:
        write_readme("stored", result)


def _make(place: _Place, keys: list[rsa.RSAPrivateKey], figures: _Figures) -> str:
    """A data folder with its certificates and a few that were enrolled; its challenge password."""
    kept = place.folder / "challenge"
    if not kept.exists():
        challenge = make_scepbox(place.folder, place.database)
        with serving_scepbox(place.folder, challenge, place.name) as server:
            _warm(server, keys)
        with stock_of(place.folder) as stock:
            stock.fill(place.count)
        kept.write_text(challenge)
    with stock_of(place.folder) as stock:
        for words, figure in index_names(stock):
            figures[words][place.name] = figure
    return kept.read_text()


def _warm(server: Server, keys: list[rsa.RSAPrivateKey]) -> None:
    enrolments = prepare(server.target, 400, keys, server.name)
    apply_load(server.target.address, [one.http for one in enrolments], 8)


def _measure(
    places: Sequence[_Place],
    challenges: Sequence[str],
    keys: list[rsa.RSAPrivateKey],
    requests: int,
    rounds: int,
    connections: int,
    figures: _Figures,
) -> str:
    """The enrolments in turn, so that what else the machine does meets all stocks, then the rest."""
    points: dict[str, list[Point]] = defaultdict(list)
    operations, neighbours = ThreeOperations(), Neighbours()
    with ExitStack() as stack:
        servers: list[Server] = []
        for place, challenge in zip(places, challenges, strict=True):
            started = time.perf_counter()
            servers.append(stack.enter_context(serving_scepbox(place.folder, challenge, place.name)))
            figures["start, until the first answer"][place.name] = f"{time.perf_counter() - started:.1f} s"
            _warm(servers[-1], keys)
        for number in range(rounds):
            # Each is first as often as last.
            for server in servers[:: -1 if number % 2 else 1]:
                enrolments = prepare(server.target, requests, keys, server.name)
                point = measure(server, connections, enrolments, 50, operations=operations, serials=set())
                points[server.name].append(point)
        for place, server in zip(places, servers, strict=True):
            figures["most resident memory of a process, after the enrolments"][place.name] = _memory(server)
            with stock_of(place.folder) as stock:
                for words, milliseconds in look(stock, server, str(place.folder)):
                    console.print(f"{server.name}: {words}: {milliseconds:.1f} ms")
                    figures[words][place.name] = f"{milliseconds:.1f} ms"
            figures["the same, after all of this"][place.name] = _memory(server)
        share = neighbours.share()
    return _table(points, figures, share)


def _memory(server: Server) -> str:
    return f"{largest_resident(server.pid) / 1e6:.0f} MB"


def _table(points: dict[str, list[Point]], figures: _Figures, neighbours: float) -> str:
    rates = {name: [one.rate for one in some] for name, some in points.items()}
    base = next(iter(rates))
    ratios = {
        name: statistics.median(one / other for one, other in zip(some, rates[base], strict=True))
        for name, some in rates.items()
    }
    cpu = {name: statistics.median(one.cpu_milliseconds for one in some) for name, some in points.items()}
    succeeded = {
        name: f"{sum(one.successes for one in some)} of {sum(one.requests for one in some)}"
        for name, some in points.items()
    }
    rows = [
        ["enrolments/s, in turn", *(", ".join(f"{one:.0f}" for one in some) for some in rates.values())],
        [f"their ratio to those at {base} (median of rounds)", *(f"{one:.2f}" for one in ratios.values())],
        ["server CPU, ms an enrolment", *(f"{one:.2f}" for one in cpu.values())],
        ["succeeded", *succeeded.values()],
        *([words, *(found.get(name, "") for name in rates)] for words, found in figures.items()),
    ]
    times = [one.three_operations for some in points.values() for one in some]
    return f"{markdown(['', *rates], rows)}\n\n{about(times, neighbours)}"
