"""The index for searching of a PostgreSQL database: that of pg_trgm, where it may be had.

It is no part of the schema, because not every server has the extension. It is made in nobody's way, and
once there are so many certificates that looking at all of them takes its time.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, Engine, Text, literal_column, select, text

from app.store import tables
from app.store.folded import has_part
from app.store.migrate import MIGRATION_SECONDS

if TYPE_CHECKING:
    import psycopg

# Enrolments pay for it, and with fewer all are looked at as fast.
LEAST_CERTIFICATES = 10_000
_NAME = "ix_certificate_names"
# As no other condition has it: which index a list is read by does not depend on this one.
_NAMES = "lower(subject || E'\\n' || subject_alt_names)"
_IS_THERE = f"SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass('{_NAME}')"  # noqa: S608 - ours
_IS_WANTED = "SELECT count(*) = :least FROM (SELECT FROM certificate LIMIT :least) AS first"
# In KiB, that is some fifty thousand certificates: who enrols with more than these waiting sorts them in for
# all. It is done before (see keep_up).
_MOST_UNSORTED = 32 << 10
# Of all servers one makes it. The number is nobody else's.
_TURN = "SELECT pg_try_advisory_lock(6108443512)"
_MAKE = (
    "CREATE EXTENSION IF NOT EXISTS pg_trgm",
    # One whose making was cut short is there, and not valid.
    f"DROP INDEX CONCURRENTLY IF EXISTS {_NAME}",
    f"CREATE INDEX CONCURRENTLY {_NAME} ON certificate USING gin ({_NAMES} gin_trgm_ops)"
    f" WITH (gin_pending_list_limit = {_MOST_UNSORTED})",
    # How often names hold something is known only then.
    "ANALYZE certificate",
)
_SORT = f"SELECT gin_clean_pending_list('{_NAME}')"


def is_there(connection: Connection) -> bool:
    """Whether the index is there and complete."""
    return bool(connection.scalar(text(_IS_THERE)))


def find(connection: Connection, part: str, most: int) -> Sequence[str] | None:
    """Up to *most* serial numbers of certificates, of which all are that have *part* in a name.

    None where the index does not tell: it knows letters and digits alone.
    """
    # The first may be the end of a longer word.
    if not connection.scalar(text("SELECT cardinality(show_trgm(:rest))"), {"rest": part[1:]}):
        return None
    holds = has_part(literal_column(_NAMES, Text), part)
    return connection.scalars(select(tables.certificate.c.serial).where(holds).limit(most)).all()


def keep_up(engine: Engine) -> None:
    """Make the index where it is wanted, and have what was enrolled sorted into it.

    Raises:
        SQLAlchemyError, psycopg.Error: It may not be had, or the database cannot be asked.

    """
    with engine.connect() as connection, connection.begin():
        if is_there(connection):
            connection.execute(text(_SORT))
            return
        is_wanted = connection.scalar(text(_IS_WANTED), {"least": LEAST_CERTIFICATES})
    if is_wanted:
        _make(engine)


def _make(engine: Engine) -> None:
    with _apart(engine) as connection:
        # Another server may make it now, or has made it since it was looked for.
        if _first(connection, _TURN) and not _first(connection, _IS_THERE):
            for statement in _MAKE:
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
