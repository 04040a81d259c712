"""``benchmarks/stored.py``: its options, and the run from empty folders to a table."""

import statistics
import tempfile
import time
from collections import defaultdict
from contextlib import ExitStack
from pathlib import Path

import click
from cryptography.hazmat.primitives.asymmetric import rsa

from benchmarks.cpu import Neighbours, ThreeOperations, largest_resident
from benchmarks.load import apply_load
from benchmarks.looks import look
from benchmarks.measure import console, make_keys, measure, prepare
from benchmarks.report import Point, about, markdown, write_readme
from benchmarks.servers import Server, make_scepbox, serving_scepbox
from benchmarks.stock import stock_of


@click.command(context_settings={"show_default": True})
@click.option("--stored", multiple=True, type=click.IntRange(0), default=(0, 100_000, 1_000_000))
@click.option("--requests", type=click.IntRange(10), default=1000, help="Enrolments a point.")
@click.option("--rounds", type=click.IntRange(1), default=5, help="Points for each stock, in turn.")
@click.option("--connections", type=click.IntRange(1, 500), default=8)
@click.option("--keys", type=click.IntRange(1), default=32, help="RSA keys that the devices share.")
@click.option("--folder", type=click.Path(exists=True, path_type=Path), help="Where the servers write.")
@click.option("--write", is_flag=True, help="Put the result into benchmarks/README.md.")
def stored(
    stored: tuple[int, ...],
    requests: int,
    rounds: int,
    connections: int,
    keys: int,
    folder: Path | None,
    write: bool,
) -> None:
    """Enrol, list, revoke and ask for states beside so many certificates, one in 20 of them revoked."""
    device_keys = make_keys(keys)
    with tempfile.TemporaryDirectory(dir=folder) as place:
        folders = {count: Path(place) / str(count) for count in sorted(set(stored))}
        challenges = {count: _make(one, count, device_keys) for count, one in folders.items()}
        result = _measure(folders, challenges, device_keys, requests, rounds, connections)
    click.echo(result)
    if write:
        write_readme("stored", result)


def _make(folder: Path, count: int, keys: list[rsa.RSAPrivateKey]) -> str:
    """A data folder with *count* certificates and a few that were enrolled; its challenge password."""
    challenge = make_scepbox(folder)
    with serving_scepbox(folder, challenge, f"{count:,} stored") as server:
        _warm(server, keys)
    with stock_of(folder) as stock:
        stock.fill(count)
    return challenge


def _warm(server: Server, keys: list[rsa.RSAPrivateKey]) -> None:
    enrolments = prepare(server.target, 400, keys, server.name)
    apply_load(server.target.address, [one.http for one in enrolments], 8)


def _measure(
    folders: dict[int, Path],
    challenges: dict[int, str],
    keys: list[rsa.RSAPrivateKey],
    requests: int,
    rounds: int,
    connections: int,
) -> str:
    """The enrolments in turn, so that what else the machine does meets all stocks, then the rest."""
    figures: dict[str, dict[int, str]] = defaultdict(dict)
    points: dict[int, list[Point]] = defaultdict(list)
    operations, neighbours = ThreeOperations(), Neighbours()
    with ExitStack() as stack:
        servers: dict[int, Server] = {}
        for count, folder in folders.items():
            started = time.perf_counter()
            serving = serving_scepbox(folder, challenges[count], f"{count:,} stored")
            servers[count] = stack.enter_context(serving)
            figures["start, until the first answer"][count] = f"{time.perf_counter() - started:.1f} s"
            _warm(servers[count], keys)
        for number in range(rounds):
            # Each is first as often as last.
            for count in list(servers)[:: -1 if number % 2 else 1]:
                enrolments = prepare(servers[count].target, requests, keys, servers[count].name)
                point = measure(
                    servers[count], connections, enrolments, 50, operations=operations, serials=set()
                )
                points[count].append(point)
        for count, server in servers.items():
            figures["most resident memory of a process, after the enrolments"][count] = _memory(server)
            with stock_of(folders[count]) as stock:
                for words, milliseconds in look(stock, server, str(folders[count])):
                    console.print(f"{server.name}: {words}: {milliseconds:.1f} ms")
                    figures[words][count] = f"{milliseconds:.1f} ms"
            figures["the same, after all of this"][count] = _memory(server)
        share = neighbours.share()
    rates = {count: [one.rate for one in some] for count, some in points.items()}
    return _table(rates, points, figures, share)


def _memory(server: Server) -> str:
    return f"{largest_resident(server.pid) / 1e6:.0f} MB"


def _table(
    rates: dict[int, list[float]],
    points: dict[int, list[Point]],
    figures: dict[str, dict[int, str]],
    neighbours: float,
) -> str:
    counts = list(rates)
    base = counts[0]
    ratios = {
        count: statistics.median(one / other for one, other in zip(some, rates[base], strict=True))
        for count, some in rates.items()
    }
    cpu = {count: statistics.median(one.cpu_milliseconds for one in some) for count, some in points.items()}
    succeeded = {
        count: f"{sum(one.successes for one in some)} of {sum(one.requests for one in some)}"
        for count, some in points.items()
    }
    rows = [
        ["enrolments/s, in turn", *(", ".join(f"{one:.0f}" for one in rates[count]) for count in counts)],
        [f"their ratio to those at {base:,} (median of rounds)", *(f"{ratios[one]:.2f}" for one in counts)],
        ["server CPU, ms an enrolment", *(f"{cpu[one]:.2f}" for one in counts)],
        ["succeeded", *(succeeded[one] for one in counts)],
        *([words, *(found.get(count, "") for count in counts)] for words, found in figures.items()),
    ]
    times = [one.three_operations for some in points.values() for one in some]
    columns = ["", *(f"{count:,} stored" for count in counts)]
    return f"{markdown(columns, rows)}\n\n{about(times, neighbours)}"
