"""The work of several callers in one transaction, each undone by itself where it fails.

Whose work it is, and what becomes of who waits for it, is :mod:`app.store.store`'s.
"""

from collections.abc import Callable, Sequence
from typing import Any, Generic, TypeVar

from sqlalchemy import Connection
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, SQLAlchemyError

from app.store.engine import driver_connection
from app.store.locks import Overtaken
from app.store.repository import SqlRepository
from app.store.statement import EarlierWorkFailed, Statement, find_pipeline

T = TypeVar("T")
# A database that fails fails everybody; but these are of the work that meets them.
OWN_FAULTS = (IntegrityError, DataError)
_LOCK_TIMEOUT = "55P03"
_DEADLOCK = "40P01"
# Far less than PostgreSQL takes to notice a deadlock.
_IMPATIENT = Statement(b"scepbox_impatient", b"SET LOCAL lock_timeout = '20ms'")
_PATIENT = Statement(b"scepbox_patient", b"SET LOCAL lock_timeout = '3s'")


class Job(Generic[T]):
    """One caller's work, and how it ended."""

    def __init__(self, work: Callable[[SqlRepository], T]) -> None:
        self._work = work
        self._result: T
        self._error: BaseException | None = None
        self.done = False

    def run(self, repository: SqlRepository) -> None:
        """Do the work; it may be that it was done before, and undone."""
        self._error = None
        self._result = self._work(repository)

    def fail(self, error: BaseException) -> None:
        """Have the caller hear of *error*."""
        self._error = error

    def outcome(self) -> T:
        """What the caller gets."""
        if self._error is not None:
            raise self._error
        return self._result


def run_on_sqlite(connection: Connection, repository: SqlRepository, jobs: Sequence[Job[Any]]) -> None:
    """Do the work of all, each in a savepoint of its own. Nobody else writes meanwhile."""
    # Straight to the driver: three of these an enrolment, and SQLAlchemy adds nothing to them.
    driver = driver_connection(connection)
    for job in jobs:
        driver.execute("SAVEPOINT job")
        mark = repository.mark()
        try:
            job.run(repository)
        except Exception as error:
            if isinstance(error, SQLAlchemyError) and not isinstance(error, OWN_FAULTS):
                raise
            job.fail(error)
            driver.execute("ROLLBACK TO job")
            repository.back_to(mark)
        driver.execute("RELEASE job")
    repository.finish()


def run_on_postgresql(
    connection: Connection, repository: SqlRepository, jobs: Sequence[Job[Any]]
) -> list[Job[Any]]:
    """Do the work of all, and return those who met another server. What fails is undone by itself.

    The first waits for what others hold. Who comes later would keep all before him waiting, and might
    wait for somebody who waits for them: he is undone, and has to be the first of another transaction.
    So there is no deadlock but between two who are first, and those take what they lock in one order.

    Raises:
        EarlierWorkFailed: Nothing of it can stand, and whose fault that is shows where each is alone.

    """
    pipeline = find_pipeline(connection)
    if pipeline is None:
        raise TypeError("not a connection to PostgreSQL")
    overtaken = []
    for number, job in enumerate(jobs):
        if number == 1:
            pipeline.send(_IMPATIENT)
        pipeline.begin_work(may_wait=not number)
        mark = repository.mark()
        try:
            job.run(repository)
        except EarlierWorkFailed:
            raise
        except Exception as error:
            if isinstance(error, DBAPIError) and pipeline.is_broken:
                raise EarlierWorkFailed(error) from error
            if is_overtaken(error, first=not number):
                overtaken.append(job)
            elif isinstance(error, SQLAlchemyError) and not isinstance(error, OWN_FAULTS):
                raise
            else:
                job.fail(error)
            pipeline.undo_work()
            repository.back_to(mark)
        else:
            pipeline.end_work()
    if repository.has_more:
        # The end of the audit log is everybody's, and whoever has it commits next.
        pipeline.begin_work(may_wait=True)
        pipeline.send(_PATIENT)
        repository.finish()
    return overtaken


def is_overtaken(error: Exception, *, first: bool) -> bool:
    """Whether it is for others that the work could not be done."""
    if isinstance(error, DBAPIError):
        state = getattr(error.orig, "sqlstate", None)
        # Who was first has waited for as long as he may.
        return state == _DEADLOCK or (state == _LOCK_TIMEOUT and not first)
    return isinstance(error, Overtaken)
