"""``benchmarks/soak.py``: its options, and the requests at their times."""

import random
import shutil
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import replace
from pathlib import Path

import click
from rich.progress import Progress

from benchmarks.measure import console, make_keys
from benchmarks.report import README, write_readme
from benchmarks.servers import scepbox
from benchmarks.soaking.desk import Desk
from benchmarks.soaking.fleet import Fleet
from benchmarks.soaking.kinds import MIX, Kind
from benchmarks.soaking.report import make_plot, make_report
from benchmarks.soaking.samples import Sample, write_rows
from benchmarks.soaking.watch import Replies, Watch
from benchmarks.soaking.wire import Wrong

# Every certificate may be renewed at any time; who asks at /scep/byhand waits for a person.
_SETTINGS = """\
[server]
admin_listen = "127.0.0.1:0"
[profiles.default]
renewal_days = 0
[profiles.byhand]
challenge = "none"
approval = "manual"
"""
_SAMPLE_SECONDS = 10
_HANDS = 8
_LATE_SECONDS = 1.0


@click.command(context_settings={"show_default": True})
@click.option("--minutes", type=click.FloatRange(0.5), default=60.0)
@click.option("--rate", type=click.FloatRange(0.1, 1000), default=12.0, help="Requests a second.")
@click.option("--warm-up", type=click.FloatRange(0), default=10.0, help="Minutes; a sixth at most.")
@click.option("--keys", type=click.IntRange(1), default=64, help="RSA keys that the devices share.")
@click.option("--folder", type=click.Path(exists=True, path_type=Path), help="Where the server writes.")
@click.option(
    "--out", type=click.Path(exists=True, path_type=Path), help="Where soak.csv, soak.svg and soak.md go."
)
@click.option("--write", is_flag=True, help="Put the result into benchmarks/README.md, its files beside it.")
def soak(
    minutes: float, rate: float, warm_up: float, keys: int, folder: Path | None, out: Path | None, write: bool
) -> None:
    """Ask our server for everything, at a steady rate, and tell whether anything grows."""
    with tempfile.TemporaryDirectory(dir=folder) as place:
        results = out or Path(place)
        result = _run(Path(place) / "scepbox", results, minutes, rate, keys, min(warm_up, minutes / 6))
        click.echo(result)
        if write:
            write_readme("soak", result)
            for name in ("soak.csv", "soak.svg"):
                shutil.copy(results / name, README.parent)


def _run(data: Path, results: Path, minutes: float, rate: float, keys: int, warm_up: float) -> str:
    """The whole run; what it has measured is in *results* as it goes."""
    replies = Replies()
    with ExitStack() as stack:
        server = stack.enter_context(scepbox(data, settings=_SETTINGS))
        desk = stack.enter_context(closing(Desk(data)))
        by_hand = replace(server.target, path="/scep/byhand", challenge="")
        fleet = Fleet(server.target, by_hand, desk, make_keys(keys))
        table = stack.enter_context((results / "soak.csv").open("w", encoding="utf-8", newline=""))
        watch = Watch(server, data, replies)
        try:
            samples = list(write_rows(_soak(fleet, watch, replies, rate, minutes * 60), table))
        except FileNotFoundError as error:
            raise click.ClickException(
                f"the server ended: {(data / 'server.log').read_text()[-500:]}"
            ) from error
    report = make_report(samples, replies, rate, warm_up * 60)
    (results / "soak.svg").write_text(make_plot(samples), "utf-8")
    (results / "soak.md").write_text(f"{report}\n", "utf-8")
    return report


def _soak(fleet: Fleet, watch: Watch, replies: Replies, rate: float, seconds: float) -> Iterator[Sample]:
    """Have each request sent at its time, whatever becomes of those before it, and sample now and then."""
    kinds, weights = list(MIX), list(MIX.values())
    started, sampled = time.monotonic(), 0.0
    with ThreadPoolExecutor(_HANDS) as pool, Progress(console=console, refresh_per_second=1) as progress:
        task = progress.add_task("soaking", total=seconds)
        for number in range(1, int(rate * seconds) + 1):
            due = number / rate
            time.sleep(max(0.0, started + due - time.monotonic()))
            pool.submit(_act, fleet, replies, random.choices(kinds, weights)[0], started + due)
            progress.update(task, completed=due)
            if due >= sampled + _SAMPLE_SECONDS:
                sampled += _SAMPLE_SECONDS
                yield watch.sample()


def _act(fleet: Fleet, replies: Replies, kind: Kind, due: float) -> None:
    if time.monotonic() > due + _LATE_SECONDS:
        replies.add_late()
    try:
        replies.add(kind, fleet.act(kind))
    except Exception as error:
        # Whatever it is, it was not an answer as it has to be, and the next request has its turn.
        replies.add_wrong(kind, error if isinstance(error, Wrong) else repr(error))
