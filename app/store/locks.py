"""Locks between servers on one PostgreSQL, for what is looked at first and written then.

Each is a number that PostgreSQL knows nothing of, held until the transaction ends. On SQLite there are
none: its transactions that may write are alone from their start.
"""

from hashlib import sha256

from sqlalchemy import BigInteger, Connection, bindparam, func, select

from app.store.engine import only_reads
from app.store.prepared import Prepared
from app.store.statement import find_pipeline

_number = bindparam("number", type_=BigInteger)
_ALONE = Prepared(select(func.pg_advisory_xact_lock(_number)))
_SHARED = Prepared(select(func.pg_advisory_xact_lock_shared(_number)))


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


def _lock(connection: Connection, statement: Prepared, *names: bytes) -> None:
    if find_pipeline(connection) is not None and not only_reads(connection):
        for number in sorted({_number_of(name) for name in names}):
            statement.send(connection, {"number": number})


def _number_of(name: bytes) -> int:
    """A number for a name; that two names have one makes them wait without need, and no more."""
    return int.from_bytes(sha256(name).digest()[:8], "big", signed=True)
