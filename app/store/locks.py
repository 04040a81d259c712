"""Locks between servers on one PostgreSQL, for what is looked at first and written then.

Each is a number that PostgreSQL knows nothing of, held until the transaction ends. On SQLite there are
none: its transactions that may write are alone from their start.
"""

from functools import cache
from hashlib import sha256
from typing import TYPE_CHECKING

from sqlalchemy import Connection

from app.store.engine import only_reads
from app.store.prepared import decimal
from app.store.statement import Statement, find_pipeline

if TYPE_CHECKING:
    from app.store.pipeline import Answer

_ALONE, _SHARED = "advisory_xact_lock", "advisory_xact_lock_shared"


class Overtaken(Exception):
    """What was found was changed by another server before anything was done: it has to be done anew."""


def lock(connection: Connection, *names: bytes) -> None:
    """Be alone with what *names* stand for, from before the next statement until the transaction ends.

    Several are locked in one order whoever does it, so that no two wait for each other.
    """
    _lock(connection, _ALONE, *names)


def share(connection: Connection, name: bytes) -> None:
    """The same, beside others who share it, but nobody who is alone with it."""
    _lock(connection, _SHARED, name)


def _lock(connection: Connection, function: str, *names: bytes) -> None:
    pipeline = find_pipeline(connection)
    if pipeline is None or only_reads(connection):
        return
    numbers = {str(place): number for place, number in enumerate(sorted(set(map(_number_of, names))))}
    if pipeline.may_wait:
        pipeline.send(_statement(f"pg_{function}", len(numbers)), numbers)
    else:
        # The answer is looked at together with the next one's.
        pipeline.send(_statement(f"pg_try_{function}", len(numbers)), numbers, _check_locked)


def _check_locked(answer: "Answer") -> None:
    if not all(answer.rows[0]):
        raise Overtaken


@cache
def _statement(function: str, count: int) -> Statement:
    """One statement for all locks; they are taken from left to right."""
    calls = ", ".join(f"{function}(${place + 1})" for place in range(count))
    return Statement(
        f"scepbox_{function}_{count}".encode(),
        f"SELECT {calls}".encode(),
        tuple(map(str, range(count))),
        (decimal,) * count,
        (0,) * count,
        # The octet of a truth value; of what is no value there is none.
        (any,) * count,
    )


def _number_of(name: bytes) -> int:
    """A number for a name; that two names have one makes them wait without need, and no more."""
    return int.from_bytes(sha256(name).digest()[:8], "big", signed=True)
