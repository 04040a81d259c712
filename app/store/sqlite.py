"""What is SQLite's own: how its transactions begin, and what durability asks of it."""

from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event
from sqlalchemy.pool import ConnectionPoolEntry

from app.store.database_file import DatabaseFile
from app.store.engine import driver_connection, named_file, only_reads


def open_engine(url: URL, busy_seconds: float) -> Engine:
    """An engine whose transactions take SQLite's write lock from their start.

    A transaction that began by reading could not be turned into a writing one while another
    writes. WAL with ``synchronous=FULL`` makes a commit survive a power failure. A file has to be
    there, and to stay: nothing is committed to one that lost its name.
    """
    engine = create_engine(url, connect_args={"timeout": busy_seconds, "check_same_thread": False})
    path = named_file(url)
    if path is not None:
        file = DatabaseFile(path)
        event.listen(engine, "do_connect", file.connect)
        event.listen(engine, "begin", file.check)
        event.listen(engine, "commit", file.check)
        event.listen(engine, "engine_disposed", file.forget)
    event.listen(engine, "connect", _prepare)
    event.listen(engine, "begin", _begin)
    return engine


def _begin(connection: Connection) -> None:
    # Straight to the driver: SQLAlchemy would do ten times the work of SQLite.
    driver_connection(connection).execute("BEGIN" if only_reads(connection) else "BEGIN IMMEDIATE")


def _prepare(connection: Any, _: ConnectionPoolEntry) -> None:
    # The driver's own idea of when a transaction begins is switched off.
    connection.isolation_level = None
    cursor = connection.cursor()
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()
