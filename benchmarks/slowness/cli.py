"""``benchmarks/slow.py``: its options, and the turns alone and beside slow connections."""

import tempfile
from collections.abc import Sequence
from pathlib import Path

import click
from cryptography.hazmat.primitives.asymmetric import rsa

from benchmarks.cpu import Neighbours, tree_seconds
from benchmarks.load import apply_load
from benchmarks.measure import make_keys, prepare
from benchmarks.messages import Enrolment, count_successes
from benchmarks.report import write_readme
from benchmarks.servers import Server, scepbox
from benchmarks.slowness.drops import dropping
from benchmarks.slowness.report import Measured, Turn, make_table

_PLACES = {
    "one other address": ["127.0.0.2"],
    # None of them has more than one address may have.
    "twenty other addresses": [f"127.0.1.{number}" for number in range(1, 21)],
    "the address of the honest": ["127.0.0.1"],
}
_SETTINGS = '[server]\nadmin_listen = "127.0.0.1:0"\n'


@click.command(context_settings={"show_default": True})
@click.option("--connections", type=click.IntRange(1), default=2000, help="Slow ones, held half open.")
@click.option("--requests", type=click.IntRange(10), default=1000, help="Honest enrolments a measurement.")
@click.option("--honest", type=click.IntRange(1, 200), default=8, help="Connections of the honest.")
@click.option("--turns", type=click.IntRange(1), default=3, help="Alone and beside, for each place.")
@click.option("--keys", type=click.IntRange(1), default=64, help="RSA keys that the devices share.")
@click.option("--folder", type=click.Path(exists=True, path_type=Path), help="Where the server writes.")
@click.option("--write", is_flag=True, help="Put the result into benchmarks/README.md.")
def slow(
    connections: int, requests: int, honest: int, turns: int, keys: int, folder: Path | None, write: bool
) -> None:
    """Enrol at our server alone, and beside connections that send a drop every few seconds, in turn."""
    with (
        tempfile.TemporaryDirectory(dir=folder) as place,
        scepbox(Path(place) / "scepbox", settings=_SETTINGS) as server,
    ):
        bench = _Bench(server, make_keys(keys), requests, honest)
        bench.warm_up()
        neighbours = Neighbours()
        measured = [
            bench.take_turn(name, sources, connections)
            for _ in range(turns)
            for name, sources in _PLACES.items()
        ]
        result = make_table(measured, connections, neighbours.share())
    click.echo(result)
    if write:
        write_readme("slow", result)


class _Bench:
    """The honest side: so many *requests* at a time over *honest* connections."""

    def __init__(self, server: Server, keys: list[rsa.RSAPrivateKey], requests: int, honest: int) -> None:
        self._server = server
        self._keys = keys
        self._requests = requests
        self._honest = honest
        self._serials: set[int] = set()

    def take_turn(self, place: str, sources: Sequence[str], connections: int) -> Turn:
        """Enrol alone, then beside slow connections from those addresses."""
        alone = self._enrol(self._prepare("alone"))
        enrolments = self._prepare(f"beside slow ones from {place}")
        with dropping(self._server.target.address, sources, connections) as slow_side:
            slow_side.wait_until_open()
            slow_side.begin()
            beside = self._enrol(enrolments)
            return Turn(place, alone, beside, slow_side.end())

    def warm_up(self) -> None:
        """Enrol once for warmth."""
        self._enrol(self._prepare("warming up"))

    def _prepare(self, words: str) -> list[Enrolment]:
        return prepare(self._server.target, self._requests, self._keys, words)

    def _enrol(self, enrolments: list[Enrolment]) -> Measured:
        address, before = self._server.target.address, tree_seconds(self._server.pid)
        result = apply_load(address, [one.http for one in enrolments], self._honest)
        cpu_seconds = tree_seconds(self._server.pid) - before
        successes, _ = count_successes(enrolments, result.responses, self._serials)
        return Measured(
            rate=successes / result.seconds,
            failed=len(enrolments) - successes,
            cpu=cpu_seconds * 1000 / max(1, successes),
        )
