"""How many refusals go into the audit log: anybody can cause them, and nothing is ever taken out of it."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from threading import Lock

from ca.ports import AuditEntry

# The outcomes that strangers can cause as often as they like.
REFUSED = "refused"
BREACH = "breach"
MOST_A_MINUTE = 60
_MINUTE = timedelta(minutes=1)


@dataclass(slots=True)
class _Count:
    """The refusals of one kind in the minute that *began*: those written, and those not told of yet."""

    began: datetime
    written: int = 0
    left_out: int = 0


class RefusalTally:
    """Lets *most* refusals a minute be written and counts the others. One a process.

    Each outcome is counted for itself, so that a flood of guesses hides no breach. Whatever is no
    refusal is always written, and so is how many were left out before it.
    """

    def __init__(self, most: int = MOST_A_MINUTE) -> None:
        self._most = most
        self._counts: dict[str, _Count] = {}
        self._lock = Lock()

    def admit(self, entry: AuditEntry) -> tuple[AuditEntry, ...]:
        """What to write now: *entry* if there is room for it, behind what tells of those left out."""
        with self._lock:
            if entry.outcome not in (REFUSED, BREACH):
                return (*self._tell(entry.at), entry)
            count = self._count(entry)
            if count.written >= self._most:
                count.left_out += 1
                return ()
            count.written += 1
            return (*self._tell(entry.at), entry)

    def leave_out(self, entry: AuditEntry) -> None:
        """Count *entry*, which shall not cost a transaction."""
        with self._lock:
            self._count(entry).left_out += 1

    def rest(self, now: datetime) -> tuple[AuditEntry, ...]:
        """What tells of those left out until now, for a process that ends."""
        with self._lock:
            return self._tell(now)

    def _count(self, entry: AuditEntry) -> _Count:
        count = self._counts.setdefault(entry.outcome, _Count(entry.at))
        # A clock that was set back begins a new minute too.
        if not timedelta(0) <= entry.at - count.began < _MINUTE:
            count.began, count.written = entry.at, 0
        return count

    def _tell(self, now: datetime) -> tuple[AuditEntry, ...]:
        told = tuple(
            AuditEntry(now, "server", "enrol", "", outcome, "RefusalTally", _words(count.left_out))
            for outcome, count in self._counts.items()
            if count.left_out
        )
        for count in self._counts.values():
            count.left_out = 0
        return told


def _words(left_out: int) -> str:
    return f"{left_out} further refusal{'s' if left_out > 1 else ''} that the log of the server alone has"
