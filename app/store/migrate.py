"""Brings a database to the newest schema, by Alembic, and only when it is not there yet."""

from pathlib import Path

from sqlalchemy import Engine, inspect, text

from app.store.engine import READ_ONLY
from ca.errors import StoreUnavailable

MIGRATIONS = Path(__file__).parent / "migrations"
# The revision this program was written for; the newest file in migrations/versions.
HEAD = "0006"


def migrate(engine: Engine) -> None:
    """Make or upgrade the tables.

    Raises:
        StoreUnavailable: The database is of a newer program than this one.

    """
    current = _revision(engine)
    if current == HEAD:
        return
    if current is not None and not list((MIGRATIONS / "versions").glob(f"{current}_*.py")):
        raise StoreUnavailable(
            f"the database has schema {current}, which is newer than this program's {HEAD}"
        )
    # Imported here because it costs a quarter of a second that no later start needs.
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


def _revision(engine: Engine) -> str | None:
    with engine.connect().execution_options(**READ_ONLY) as connection:
        if not inspect(connection).has_table("alembic_version"):
            return None
        revision: str | None = connection.scalar(text("SELECT version_num FROM alembic_version"))
        return revision
