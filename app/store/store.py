"""The store: transactions that share a durable commit."""

import threading
from collections import deque
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DataError, IntegrityError, SQLAlchemyError

from app.store.audit import AuditKey
from app.store.engine import BUSY_SECONDS, READ_ONLY, DatabaseUrl, driver_connection, open_engine
from app.store.migrate import migrate
from app.store.repository import SqlRepository
from ca.errors import StoreUnavailable

T = TypeVar("T")
MAX_BATCH = 64


@dataclass(frozen=True, slots=True)
class Sharing:
    """How transactions meet others of this process and wait for those of other processes.

    *busy_seconds* is how long another program that writes is waited for.
    *step_aside* lets others get as far as their own transaction, to share a commit with them.
    *turn* is held while transactions run: SQLite itself would have its writers wait with naps that
    grow, and turn no one in.
    """

    step_aside: Callable[[], None] = lambda: None
    turn: Callable[[], AbstractContextManager[object]] = nullcontext
    busy_seconds: float = BUSY_SECONDS


ALONE = Sharing()
_NO_SECRET = AuditKey(b"")


class _Job(Generic[T]):
    """One caller's work, and how it ended."""

    def __init__(self, work: Callable[[SqlRepository], T]) -> None:
        self._work = work
        self._result: T
        self._error: BaseException | None = None
        self.done = False

    def run(self, connection: Connection, repository: SqlRepository) -> None:
        """Run inside a savepoint, so that a failure undoes this work and no other."""
        # Straight to the driver: three of these an enrolment, and SQLAlchemy adds nothing to them.
        driver = driver_connection(connection)
        driver.execute("SAVEPOINT job")
        audited = repository.audit_chain.mark()
        try:
            self._result = self._work(repository)
        except Exception as error:
            # A database that fails fails everybody; anything else is this work's own.
            if isinstance(error, SQLAlchemyError) and not isinstance(error, IntegrityError | DataError):
                raise
            self._error = error
            driver.execute("ROLLBACK TO job")
            repository.audit_chain.back_to(audited)
        driver.execute("RELEASE job")

    def fail(self, error: BaseException) -> None:
        self._error = error

    def outcome(self) -> T:
        if self._error is not None:
            raise self._error
        return self._result


class SqlStore:
    """The database behind the program.

    Callers of :meth:`transact` queue up, from threads or from greenlets; the first does the work of
    all who wait, each in a savepoint of its own, and commits once for all of them. Nobody returns
    before that commit is on the disk.
    """

    def __init__(self, engine: Engine, sharing: Sharing, audit_key: AuditKey) -> None:
        self._engine = engine
        self._sharing = sharing
        self._audit_key = audit_key
        self._lock = threading.Lock()
        # One for all: whoever holds the lock uses it.
        self._connection: Connection | None = None
        self._waiting: deque[_Job[Any]] = deque()
        # Called once there is durably something new to tell a validator; must be quick.
        self.on_notification: Callable[[], None] = lambda: None

    def transact(self, work: Callable[[SqlRepository], T]) -> T:
        """Run *work* as one durable transaction (see :class:`ca.ports.Store`)."""
        job = _Job(work)
        self._waiting.append(job)
        self._sharing.step_aside()
        with self._lock:
            # Someone before us may have done it.
            while not job.done:
                self._lead()
        return job.outcome()

    def _lead(self) -> None:
        batch = [self._waiting.popleft() for _ in range(min(len(self._waiting), MAX_BATCH))]
        try:
            if self._connection is None:
                self._connection = self._engine.connect()
            connection = self._connection
            with self._sharing.turn(), connection.begin():
                repository = SqlRepository(connection, self._audit_key)
                for job in batch:
                    job.run(connection, repository)
            if repository.has_notified:
                self.on_notification()
        except (SQLAlchemyError, self._engine.dialect.loaded_dbapi.Error) as error:
            self._let_go()
            for job in batch:
                job.fail(StoreUnavailable(str(error.__cause__ or error)))
        except BaseException as error:
            self._let_go()
            for job in batch:
                job.fail(error)
            raise
        finally:
            for job in batch:
                job.done = True

    def read(self, work: Callable[[SqlRepository], T]) -> T:
        """Run *work*, which only reads, on one state of the database and in nobody's way.

        Raises:
            StoreUnavailable: The database cannot be read.

        """
        try:
            with self._engine.connect() as connection:
                connection.execution_options(**READ_ONLY)
                with connection.begin():
                    return work(SqlRepository(connection, self._audit_key))
        except (SQLAlchemyError, self._engine.dialect.loaded_dbapi.Error) as error:
            raise StoreUnavailable(str(error.__cause__ or error)) from error

    def open(self) -> None:
        """Open the database now, and not at the first transaction.

        Raises:
            StoreUnavailable: It cannot be opened.

        """
        with self._lock:
            try:
                self._connection = self._connection or self._engine.connect()
            except (SQLAlchemyError, self._engine.dialect.loaded_dbapi.Error) as error:
                raise StoreUnavailable(str(error.__cause__ or error)) from error

    def close(self) -> None:
        """Let go of the database. The next transaction would open it again, as a forked process must."""
        with self._lock:
            self._let_go()
        self._engine.dispose()

    def _let_go(self) -> None:
        """Give the connection up; the next transaction takes a fresh one."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(SQLAlchemyError):
                connection.close()


def open_store(url: DatabaseUrl, sharing: Sharing = ALONE, *, audit_key: AuditKey = _NO_SECRET) -> SqlStore:
    """Open the database at *url*, made or brought to the newest schema where needed.

    *audit_key* is that of the data folder it belongs to, for the audit log.

    Raises:
        StoreUnavailable: It cannot be opened, or is of a newer program.

    """
    try:
        engine = open_engine(url, sharing.busy_seconds)
    except SQLAlchemyError as error:
        raise StoreUnavailable(str(error)) from error
    try:
        migrate(engine)
    except StoreUnavailable:
        engine.dispose()
        raise
    except (SQLAlchemyError, engine.dialect.loaded_dbapi.Error) as error:
        engine.dispose()
        raise StoreUnavailable(str(error.__cause__ or error)) from error
    return SqlStore(engine, sharing, audit_key)
