"""What is PostgreSQL's own: how it is connected to, how long it is waited for, and how transactions begin."""

from time import monotonic
from typing import Any

import psycopg
from psycopg.abc import PQGen
from psycopg.errors import _WaitTimeout
from sqlalchemy import URL, Connection, Dialect, Engine, create_engine, event
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import ConnectionPoolEntry

from app.store.engine import only_reads
from app.store.pipeline import Pipeline, no_answer
from app.store.statement import Statement, find_pipeline, give_pipeline
from ca.errors import StoreUnavailable

# Long enough for a server at the other end of the world, short enough for who waits behind it.
CONNECT_SECONDS = 3
# A server that cannot be reached is left alone for so many times the time that finding out took: who waits
# for nothing but a CA certificate waits for no database most of the time.
_PAUSE = 3.0
_BEGIN = Statement(b"scepbox_begin", b"BEGIN")
# One state of the database for all that is read.
_BEGIN_READING = Statement(b"scepbox_begin_reading", b"BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
# Unless the address says otherwise. A peer that is gone is noticed, in a minute at most.
_DEFAULTS: dict[str, Any] = {
    "connect_timeout": CONNECT_SECONDS,
    "application_name": "scepbox",
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "client_encoding": "utf8",
}
# A reply leaves after the commit, which is on the disk then. A server that waits for its replicas as well
# goes on to do so.
_SETTINGS = """
SELECT set_config('lock_timeout', %s, false),
       set_config('statement_timeout', %s, false),
       set_config('idle_in_transaction_session_timeout', %s, false),
       set_config('plan_cache_mode', 'force_generic_plan', false),
       CASE current_setting('synchronous_commit')
           WHEN 'off' THEN set_config('synchronous_commit', 'on', false) END
"""


def open_engine(url: URL, busy_seconds: float) -> Engine:
    """An engine whose transactions wait for *busy_seconds* for what others hold."""
    engine = create_engine(url.set(drivername="postgresql+psycopg"), pool_pre_ping=True, hide_parameters=True)
    door = _Door(busy_seconds, url.password)
    event.listen(engine, "do_connect", door.connect)
    event.listen(engine, "connect", door.equip)
    event.listen(engine, "begin", _begin)
    event.listen(engine, "commit", _commit)
    event.listen(engine, "rollback", _clear)
    # What goes through SQLAlchemy must not overtake what waits to be sent.
    event.listen(engine, "before_cursor_execute", _send_first)
    return engine


class PatientConnection(psycopg.Connection[Any]):
    """A connection that does not wait for ever: a server that hangs must not hang others."""

    own_pipeline: Pipeline | None = None

    def wait(self, gen: PQGen[Any], interval: float = 0.1, timeout: float | None = None) -> Any:
        """Wait, as psycopg does, but no longer than the pipeline does."""
        if self.own_pipeline is None or timeout is not None:
            return super().wait(gen, interval, timeout)
        try:
            return super().wait(gen, interval, self.own_pipeline.patience)
        except _WaitTimeout as error:
            self.own_pipeline.is_hung = True
            self.pgconn.finish()
            raise no_answer(self.own_pipeline.patience) from error

    def rollback(self) -> None:
        """Roll back, unless there is nothing left to do it on: SQLAlchemy would tell of that alone."""
        if not self.closed:
            super().rollback()


class _Door:
    """Makes the connections of one engine."""

    def __init__(self, busy_seconds: float, password: object | None) -> None:
        self._password = password
        self._busy_seconds = busy_seconds
        self._closed_until = 0.0
        self._reason = ""

    @property
    def _patience(self) -> float:
        # Longer than the server itself waits, which is better at saying for what.
        return 2 * self._busy_seconds + 1

    def connect(
        self, dialect: Dialect, record: ConnectionPoolEntry, arguments: tuple[Any, ...], named: dict[str, Any]
    ) -> PatientConnection:
        """Connect, unless that failed a moment ago.

        Raises:
            psycopg.OperationalError: The database cannot be reached.

        """
        began = monotonic()
        if began < self._closed_until:
            raise psycopg.OperationalError(self._reason)
        try:
            connection = PatientConnection.connect(*arguments, **{**_DEFAULTS, **named, **self._secret()})
            self._settle(connection)
        except psycopg.Error as error:
            self._reason = str(error)
            self._closed_until = monotonic() + _PAUSE * (monotonic() - began)
            raise
        return connection

    def equip(self, connection: PatientConnection, record: ConnectionPoolEntry) -> None:
        """Keep a connection's pipeline with it."""
        if connection.own_pipeline is not None:
            give_pipeline(record.info, connection.own_pipeline)

    def _secret(self) -> dict[str, str]:
        """The password of now: whoever keeps it in a file may write another into it at any time."""
        if self._password is None:
            return {}
        try:
            return {"password": str(self._password)}
        except StoreUnavailable as error:
            raise psycopg.OperationalError(str(error)) from error
        except OSError as error:
            raise psycopg.OperationalError(f"{error.filename}: {error.strerror}") from error

    def _settle(self, connection: PatientConnection) -> None:
        connection.own_pipeline = Pipeline(connection.pgconn, self._patience)
        # Plans of prepared statements are made once; the statements here have one good plan each.
        connection.prepare_threshold = None
        busy = self._busy_seconds * 1000
        # Where this process is stopped, what it holds is given back to the others.
        settings = [f"{time:.0f}" for time in (busy, 2 * busy, 4 * busy)]
        try:
            connection.execute(_SETTINGS, settings)
            connection.commit()
        except BaseException:
            connection.close()
            raise


def _begin(connection: Connection) -> None:
    _pipeline(connection).send(_BEGIN_READING if only_reads(connection) else _BEGIN)


def _commit(connection: Connection) -> None:
    # SQLAlchemy has psycopg commit then, which finds nothing more to do.
    _pipeline(connection).commit()


def _clear(connection: Connection) -> None:
    pipeline = find_pipeline(connection)
    if pipeline is not None:
        pipeline.clear()


def _send_first(connection: Connection, *_: object) -> None:
    _pipeline(connection).flush()


def _pipeline(connection: Connection) -> Pipeline:
    pipeline = find_pipeline(connection)
    if pipeline is None:
        raise DBAPIError("", None, psycopg.InterfaceError("the connection is not open"))
    return pipeline
