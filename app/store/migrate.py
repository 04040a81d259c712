"""Brings a database to the newest schema, by Alembic, and only when it is not there yet."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Connection, Engine, inspect, text

from app.store.engine import READ_ONLY
from app.store.locks import lock
from app.store.statement import find_pipeline
from ca.errors import StoreUnavailable

MIGRATIONS = Path(__file__).parent / "migrations"
# The revision this program was written for; the newest file in migrations/versions.
HEAD = "0012"
# How long another server is waited for that does it, and how long each of its statements may take.
MIGRATION_SECONDS = 3600


def migrate(engine: Engine) -> str | None:
    """Make or upgrade the tables, and return the revision that they had; None where there were none.

    Raises:
        StoreUnavailable: The database is of a newer program than this one.

    """
    with engine.connect().execution_options(**READ_ONLY) as connection:
        if _is_newest(connection):
            return HEAD
    with engine.connect() as connection, changing_tables(connection):
        # Another server that starts as well may have done it.
        revision = find_revision(connection)
        if not _is_newest(connection):
            upgrade(connection)
    return revision


@contextmanager
def changing_tables(connection: Connection) -> Iterator[None]:
    """A transaction for who makes or changes tables, and is the only one for as long as that takes.

    Raises:
        StoreUnavailable: The database cannot keep every text.

    """
    pipeline = find_pipeline(connection)
    if pipeline is not None:
        pipeline.patience = MIGRATION_SECONDS
        # It is closed when this is done, and nobody else finds it so patient.
        connection.detach()
    with connection.begin():
        if pipeline is not None:
            _prepare(connection)
        yield


def is_known(revision: str) -> bool:
    """Whether a revision is one of this program's."""
    return any(path.name.split("_")[0] == revision for path in (MIGRATIONS / "versions").glob("*_*.py"))


def of_newer_program(revision: str) -> str:
    """A revision that is not known, in words for people."""
    return f"schema {revision}, which is newer than this program's {HEAD}: install the newer scepbox"


def _is_newest(connection: Connection) -> bool:
    """Whether the tables are those of this program.

    Raises:
        StoreUnavailable: They are a newer program's.

    """
    current = find_revision(connection)
    if current is not None and not is_known(current):
        raise StoreUnavailable(f"the database has {of_newer_program(current)}")
    return current == HEAD


def _prepare(connection: Connection) -> None:
    # As long as it takes, and not as long as a request may.
    for limit in ("statement_timeout", "lock_timeout"):
        connection.execute(text(f"SET LOCAL {limit} = '{MIGRATION_SECONDS}s'"))
    lock(connection, b"migration")
    encoding = connection.scalar(text("SHOW server_encoding"))
    if encoding != "UTF8":
        raise StoreUnavailable(
            f"the database's encoding is {encoding}; make one with ENCODING 'UTF8' TEMPLATE template0"
        )


def upgrade(connection: Connection, revision: str = "head") -> None:
    """Bring the tables to a *revision*, in the transaction that is open."""
    # Imported here because it costs a quarter of a second that no later start needs.
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.attributes["connection"] = connection
    command.upgrade(config, revision)


def find_revision(connection: Connection) -> str | None:
    """The revision of the tables; None where there are none."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    revision: str | None = connection.scalar(text("SELECT version_num FROM alembic_version"))
    return revision
