"""What a sample says of the server: its processes as the kernel sees them, its files, its replies."""

import time
from collections import Counter, defaultdict
from math import ceil
from pathlib import Path
from threading import Lock

from benchmarks.cpu import Neighbours, tree_seconds
from benchmarks.cpu import tree as process_tree
from benchmarks.servers import Server
from benchmarks.soaking.kinds import Kind
from benchmarks.soaking.samples import (
    ALL_P99,
    DATA_FILES,
    DATABASE,
    LOAD,
    LOG,
    MEMORY,
    NUMBER,
    OPEN_FILES,
    OTHERS,
    P50,
    P99,
    REPLACED,
    SERVER,
    THREADS,
    WAL,
    Sample,
)

_KIB_A_MIB = 1024


class Replies:
    """How long each request took, by kind, since the last sample and altogether; and what was wrong."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._recent: dict[Kind, list[float]] = defaultdict(list)
        self.seconds: dict[Kind, list[float]] = defaultdict(list)
        self.wrong: Counter[str] = Counter()
        self.late = 0

    def add(self, kind: Kind, seconds: float) -> None:
        """A reply that was right."""
        with self._lock:
            self._recent[kind].append(seconds)
            self.seconds[kind].append(seconds)

    def add_wrong(self, kind: Kind, why: object) -> None:
        """A reply that was not, or none."""
        with self._lock:
            self.wrong[f"{kind}: {why}"] += 1

    def wrong_of(self, kind: Kind) -> int:
        """How many replies of that kind were wrong."""
        return sum(number for why, number in self.wrong.items() if why.startswith(f"{kind}: "))

    def add_late(self) -> None:
        """A request that was not sent when it was its turn, as those before it were under way still."""
        with self._lock:
            self.late += 1

    def take(self) -> dict[Kind, list[float]]:
        """Those since the last call."""
        with self._lock:
            recent, self._recent = self._recent, defaultdict(list)
        return recent


class Watch:
    """Takes samples of a server whose data are in *folder*."""

    def __init__(self, server: Server, folder: Path, replies: Replies) -> None:
        self._pid = server.pid
        self._folder = folder
        self._replies = replies
        self._started = time.monotonic()
        self._first = {*process_tree(server.pid)}
        self._begin()

    def _begin(self) -> None:
        self._since = time.monotonic()
        self._neighbours = Neighbours()
        self._load, self._server = time.process_time(), tree_seconds(self._pid)

    def sample(self) -> Sample:
        """What there is to say since the last one.

        Raises:
            OSError: The server has ended.

        """
        parent, *workers = process_tree(self._pid)
        elapsed = time.monotonic() - self._since
        figures = {
            f"{MEMORY}parent, MiB": _resident(parent),
            **{f"{MEMORY}worker {slot}, MiB": _resident(pid) for slot, pid in enumerate(sorted(workers), 1)},
            OPEN_FILES: float(sum(_count(pid, "fd") for pid in (parent, *workers))),
            THREADS: float(sum(_count(pid, "task") for pid in (parent, *workers))),
            DATA_FILES: float(sum(1 for _ in self._folder.rglob("*"))),
            REPLACED: float(len({*workers} - self._first)),
            DATABASE: _size(self._folder / "scepbox.db"),
            WAL: _size(self._folder / "scepbox.db-wal"),
            LOG: _size(self._folder / "server.log"),
            OTHERS: self._neighbours.share(),
            LOAD: (time.process_time() - self._load) / elapsed,
            SERVER: (tree_seconds(self._pid) - self._server) / elapsed,
            "wrong so far": float(self._replies.wrong.total()),
            "late so far": float(self._replies.late),
        }
        recent = self._replies.take()
        if everything := [seconds for of_kind in recent.values() for seconds in of_kind]:
            figures[ALL_P99] = percentile(everything, 99) * 1000
        for kind, seconds in sorted(recent.items()):
            figures[f"{kind}{NUMBER}"] = len(seconds)
            figures[f"{kind}{P50}"] = percentile(seconds, 50) * 1000
            figures[f"{kind}{P99}"] = percentile(seconds, 99) * 1000
        self._begin()
        return Sample(time.monotonic() - self._started, figures)


def percentile(values: list[float], percent: int) -> float:
    """The value that so many in a hundred do not exceed."""
    return sorted(values)[ceil(len(values) * percent / 100) - 1]


def _resident(pid: int) -> float:
    """Resident memory in MiB; a page that several processes share counts in each."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / _KIB_A_MIB
    raise LookupError(f"process {pid} has no memory")


def _count(pid: int, of: str) -> int:
    return len(list(Path(f"/proc/{pid}/{of}").iterdir()))


def _size(file: Path) -> float:
    return file.stat().st_size / _KIB_A_MIB**2 if file.exists() else 0.0
