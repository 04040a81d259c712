"""Records that administering the store needs beside those of :mod:`ca.ports`."""

from dataclasses import dataclass
from datetime import datetime


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
