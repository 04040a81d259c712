"""CPU time as the kernel counts it, and what three RSA-2048 private-key operations take of it."""

import os
import time
from collections.abc import Iterator
from pathlib import Path

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")


def tree_seconds(pid: int) -> float:
    """User and system time of a process, its descendants, and the children that any of them waited for."""
    return sum(sum(map(int, _stat(one)[13:17])) for one in tree(pid)) / _TICKS


def largest_resident(pid: int) -> int:
    """The most resident memory, in octets, that one process has of it and its descendants."""
    return max(int(Path(f"/proc/{one}/statm").read_text().split()[1]) for one in tree(pid)) * _PAGE


def tree(pid: int) -> Iterator[int]:
    """The process and its descendants, parents first."""
    yield pid
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in (task / "children").read_text().split():
            yield from tree(int(child))


def _stat(pid: int) -> list[str]:
    """The fields of ``/proc/PID/stat`` (proc(5)), 0 being the pid; the name may hold blanks."""
    head, _, tail = Path(f"/proc/{pid}/stat").read_text().rpartition(")")
    return [*head.split(" (", 1), *tail.split()]


class Neighbours:
    """What other programs take of the machine meanwhile, which makes every figure worse."""

    def __init__(self) -> None:
        self._started = time.perf_counter(), self._others()

    @staticmethod
    def _others() -> float:
        fields = Path("/proc/stat").read_text().split("\n", 1)[0].split()
        user, nice, system, _, _, *interrupts = map(int, fields[1:9])
        return (user + nice + system + sum(interrupts)) / _TICKS - tree_seconds(os.getpid())

    def share(self) -> float:
        """Their part of all cores' time since the start."""
        started, before = self._started
        elapsed = (time.perf_counter() - started) * (os.cpu_count() or 1)
        return max(0.0, (self._others() - before) / elapsed)


class ThreeOperations:
    """What an enrolment cannot do without: open an envelope, sign a certificate, sign a reply."""

    def __init__(self) -> None:
        self._key = rsa.generate_private_key(65537, 2048)
        self._envelope = self._key.public_key().encrypt(bytes(16), padding.PKCS1v15())

    def milliseconds(self, rounds: int = 300) -> float:
        """CPU for the three together, on one thread, while nothing else runs here."""
        started = time.process_time()
        for _ in range(rounds):
            self._key.decrypt(self._envelope, padding.PKCS1v15())
            self._key.sign(b"certificate", padding.PKCS1v15(), hashes.SHA256())
            self._key.sign(b"reply", padding.PKCS1v15(), hashes.SHA256())
        return (time.process_time() - started) / rounds * 1000
