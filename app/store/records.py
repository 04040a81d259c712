"""Records that administering the store needs beside those of :mod:`ca.ports`."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from ca.ports import AuditEntry


@dataclass(frozen=True, slots=True)
class NewChallenge:
    """A challenge password to keep: *uses_left* None is no limit, *expires_at* None is for ever."""

    mac: bytes
    profile: str
    uses_left: int | None
    expires_at: datetime | None
    created_at: datetime
    subject: str | None = None
    subject_alt_names: tuple[str, ...] | None = None
    note: str = ""
    sid: str | None = None
    # Whether a person chose the secret, so that it may be guessed.
    guessable: bool = True


@dataclass(frozen=True, slots=True)
class Challenge:
    """A challenge password as it is listed: everything but the secret."""

    id: int
    profile: str
    uses_left: int | None
    expires_at: datetime | None
    subject: str | None
    subject_alt_names: tuple[str, ...]
    note: str
    created_at: datetime
    sid: str | None = None
    used_at: datetime | None = None
    used_by: str = ""


@dataclass(frozen=True, slots=True)
class AuditHead:
    """Where the audit log ends: the number of its last entry, and what the next is chained to.

    Written down elsewhere, it tells later whether the log up to there is still what it was.
    """

    number: int
    chain: bytes

    def __str__(self) -> str:
        """``NUMBER:HASH``, as ``log verify --head`` takes it."""
        return f"{self.number}:{self.chain.hex()}"


@dataclass(frozen=True, slots=True)
class WrittenEntry:
    """An entry of the audit log in its place."""

    number: int
    entry: AuditEntry
    chain: bytes


class Flaw(StrEnum):
    """What can be wrong with an entry of the audit log."""

    CHANGED = "changed"
    MISSING = "missing"
    INSERTED = "inserted"
    MOVED = "out of order"
    REWRITTEN = "rewritten"


@dataclass(frozen=True, slots=True)
class Finding:
    """One flaw of the audit log, of the entries from *first* to *last*; *what* says it in words."""

    first: int
    last: int
    flaw: Flaw
    what: str


@dataclass(frozen=True, slots=True)
class AuditReport:
    """What came of checking the audit log.

    *unchecked* is the number of the last entry whose key is lost, as a later one says; 0 for none. There
    may be more *findings* than are listed where *is_cut*.
    """

    head: AuditHead
    findings: tuple[Finding, ...]
    unchecked: int = 0
    is_cut: bool = False


@dataclass(frozen=True, slots=True)
class Figures:
    """How much there is: challenge passwords by profile, certificates, requests and notifications.

    *certificates* are those in force, *expiring* those of them that end within so many days, *waiting* the
    requests that wait for a person by profile, and *notifications* what is to be told by validator.
    """

    challenges: dict[str, int]
    certificates: int
    expiring: dict[int, int]
    waiting: dict[str, int]
    notifications: dict[str, int]
