"""Whether a database is there and anything is kept in it, found out without making one."""

import sqlite3
from contextlib import closing
from enum import Enum, auto
from pathlib import Path

from sqlalchemy import Engine, inspect, literal, select, table
from sqlalchemy.exc import SQLAlchemyError

from app.store.engine import (
    BUSY_SECONDS,
    READ_ONLY,
    DatabaseUrl,
    is_postgresql,
    named_file,
    open_engine,
)
from app.store.trouble import unavailable
from ca.errors import StoreUnavailable


class Presence(Enum):
    """How much of a database there is."""

    ABSENT = auto()  # No file, or one without a table.
    EMPTY = auto()  # Of no CA, without a certificate, a challenge password or a request that waits.
    USED = auto()


# What nobody keeps in vain.
_TELLING = ("authority", "certificate", "challenge", "held")


def find_database_file(url: DatabaseUrl) -> Path | None:
    """The database's file; None where it is in memory, on a server, or named in another way.

    Raises:
        StoreUnavailable: It is no database's address.

    """
    try:
        path = named_file(url)
    except SQLAlchemyError as error:
        raise StoreUnavailable(str(error)) from error
    return path.resolve() if path else None


def look_at_database(url: DatabaseUrl) -> Presence:
    """Say how much of the database at *url* there is. One in memory is always empty.

    Raises:
        StoreUnavailable: It is there and cannot be read.

    """
    path = find_database_file(url)
    if is_postgresql(url):
        return _look_at_server(url)
    if path is None:
        return Presence.EMPTY
    if not path.exists():
        return Presence.ABSENT
    try:
        # SQLite's own door, because the engine would make tables or change the journal.
        with closing(sqlite3.connect(f"{path.as_uri()}?mode=rw", BUSY_SECONDS, uri=True)) as connection:
            return _look(connection)
    except (sqlite3.Error, UnicodeDecodeError) as error:
        # The latter where what it would complain of is no text.
        raise unavailable(error) from error


def _look(connection: sqlite3.Connection) -> Presence:
    tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master")}
    if "alembic_version" not in tables:
        return Presence.ABSENT
    for name in tables & set(_TELLING):
        if connection.execute(f"SELECT 1 FROM {name} LIMIT 1").fetchone():  # noqa: S608 - one of four names
            return Presence.USED
    return Presence.EMPTY


def _look_at_server(url: DatabaseUrl) -> Presence:
    engine = open_engine(url)
    try:
        return _look_through(engine)
    except (SQLAlchemyError, engine.dialect.loaded_dbapi.Error) as error:
        raise unavailable(error) from error
    finally:
        engine.dispose()


def _look_through(engine: Engine) -> Presence:
    with engine.connect().execution_options(**READ_ONLY) as connection:
        tables = set(inspect(connection).get_table_names())
        if "alembic_version" not in tables:
            return Presence.ABSENT
        for name in tables & set(_TELLING):
            if connection.scalar(select(literal(1)).select_from(table(name)).limit(1)):
                return Presence.USED
    return Presence.EMPTY
