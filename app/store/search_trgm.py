"""The indexes for searching of a PostgreSQL database: that of pg_trgm, where it may be had, and one of pairs.

They are no part of the schema, because not every server has the extension. They are made in nobody's way, and
once there are so many certificates that looking at all of them takes its time.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import ColumnElement, Connection, Engine, Text, func, literal_column, select, text
from sqlalchemy.dialects.postgresql import ARRAY

from app.store import tables
from app.store.folded import has_part
from app.store.migrate import MIGRATION_SECONDS

if TYPE_CHECKING:
    import psycopg

# Enrolments pay for them, and with fewer all are looked at as fast.
LEAST_CERTIFICATES = 10_000
# As no other condition has it: which index a list is read by does not depend on this one.
_NAMES = "lower(subject || E'\\n' || subject_alt_names)"
# One and two letters, of which pg_trgm has none. This stands between pairs: who looks for it looks at all.
_BETWEEN = "\x01"
_PAIRS = "string_to_array(regexp_replace({0}, '(..)', E'\\\\1\\x01', 'g'), E'\\x01')"
_LETTERS = " || ".join(
    (f"string_to_array({_NAMES}, NULL)", _PAIRS.format(_NAMES), _PAIRS.format(f"substr({_NAMES}, 2)"))
)
_LONGEST = 2
_IS_WANTED = "SELECT count(*) = :least FROM (SELECT FROM certificate LIMIT :least) AS first"
# In KiB, that is some fifty thousand certificates: who enrols with more than these waiting sorts them in for
# all. It is done before (see keep_up).
_MOST_UNSORTED = 32 << 10
# Of all servers one makes them. The number is nobody else's.
_TURN = "SELECT pg_try_advisory_lock(6108443512)"


@dataclass(frozen=True, slots=True)
class _Index:
    """One index: what it is made of, and what has to be there before."""

    name: str
    columns: str
    preparation: tuple[str, ...] = ()

    @property
    def is_there(self) -> str:
        return f"SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass('{self.name}')"  # noqa: S608 - ours

    @property
    def sort(self) -> str:
        return f"SELECT gin_clean_pending_list('{self.name}')"

    @property
    def make(self) -> tuple[str, ...]:
        return (
            *self.preparation,
            # One whose making was cut short is there, and not valid.
            f"DROP INDEX CONCURRENTLY IF EXISTS {self.name}",
            f"CREATE INDEX CONCURRENTLY {self.name} ON certificate USING gin ({self.columns})"
            f" WITH (gin_pending_list_limit = {_MOST_UNSORTED})",
            # How often names hold something is known only then.
            "ANALYZE certificate",
        )


_OF_LETTERS = _Index("ix_certificate_letters", f"({_LETTERS})")
_OF_TRIGRAMS = _Index(
    "ix_certificate_names", f"{_NAMES} gin_trgm_ops", ("CREATE EXTENSION IF NOT EXISTS pg_trgm",)
)


def find(connection: Connection, part: str, most: int) -> Sequence[str] | None:
    """Up to *most* serial numbers of certificates, of which all are that have *part* in a name.

    None where no index tells: it is not there, or not complete, or it does not know such a part.
    """
    index, meet = (_OF_LETTERS, _has_letters) if len(part) <= _LONGEST else (_OF_TRIGRAMS, _has_trigrams)
    if not connection.scalar(text(index.is_there)):
        return None
    condition = meet(connection, part)
    if condition is None:
        return None
    return connection.scalars(select(tables.certificate.c.serial).where(condition).limit(most)).all()


def _has_letters(connection: Connection, part: str) -> ColumnElement[bool] | None:
    # The database folds it, and might make more letters of it.
    folded = connection.scalar(select(func.lower(part))) or ""
    if len(folded) > _LONGEST or _BETWEEN in folded:
        return None
    return literal_column(f"({_LETTERS})", ARRAY(Text)).contains([folded])


def _has_trigrams(connection: Connection, part: str) -> ColumnElement[bool] | None:
    # The first may be the end of a longer word. Letters and digits alone are known.
    if not connection.scalar(text("SELECT cardinality(show_trgm(:rest))"), {"rest": part[1:]}):
        return None
    return has_part(literal_column(_NAMES, Text), part)


def keep_up(engine: Engine) -> None:
    """Make the indexes where they are wanted, and have what was enrolled sorted into them.

    Raises:
        SQLAlchemyError, psycopg.Error: One may not be had, or the database cannot be asked.

    """
    # That which every server has comes first.
    for index in (_OF_LETTERS, _OF_TRIGRAMS):
        with engine.connect() as connection, connection.begin():
            if connection.scalar(text(index.is_there)):
                connection.execute(text(index.sort))
                continue
            is_wanted = connection.scalar(text(_IS_WANTED), {"least": LEAST_CERTIFICATES})
        if is_wanted:
            _make(engine, index)


def _make(engine: Engine, index: _Index) -> None:
    with _apart(engine) as connection:
        # Another server may make it now, or has made it since it was looked for.
        if _first(connection, _TURN) and not _first(connection, index.is_there):
            for statement in index.make:
                connection.execute(statement.encode())


@contextmanager
def _apart(engine: Engine) -> Iterator["psycopg.Connection[Any]"]:
    """A connection that commits each statement and waits for as long as it takes; it ends with this."""
    kept = engine.raw_connection()
    kept.detach()
    try:
        connection: Any = kept.dbapi_connection
        connection.autocommit = True
        connection.own_pipeline.patience = MIGRATION_SECONDS
        for limit in ("statement_timeout", "lock_timeout"):
            connection.execute(f"SET {limit} = '{MIGRATION_SECONDS}s'")
        yield connection
    finally:
        kept.close()


def _first(connection: "psycopg.Connection[Any]", query: str) -> object:
    """The first value that a query has; None where it has none."""
    row = connection.execute(query.encode()).fetchone()
    return row and row[0]
