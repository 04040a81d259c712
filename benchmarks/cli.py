"""``benchmarks/enrol.py``: its options, and the run from prepared requests to a table."""

import tempfile
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, ExitStack
from functools import partial
from pathlib import Path

import click

from benchmarks.breakdown import measure_in_process
from benchmarks.cpu import Neighbours, ThreeOperations
from benchmarks.in_process import in_process
from benchmarks.measure import make_keys, measure, prepare
from benchmarks.namespace import enter_namespace
from benchmarks.report import make_breakdown, make_table, write_readme
from benchmarks.servers import Server, scepbox, scepserver

_Starters = Mapping[str, Callable[[Path], AbstractContextManager[Server]]]
_STARTERS: _Starters = {"scepbox": scepbox, "scepserver": scepserver}


@click.command(context_settings={"show_default": True})
@click.option("--requests", type=click.IntRange(10), default=1500, help="Enrolments a point.")
@click.option("--warm-up", type=click.IntRange(1), default=100, help="Enrolments before each point.")
@click.option("--connections", multiple=True, type=click.IntRange(1, 500), default=(1, 8, 32))
@click.option("--keys", type=click.IntRange(1), default=64, help="RSA keys that the devices share.")
@click.option("--only", type=click.Choice(list(_STARTERS)), help="One server alone; ours needs no root.")
@click.option("--folder", type=click.Path(exists=True, path_type=Path), help="Where the servers write.")
@click.option("--database", metavar="URL", help="Ours on this empty PostgreSQL database as well.")
@click.option("--profile", is_flag=True, help="Instead, tell where our server's CPU goes.")
@click.option("--write", is_flag=True, help="Put the result into benchmarks/README.md.")
def enrol(
    requests: int,
    warm_up: int,
    connections: tuple[int, ...],
    keys: int,
    only: str | None,
    folder: Path | None,
    database: str | None,
    profile: bool,
    write: bool,
) -> None:
    """Enrol at our server and at Debian's scepserver in one run, and tell what it took."""
    starters = {name: start for name, start in _STARTERS.items() if only in (None, name)}
    if database:
        ours = "scepbox on PostgreSQL"
        starters[ours] = partial(scepbox, name=ours, database=database)
    if "scepserver" in starters and not profile:
        enter_namespace()
    with tempfile.TemporaryDirectory(dir=folder) as place:
        if profile:
            result = _profile(Path(place), requests, warm_up, keys)
        else:
            result = _compare(Path(place), starters, requests, connections, warm_up, keys)
    click.echo(result)
    if write:
        write_readme("breakdown" if profile else "figures", result)


def _compare(
    place: Path, starters: _Starters, requests: int, connections: tuple[int, ...], warm_up: int, keys: int
) -> str:
    """Measure the servers in turn, with everything prepared before the first is timed."""
    operations, points = ThreeOperations(), []
    serials: dict[str, set[int]] = {name: set() for name in starters}
    with ExitStack() as stack:
        servers = [stack.enter_context(start(place / name)) for name, start in starters.items()]
        device_keys = make_keys(keys)
        rounds = [
            (server, number, prepare(server.target, requests + warm_up, device_keys, server.name))
            for number in connections
            for server in servers
        ]
        neighbours = Neighbours()
        for server, number, enrolments in rounds:
            known = serials[server.name]
            points.append(measure(server, number, enrolments, warm_up, operations=operations, serials=known))
        return make_table(points, neighbours.share())


def _profile(place: Path, requests: int, warm_up: int, keys: int) -> str:
    """The application in this process, and the whole server at one connection for what is around it."""
    device_keys = make_keys(keys)
    with in_process(place / "inside") as inside, scepbox(place / "scepbox") as server:
        bodies = [
            one.body for one in prepare(inside.target, 3 * requests + warm_up, device_keys, "in process")
        ]
        enrolments = prepare(server.target, requests + warm_up, device_keys, server.name)
        neighbours = Neighbours()
        for body in bodies[:warm_up]:
            inside.post(body)
        parts = measure_in_process(inside, bodies[warm_up:])
        point = measure(server, 1, enrolments, warm_up, operations=ThreeOperations(), serials=set())
        return make_breakdown(parts, point, neighbours.share())
