"""Brings a database to the newest schema, by Alembic, and only when it is not there yet."""

from pathlib import Path

from sqlalchemy import Connection, Engine, inspect, text

from app.store.engine import READ_ONLY
from app.store.locks import lock
from app.store.statement import find_pipeline
from ca.errors import StoreUnavailable

MIGRATIONS = Path(__file__).parent / "migrations"
# The revision this program was written for; the newest file in migrations/versions.
HEAD = "0007"
# How long another server is waited for that does it, and how long each of its statements may take.
MIGRATION_SECONDS = 3600


def migrate(engine: Engine) -> None:
    """Make or upgrade the tables.

    Raises:
        StoreUnavailable: The database is of a newer program than this one.

    """
    with engine.connect().execution_options(**READ_ONLY) as connection:
        if _is_newest(connection):
            return
    with engine.connect() as connection:
        pipeline = find_pipeline(connection)
        if pipeline is not None:
            pipeline.patience = MIGRATION_SECONDS
            # It is closed when this is done, and nobody else finds it so patient.
            connection.detach()
        with connection.begin():
            if pipeline is not None:
                _prepare(connection)
            # Another server that starts as well may have done it.
            if not _is_newest(connection):
                _upgrade(connection)


def _is_newest(connection: Connection) -> bool:
    """Whether the tables are those of this program.

    Raises:
        StoreUnavailable: They are a newer program's.

    """
    current = _revision(connection)
    if current is not None and not list((MIGRATIONS / "versions").glob(f"{current}_*.py")):
        raise StoreUnavailable(
            f"the database has schema {current}, which is newer than this program's {HEAD}"
        )
    return current == HEAD


def _prepare(connection: Connection) -> None:
    """Be the only server that changes the tables, for as long as that takes.

    Raises:
        StoreUnavailable: The database cannot keep every text.

    """
    for limit in ("statement_timeout", "lock_timeout"):
        connection.execute(text(f"SET LOCAL {limit} = '{MIGRATION_SECONDS}s'"))
    lock(connection, b"migration")
    encoding = connection.scalar(text("SHOW server_encoding"))
    if encoding != "UTF8":
        raise StoreUnavailable(
            f"the database's encoding is {encoding}; make one with ENCODING 'UTF8' TEMPLATE template0"
        )


def _upgrade(connection: Connection) -> None:
    # Imported here because it costs a quarter of a second that no later start needs.
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def _revision(connection: Connection) -> str | None:
    if not inspect(connection).has_table("alembic_version"):
        return None
    revision: str | None = connection.scalar(text("SELECT version_num FROM alembic_version"))
    return revision
