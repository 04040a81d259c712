"""What making the index for searching takes, and what it does to those who write meanwhile."""

import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import partial
from math import ceil

from app.store import SqlRepository
from benchmarks.measure import console
from benchmarks.stock import Stock
from ca.ports import AuditEntry

_ALONE_SECONDS = 5.0
# An index that is there is brought on in less.
_LEAST_SECONDS = 1.0


def index_names(stock: Stock) -> Iterator[tuple[str, str]]:
    """Have it made, and tell in words and figures what that took; nothing where it was there.

    A thread makes it, as in a server, but without rests. Beside it one small transaction follows another.
    """
    end = time.monotonic() + _ALONE_SECONDS
    alone = _write_until(stock, lambda: time.monotonic() > end)
    thread = threading.Thread(target=_index, args=(stock,))
    began = time.monotonic()
    thread.start()
    beside = _write_until(stock, lambda: not thread.is_alive())
    took = time.monotonic() - began
    console.print(f"the index for searching took {took:.1f} s")
    if took > _LEAST_SECONDS:
        yield "index for searching, made in", f"{took:.0f} s"
        yield "a small transaction, p50 / p99 / longest", _told(alone)
        yield "the same beside the making of the index", _told(beside)


def _index(stock: Stock) -> None:
    while stock.store.index_names():
        pass


def _write_until(stock: Stock, is_over: Callable[[], bool]) -> list[float]:
    """One entry of the audit log after another, each committed; how long each took, in seconds."""
    times = []
    entry = AuditEntry(datetime.now(UTC), "benchmark", "measure", "index", "done", "benchmark", "")
    while not is_over():
        started = time.perf_counter()
        stock.store.transact(partial(SqlRepository.add_audit, entry=entry))
        times.append(time.perf_counter() - started)
    return times


def _told(times: list[float]) -> str:
    ordered = sorted(times)
    places = (ceil(len(ordered) * percent / 100) - 1 for percent in (50, 99, 100))
    return " / ".join(f"{ordered[max(place, 0)] * 1000:.1f}" for place in places) + " ms"
