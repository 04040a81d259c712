"""The store: transactions that share a durable commit."""

import threading
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from time import monotonic
from typing import TYPE_CHECKING, Any, TypeVar

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from app.store.batch import OWN_FAULTS, Job, is_overtaken, run_on_postgresql, run_on_sqlite
from app.store.database_file import make_file
from app.store.engine import BUSY_SECONDS, READ_ONLY, DatabaseUrl, named_file, open_engine
from app.store.keys import StoreKeys
from app.store.migrate import HEAD, migrate
from app.store.repository import SqlRepository
from app.store.searching import keep_up
from app.store.statement import EarlierWorkFailed, find_pipeline
from app.store.trouble import unavailable
from ca.errors import StoreUnavailable
from ca.ports import AuditEntry

if TYPE_CHECKING:
    from app.store.pipeline import Pipeline

T = TypeVar("T")
MAX_BATCH = 64
# So often is work done anew where another server was faster.
MAX_ATTEMPTS = 5
_TRY_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Sharing:
    """How transactions meet others of this process and wait for those of other processes.

    *busy_seconds* is how long another program that writes is waited for.
    *step_aside* lets others get as far as their own transaction, to share a commit with them. *stay* is
    entered while one is open: nobody steps aside then.
    *turn* is held while SQLite's transactions run, and waited for no longer: SQLite would have its writers
    wait with naps that grow, and turn no one in.
    """

    step_aside: Callable[[], None] = lambda: None
    stay: Callable[[], AbstractContextManager[object]] = nullcontext
    turn: Callable[[float], AbstractContextManager[object]] = nullcontext
    busy_seconds: float = BUSY_SECONDS


ALONE = Sharing()
_NO_SECRET = StoreKeys.of_secret(b"")


class SqlStore:
    """The database behind the program.

    Callers of :meth:`transact` queue up, from threads or from greenlets; the first does the work of
    all who wait, each in a savepoint of its own, and commits once for all of them. Nobody returns
    before that commit is on the disk.
    """

    def __init__(self, engine: Engine, sharing: Sharing, keys: StoreKeys) -> None:
        self._engine = engine
        self._sharing = sharing
        self._keys = keys
        self._lock = threading.Lock()
        # One for all: whoever holds the lock uses it.
        self._connection: Connection | None = None
        # What looks without a transaction.
        self._glancing = threading.Lock()
        self._glass: Connection | None = None
        # Of the connection that was used last, whatever became of it.
        self._pipeline: Pipeline | None = None
        self._waiting: deque[Job[Any]] = deque()
        # The schema that the database had when it was opened; None: none, or nobody looked.
        self.found_revision: str | None = None
        # Called once there is durably something new to tell a validator; must be quick.
        self.on_notification: Callable[[], None] = lambda: None
        self._is_postgresql = engine.dialect.name == "postgresql"
        # Whether the last that was to be written could not be, and when that is tried just to see.
        self._is_failing = False
        self._try_at = 0.0
        self._driver_error: type[Exception] = engine.dialect.loaded_dbapi.Error

    def transact(self, work: Callable[[SqlRepository], T]) -> T:
        """Run *work* as one durable transaction (see :class:`ca.ports.Store`)."""
        job = Job(work)
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
            for job in self._attempt_together(batch):
                self._attempt_alone(job)
        except (SQLAlchemyError, EarlierWorkFailed, self._driver_error) as error:
            self._is_failing = True
            self._fail(batch, unavailable(error))
        except StoreUnavailable as error:
            self._is_failing = True
            self._fail(batch, error)
        except BaseException as error:
            self._let_go()
            self._fail(batch, error)
            raise

    def _attempt_together(self, jobs: Sequence[Job[Any]]) -> Sequence[Job[Any]]:
        """Do the work of all in one transaction, and return those whose work has to be done alone."""
        if len(jobs) == 1:
            return jobs
        try:
            return self._transaction(jobs)
        except EarlierWorkFailed as error:
            if not isinstance(error.refusal, OWN_FAULTS) and not is_overtaken(error.refusal, first=True):
                raise error.refusal from error
            # It is not known whose, and nothing of it stands.
            return jobs

    def _attempt_alone(self, job: Job[Any]) -> None:
        """Do one caller's work in a transaction of its own, anew where others are faster."""
        for _ in range(MAX_ATTEMPTS):
            try:
                if not self._transaction([job]):
                    return
            except DBAPIError as error:
                if isinstance(error, OWN_FAULTS):
                    self._fail([job], error)
                    return
                if not is_overtaken(error, first=True):
                    raise
        self._fail([job], StoreUnavailable("others were always faster; try again"))

    def _transaction(self, jobs: Sequence[Job[Any]]) -> list[Job[Any]]:
        """Do the work of all and commit it; those who met others, and have to try again, are returned.

        A connection that was lost since it was used last, or is lost before the commit, is replaced and
        everything done anew: nothing was done then.
        """
        while True:
            was_open = self._connection is not None
            try:
                return self._commit(jobs)
            except (SQLAlchemyError, EarlierWorkFailed, self._driver_error) as error:
                again = was_open and self._is_lost_before_commit()
                self._let_go()
                if again:
                    continue
                if isinstance(error, EarlierWorkFailed) and len(jobs) == 1:
                    raise error.refusal from error
                raise

    def _is_lost_before_commit(self) -> bool:
        pipeline = self._pipeline
        return pipeline is not None and pipeline.is_lost and not pipeline.is_committing

    def _commit(self, jobs: Sequence[Job[Any]]) -> list[Job[Any]]:
        connection = self._connect()
        repository = SqlRepository(connection, self._keys)
        overtaken: list[Job[Any]] = []
        if self._is_postgresql:
            with self._sharing.stay(), connection.begin():
                overtaken = run_on_postgresql(connection, repository, jobs)
        else:
            turn = self._sharing.turn(self._sharing.busy_seconds)
            with self._sharing.stay(), turn, connection.begin():
                run_on_sqlite(connection, repository, jobs)
        for job in jobs:
            job.done = job not in overtaken
        if repository.has_notified:
            self.on_notification()
        return overtaken

    def _fail(self, jobs: Sequence[Job[Any]], error: BaseException) -> None:
        """Tell all whose work is not done."""
        for job in jobs:
            if not job.done:
                job.fail(error)
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
                    return work(SqlRepository(connection, self._keys))
        except (SQLAlchemyError, self._driver_error) as error:
            raise unavailable(error) from error

    @property
    def one_at_a_time(self) -> bool:
        """Whether transactions wait for each other (see :class:`ca.ports.Store`), as SQLite's writers do."""
        return not self._is_postgresql

    def glance(self, work: Callable[[SqlRepository], T]) -> T:
        """Run *work*, which asks for little, on what is committed now (see :class:`ca.ports.Store`).

        Without a transaction: each of its statements sees a state of its own.
        """
        with self._glancing:
            try:
                if self._glass is None:
                    self._glass = self._engine.connect()
                return work(SqlRepository(self._glass, self._keys))
            except (SQLAlchemyError, self._driver_error) as error:
                self._drop_glass()
                raise unavailable(error) from error

    def can_write(self) -> bool:
        """Whether the last that was to be written could be.

        Where it could not, something is written just to see, once a second at most: nobody else may come.
        """
        if self._is_failing and monotonic() >= self._try_at:
            began = monotonic()
            with suppress(StoreUnavailable):
                self.transact(SqlRepository.try_to_write)
                self._is_failing = False
            ended = monotonic()
            # All who are served wait with a database that hangs.
            self._try_at = ended + max(_TRY_SECONDS, 3 * (ended - began))
        return not self._is_failing

    def index_names(self) -> bool:
        """Bring the index for searching a step on, beside all others; whether there is more to do at once.

        Raises:
            StoreUnavailable: It cannot be had, or not be written.

        """
        try:
            return keep_up(self._engine)
        except (SQLAlchemyError, self._driver_error, OSError) as error:
            raise unavailable(error) from error

    def open(self) -> None:
        """Open the database now, and not at the first transaction.

        Raises:
            StoreUnavailable: It cannot be opened.

        """
        with self._lock:
            try:
                self._connect()
            except (SQLAlchemyError, self._driver_error) as error:
                raise unavailable(error) from error

    def close(self) -> None:
        """Let go of the database. The next transaction would open it again, as a forked process must."""
        with self._lock:
            self._let_go()
        with self._glancing:
            self._drop_glass()
        self._engine.dispose()

    def _connect(self) -> Connection:
        if self._connection is None:
            self._connection = self._engine.connect()
            self._pipeline = find_pipeline(self._connection)
        return self._connection

    def _drop_glass(self) -> None:
        glass, self._glass = self._glass, None
        if glass is not None:
            with suppress(SQLAlchemyError, self._driver_error):
                glass.close()

    def _let_go(self) -> None:
        """Give the connection up; the next transaction takes a fresh one."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(SQLAlchemyError, self._driver_error):
                if self._is_postgresql:
                    # Nobody knows what state it is in.
                    connection.invalidate()
                connection.close()


def open_store(
    url: DatabaseUrl,
    sharing: Sharing = ALONE,
    *,
    keys: StoreKeys = _NO_SECRET,
    as_it_is: bool = False,
    must_exist: bool = False,
) -> SqlStore:
    """Open the database at *url*, made or brought to the newest schema where needed.

    *keys* are those of the data folder that it belongs to. *as_it_is* leaves the schema as it is, for who
    looks at the database and does not use it. Where it *must_exist*, no file is made for it.

    Raises:
        StoreUnavailable: It cannot be opened, or is of a newer program.

    """
    try:
        engine = open_engine(url, sharing.busy_seconds)
        path = None if must_exist else named_file(url)
        if path:
            make_file(path)
    except (SQLAlchemyError, OSError) as error:
        raise unavailable(error) from error
    found = None
    try:
        if not as_it_is:
            found = migrate(engine)
    except StoreUnavailable:
        engine.dispose()
        raise
    except (SQLAlchemyError, engine.dialect.loaded_dbapi.Error) as error:
        engine.dispose()
        raise unavailable(error) from error
    store = SqlStore(engine, sharing, keys)
    store.found_revision = found
    if found not in (None, HEAD):
        # What was issued before there was a log is older than its first entry then.
        _audit_migration(store, found)
    return store


def _audit_migration(store: SqlStore, before: str) -> None:
    detail = f"from schema {before} to {HEAD}"
    entry = AuditEntry(datetime.now(UTC), "server", "migrate", "database", "done", "opened", detail)
    try:
        store.transact(partial(SqlRepository.add_audit, entry=entry))
    except StoreUnavailable:
        store.close()
        raise
