"""Opening a database, SQLite or PostgreSQL, and what both have in common."""

from pathlib import Path
from typing import Any, TypeAlias

from sqlalchemy import URL, Connection, Engine
from sqlalchemy.engine import make_url

DatabaseUrl: TypeAlias = str | URL
# Another process that writes (the command line beside the server) is waited for this long.
BUSY_SECONDS = 30.0
# An execution option of a connection whose transactions leave the write lock to others.
READ_ONLY = {"scepbox_read_only": True}


def open_engine(url: DatabaseUrl, busy_seconds: float = BUSY_SECONDS) -> Engine:
    """An engine for *url*, whose transactions are durable once they are committed.

    Raises:
        SQLAlchemyError: It is no database's address.

    """
    # Imported here because psycopg costs a tenth of a second that SQLite does not need.
    if is_postgresql(url):
        from app.store.postgresql import open_engine as open_postgresql

        return open_postgresql(make_url(url), busy_seconds)
    from app.store.sqlite import open_engine as open_sqlite

    return open_sqlite(make_url(url), busy_seconds)


def driver_connection(connection: Connection) -> Any:
    """The driver's own connection."""
    return connection.connection.dbapi_connection


def only_reads(connection: Connection) -> bool:
    """Whether the transactions of *connection* write nothing."""
    return connection.get_execution_options().keys() >= READ_ONLY.keys()


def in_one_line(error: BaseException) -> str:
    """The driver's words, without the statement that SQLAlchemy adds."""
    return " ".join(str(error.__cause__ or error).split())


def is_postgresql(url: DatabaseUrl) -> bool:
    """Whether *url* is the address of a PostgreSQL database."""
    return make_url(url).get_backend_name() == "postgresql"


def sqlite_url(path: Path) -> URL:
    """The address of an SQLite file, whatever characters its name has."""
    return URL.create("sqlite", database=path.as_posix())


def postgresql_url(url: str, password: object) -> URL:
    """The address of a PostgreSQL database, with a *password* that does not stand in it.

    It is what ``str`` makes of it, asked anew for each connection.
    """
    # As SQLAlchemy's documentation allows, and its types do not.
    return make_url(url).set(password=password)  # type: ignore[arg-type]


def database_path(url: DatabaseUrl) -> Path | None:
    """The file of a SQLite URL, None for one in memory and for PostgreSQL."""
    name = None if is_postgresql(url) else make_url(url).database
    return Path(name) if name and name != ":memory:" else None


def named_file(url: DatabaseUrl) -> Path | None:
    """As :func:`database_path`; None also for what is named in SQLite's own way, by ``file:``."""
    path = database_path(url)
    return None if path is None or str(path).startswith("file:") else path


def database_name(url: DatabaseUrl) -> str:
    """What a database is called to people: its file, or its address without user and password."""
    parsed = make_url(url)
    if not is_postgresql(url):
        return str(database_path(url) or "the database in memory")
    # A socket's folder, or several servers, stand behind the question mark.
    host = parsed.host or parsed.query.get("host") or "this host"
    port = f":{parsed.port}" if parsed.port else ""
    hosts = host if isinstance(host, str) else ", ".join(host)
    return f"the PostgreSQL database {parsed.database or 'of the user'} at {hosts}{port}"
