"""Opening the database with what durability asks of SQLite."""

from pathlib import Path
from typing import Any, TypeAlias

from sqlalchemy import URL, Connection, Engine, create_engine, event
from sqlalchemy.engine import make_url
from sqlalchemy.pool import ConnectionPoolEntry

DatabaseUrl: TypeAlias = str | URL
# Another process that writes (the command line beside the server) is waited for this long.
BUSY_SECONDS = 30.0
# An execution option of a connection whose transactions leave the write lock to others.
READ_ONLY = {"scepbox_read_only": True}


def open_engine(url: DatabaseUrl, busy_seconds: float = BUSY_SECONDS) -> Engine:
    """An engine for *url*, whose transactions take SQLite's write lock from their start.

    A transaction that began by reading could not be turned into a writing one while another
    writes. WAL with ``synchronous=FULL`` makes a commit survive a power failure.
    """
    engine = create_engine(url, connect_args={"timeout": busy_seconds, "check_same_thread": False})
    event.listen(engine, "connect", _prepare)
    event.listen(engine, "begin", _begin)
    return engine


def driver_connection(connection: Connection) -> Any:
    """The driver's own connection; ``sqlite3`` and ``psycopg`` both execute on it directly."""
    return connection.connection.dbapi_connection


def sqlite_url(path: Path) -> URL:
    """The address of an SQLite file, whatever characters its name has."""
    return URL.create("sqlite", database=path.as_posix())


def database_path(url: DatabaseUrl) -> Path | None:
    """The file of a SQLite URL, None for one in memory."""
    name = make_url(url).database
    return Path(name) if name and name != ":memory:" else None


def _begin(connection: Connection) -> None:
    # Straight to the driver: SQLAlchemy would do ten times the work of SQLite.
    reads = connection.get_execution_options().keys() >= READ_ONLY.keys()
    driver_connection(connection).execute("BEGIN" if reads else "BEGIN IMMEDIATE")


def _prepare(connection: Any, _: ConnectionPoolEntry) -> None:
    # The driver's own idea of when a transaction begins is switched off.
    connection.isolation_level = None
    cursor = connection.cursor()
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()
