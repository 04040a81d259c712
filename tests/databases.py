"""The databases that tests run on: SQLite, and a PostgreSQL server of this process's own.

A test that is marked ``databases`` runs on both; what it makes by :func:`new_database` is then of the one
whose turn it is. Of the server each gets a new database, copied from one that has the tables already; so
is one of SQLite in memory, and what :func:`with_tables` puts into a file.
"""

import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from functools import cache, cached_property
from itertools import count
from pathlib import Path
from typing import Any

import psycopg
import pytest
from sqlalchemy import Connection, create_engine, event
from sqlalchemy.pool import ConnectionPoolEntry, Pool

from app.store import open_store
from app.store.engine import database_path
from tests.processes import children

SQLITE, POSTGRESQL = "sqlite", "postgresql"
_TEMPLATE = "template_scepbox"
_START_SECONDS = 30
# Everybody but for one user, who has to know his password.
_WHO_MAY = "host all guarded all scram-sha-256\nhost all all all trust\nlocal all all trust\n"
_numbers = count(1)


@dataclass
class _Turn:
    """Which database the test that runs now is for, and where one in a file may lie."""

    kind: str = SQLITE
    folder: Path | None = None
    made: list[str] = field(default_factory=list)


_turn = _Turn()


@contextmanager
def taking_turns(kind: str, folder: Path | None) -> Iterator[None]:
    """Have :func:`new_database` make databases of one *kind*."""
    _turn.kind, _turn.folder = kind, folder
    try:
        yield
    finally:
        _turn.kind = SQLITE
        # Nine megabytes each, and a run makes hundreds.
        for url in _turn.made:
            server().drop(url)
        _turn.made.clear()


def new_database(*, shared: bool = False) -> str:
    """The address of a database that nobody has used; one that is *shared* can be opened twice."""
    if _turn.kind == POSTGRESQL:
        _turn.made.append(server().new_database())
        return _turn.made[-1]
    if not shared:
        return "sqlite://"
    assert _turn.folder, "mark the test databases: it has no folder for one in a file"
    return f"sqlite:///{_turn.folder}/scepbox-{next(_numbers)}.db"


def with_tables(url: str) -> str:
    """Put the tables of today into the file of a SQLite address if there is none yet; return the address."""
    file = database_path(url)
    if file is not None and not file.exists():
        file.write_bytes(_tables())
    return url


@event.listens_for(Pool, "connect")
def _begin_with_tables(connection: Any, _: ConnectionPoolEntry) -> None:
    """Give each new database in memory its tables: to make them takes longer than most tests do."""
    if isinstance(connection, sqlite3.Connection):
        ((_, _, file),) = connection.execute("PRAGMA database_list")
        if not file:
            connection.deserialize(_tables())


@cache
def _tables() -> bytes:
    """A SQLite database with the tables of today and nothing in them, as it is in a file."""
    with tempfile.TemporaryDirectory(prefix="scepbox-tables-") as folder:
        file = Path(folder, "scepbox.db")
        open_store(f"sqlite:///{file.as_posix()}").close()
        with closing(sqlite3.connect(file)) as made:
            # What is in WAL mode could not be read from memory.
            made.execute("PRAGMA journal_mode=DELETE")
            return made.serialize()


@contextmanager
def looking_into(url: str) -> Iterator[Connection]:
    """A connection of the test's own, past the program; what is done in it is committed."""
    engine = create_engine(url)
    try:
        with engine.begin() as connection:
            yield connection
    finally:
        engine.dispose()


@dataclass
class PostgresServer:
    """A PostgreSQL server that runs; *watcher* ends it if the tests are killed."""

    folder: Path
    port: int
    process: subprocess.Popen[bytes]
    watcher: subprocess.Popen[bytes] | None

    def url(self, database: str, user: str = "scepbox") -> str:
        """The address of a database, by TCP."""
        return f"postgresql+psycopg://{user}@127.0.0.1:{self.port}/{database}"

    def new_database(self, template: str = _TEMPLATE) -> str:
        """Make a database with the tables of today in it, and return its address."""
        name = f"test_{next(_numbers)}"
        self.do(f"CREATE DATABASE {name} TEMPLATE {template} {self._strategy}")
        return self.url(name)

    @cached_property
    def _strategy(self) -> str:
        """How to copy: since version 15 it goes through the log if not told otherwise, ten times as slow."""
        ((can_be_told,),) = self.do("SELECT current_setting('server_version_num')::int >= 150000")
        return "STRATEGY FILE_COPY" if can_be_told else ""

    def do(self, statement: str, database: str = "postgres") -> list[tuple[object, ...]]:
        """Run a statement as the server's owner, and return what rows it has."""
        address = f"host=127.0.0.1 port={self.port} user=scepbox dbname={database}"
        with psycopg.connect(address, autocommit=True) as connection:
            cursor = connection.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []

    def drop(self, url: str) -> None:
        """Remove a database, whoever is still connected to it."""
        self.do(f"DROP DATABASE IF EXISTS {url.rpartition('/')[2]} WITH (FORCE)")

    def stop(self) -> None:
        """End it at once."""
        self.process.send_signal(signal.SIGQUIT)
        self._bury()

    def kill(self) -> None:
        """End its processes without a word, so that the next start has to recover what was written."""
        for pid in (*children(self.process.pid), self.process.pid):
            # One of them may have ended by itself meanwhile.
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self._bury()

    def _bury(self) -> None:
        if self.watcher is not None:
            # Before the number of the process may be another's.
            self.watcher.kill()
            self.watcher.communicate()
        self.process.wait(_START_SECONDS)

    def remove(self) -> None:
        """Remove its folder."""
        shutil.rmtree(self.folder, ignore_errors=True)


def require_postgresql() -> None:
    """Skip the test, or fail it in CI, where there is no PostgreSQL."""
    if _programs() is None:
        reason = "PostgreSQL is not here; on Debian: apt-get install postgresql"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)


@cache
def server() -> PostgresServer:
    """The server that the tests of this process share."""
    require_postgresql()
    started = start_server()
    _started.append(started)
    started.do(f"CREATE DATABASE {_TEMPLATE} TEMPLATE template0 ENCODING 'UTF8'")
    open_store(started.url(_TEMPLATE)).close()
    return started


def stop_servers() -> None:
    """End what was started for all tests of this process."""
    for one in _started:
        one.stop()
        one.remove()
    _started.clear()


_started: list[PostgresServer] = []


def start_server(folder: Path | None = None, port: int = 0, *, durable: bool = False) -> PostgresServer:
    """Start a server in *folder*, made where there is none in it; root may not run one, so a user does."""
    programs = _programs()
    assert programs
    made = folder is None
    folder = folder or Path(tempfile.mkdtemp(prefix="scepbox-pg-"))
    data = folder / "data"
    if made or not data.exists():
        _own(folder)
        command = [str(programs / "initdb"), "-D", str(data), "-A", "trust", "-U", "scepbox"]
        options = ["-E", "UTF8", "--locale=C", "--no-sync", "--no-instructions"]
        done = subprocess.run(
            [*command, *options], capture_output=True, text=True, check=False, cwd=folder, **_user()
        )
        assert not done.returncode, done.stderr
        (data / "pg_hba.conf").write_text(_WHO_MAY)
    port = port or _free_port()
    given = [f"port={port}", "listen_addresses=127.0.0.1", f"unix_socket_directories={folder}"]
    # Nothing of a test has to outlast the machine, but for those that ask for it.
    given += ["max_connections=200", *([] if durable else ["fsync=off", "full_page_writes=off"])]
    with (folder / "log").open("ab") as log:
        process = subprocess.Popen(
            [programs / "postgres", "-D", data, *(part for one in given for part in ("-c", one))],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd=folder,
            **_user(),
        )
    started = PostgresServer(folder, port, process, _watch(process, folder))
    _await(started)
    return started


def _watch(process: subprocess.Popen[bytes], folder: Path) -> subprocess.Popen[bytes] | None:
    """Have a server and its folder removed by somebody else if this process is killed."""
    if os.name != "posix":
        return None
    # The pipe comes to its end with this process, however that goes.
    script = 'read _; kill -QUIT "$0"; sleep 1; rm -rf "$1"'
    return subprocess.Popen(["sh", "-c", script, str(process.pid), str(folder)], stdin=subprocess.PIPE)


def _await(started: PostgresServer) -> None:
    for _ in range(_START_SECONDS * 20):
        with suppress(psycopg.OperationalError):
            started.do("SELECT 1")
            return
        assert started.process.poll() is None, (started.folder / "log").read_text()
        time.sleep(0.05)
    raise AssertionError("PostgreSQL does not start")


@cache
def _programs() -> Path | None:
    """The folder of the programs of the newest version, which Debian does not have on the PATH."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda one: int(one.parts[-3]))
    if found:
        return found[-1].parent
    on_path = shutil.which("initdb")
    return Path(on_path).resolve().parent if on_path else None


def _user() -> dict[str, Any]:
    """Who is to run a server: for root the user that Debian's package makes."""
    is_root = hasattr(os, "geteuid") and os.geteuid() == 0
    return {"user": "postgres", "group": "postgres"} if is_root else {}


def _own(folder: Path) -> None:
    if user := _user():
        shutil.chown(folder, user["user"], user["group"])


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])
