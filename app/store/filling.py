"""Filling a database that has nothing in it with rows from elsewhere: with all of them, or with none."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from typing import Any

from sqlalchemy import Connection, Engine, inspect, text
from sqlalchemy.exc import SQLAlchemyError

from app.store.audit import last_entry
from app.store.engine import DatabaseUrl, driver_connection, is_postgresql, open_engine
from app.store.migrate import (
    HEAD,
    changing_tables,
    find_revision,
    is_known,
    of_newer_program,
    upgrade,
)
from app.store.records import AuditHead
from app.store.trouble import unavailable
from ca.errors import StoreUnavailable

_VERSION = "alembic_version"
_IN_ORDER = "audit_in_order"


# In "challenge 12" and "challenges 5 to 104".
_NUMBER = re.compile("[0-9]+")


class Filling:
    """A database with the tables of some revision and nothing in them."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._quote = connection.dialect.identifier_preparer.quote
        looked = inspect(connection)
        self._tables = {
            name: {column["name"]: column["type"] for column in looked.get_columns(name)}
            for name in looked.get_table_names()
            if name != _VERSION
        }
        self._laid_aside = _lay_aside(connection)

    def check_tables(self, tables: Mapping[str, Iterable[str]]) -> None:
        """Raises: StoreUnavailable: These are not the tables of that revision, or not their columns."""
        there = {name: set(columns) for name, columns in self._tables.items()}
        if there != {name: set(columns) for name, columns in tables.items()}:
            raise StoreUnavailable("the tables of the backup are not those of its schema")

    def fill(self, name: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
        """Put *rows* into a table, and see to it that as many are there as were given.

        Raises:
            StoreUnavailable: They are not.
            SQLAlchemyError, or the driver's error: The database refuses one.

        """
        table, into = self._quote(name), ", ".join(map(self._quote, columns))
        counted = _Counted(rows)
        if self._connection.dialect.name == "postgresql":
            # What waits to be sent must not be overtaken.
            self._connection.execute(text("SELECT 1"))
            driver = driver_connection(self._connection)
            with driver.cursor() as cursor, cursor.copy(f"COPY {table} ({into}) FROM STDIN") as copy:
                for row in counted:
                    copy.write_row(row)
        else:
            places = ", ".join("?" for _ in columns)
            statement = f"INSERT INTO {table} ({into}) VALUES ({places})"  # noqa: S608 - names of our tables
            with closing(driver_connection(self._connection).cursor()) as cursor:
                cursor.executemany(statement, counted)
        there = self._connection.scalar(text(f"SELECT count(*) FROM {table}"))  # noqa: S608 - the same
        if there != counted.count:
            raise StoreUnavailable(f"of {counted.count} rows of {name} {there} are there")

    def finish(self, head: AuditHead) -> None:
        """Bring the tables to the newest schema, with indexes, and number new rows after those there.

        Raises:
            StoreUnavailable: The audit log does not end as it did.

        """
        for statement in self._laid_aside:
            self._connection.exec_driver_sql(statement)
        if find_revision(self._connection) != HEAD:
            upgrade(self._connection)
        if last_entry(self._connection) != head:
            raise StoreUnavailable("the audit log does not end as the backup says")
        if self._connection.dialect.name == "postgresql":
            for name in self._tables:
                self._set_sequence(name)
            # Its plans would be those for empty tables until it looks by itself.
            self._connection.execute(text("ANALYZE"))
        self._number_challenges_after(self._last_challenge())

    def _last_challenge(self) -> int:
        """The highest number that any challenge ever had, which may be gone: the audit log names it."""
        told = "SELECT target FROM audit WHERE target LIKE 'challenge%'"
        numbers = [
            int(one) for target in self._connection.scalars(text(told)) for one in _NUMBER.findall(target)
        ]
        spent = self._connection.scalar(text("SELECT max(challenge_id) FROM request"))
        there = self._connection.scalar(text("SELECT max(id) FROM challenge"))
        return max((*numbers, spent or 0, there or 0))

    def _number_challenges_after(self, last: int) -> None:
        if not last:
            return
        if self._connection.dialect.name == "postgresql":
            say = "SELECT setval(pg_get_serial_sequence('challenge', 'id'), :last)"
            self._connection.execute(text(say), {"last": last})
        else:
            self._connection.execute(text("DELETE FROM sqlite_sequence WHERE name = 'challenge'"))
            say = "INSERT INTO sqlite_sequence (name, seq) VALUES ('challenge', :last)"
            self._connection.execute(text(say), {"last": last})

    def _set_sequence(self, name: str) -> None:
        for column in inspect(self._connection).get_pk_constraint(name)["constrained_columns"]:
            found = {"table": self._quote(name), "column": column}
            sequence = self._connection.scalar(text("SELECT pg_get_serial_sequence(:table, :column)"), found)
            if sequence is not None:
                last = f"SELECT max({self._quote(column)}) FROM {self._quote(name)}"  # noqa: S608 - ours
                highest = self._connection.scalar(text(last))
                if highest is not None:
                    say = {"sequence": sequence, "highest": highest}
                    self._connection.execute(text("SELECT setval(:sequence, :highest)"), say)


class _Counted(Iterator[Sequence[Any]]):
    """Rows that are counted as they go by."""

    def __init__(self, rows: Iterable[Sequence[Any]]) -> None:
        self._rows = iter(rows)
        self.count = 0

    def __next__(self) -> Sequence[Any]:
        row = next(self._rows)
        self.count += 1
        return row


@contextmanager
def filling(url: DatabaseUrl, revision: str) -> Iterator[Filling]:
    """A database with the tables of *revision*, to be filled; it is all there at the end, or nothing is.

    An SQLite file has to be one that nobody else knows yet: it is whole only once this was left.

    Raises:
        StoreUnavailable: It cannot be opened or written, has tables already, or the revision is unknown.

    """
    if not is_known(revision):
        raise StoreUnavailable(f"the backup has {of_newer_program(revision)}")
    try:
        engine = open_engine(url)
    except SQLAlchemyError as error:
        raise unavailable(error) from error
    try:
        with engine.connect() as connection:
            if not is_postgresql(url):
                _hurry(connection)
            with changing_tables(connection):
                if inspect(connection).get_table_names():
                    raise StoreUnavailable("there are tables in it already; name an empty one")
                upgrade(connection, revision)
                yield Filling(connection)
    except (SQLAlchemyError, _driver_error(engine)) as error:
        raise unavailable(error) from error
    finally:
        engine.dispose()


def _driver_error(engine: Engine) -> type[Exception]:
    error: type[Exception] = engine.dialect.loaded_dbapi.Error
    return error


def _hurry(connection: Connection) -> None:
    """Have SQLite keep no journal: what is interrupted is thrown away, and the file synced at the end."""
    driver = driver_connection(connection)
    for pragma in ("journal_mode=DELETE", "journal_mode=OFF", "synchronous=OFF"):
        driver.execute(f"PRAGMA {pragma}")


def _lay_aside(connection: Connection) -> list[str]:
    """Take away what is in the way of filling an SQLite database; the statements make it anew.

    Indexes, because keys come in no order, and are sorted faster once all are there; and the trigger that
    wants the audit log without gaps: one with a gap is evidence, and no reason to lose the rest.
    """
    if connection.dialect.name != "sqlite":
        return []
    query = "SELECT type, name, sql FROM sqlite_master WHERE sql IS NOT NULL AND type IN ('index', 'trigger')"
    found = [row for row in connection.execute(text(query)) if row.type == "index" or row.name == _IN_ORDER]
    for row in found:
        connection.exec_driver_sql(f"DROP {row.type} {row.name}")
    return [str(row.sql) for row in found]
