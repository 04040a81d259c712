"""Statements to PostgreSQL without a round trip for each: sent together, once an answer is wanted.

psycopg's own pipeline costs three times the CPU, so this speaks libpq through :mod:`psycopg.pq`. It knows
nothing of what the statements are for.
"""

import select
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from time import monotonic
from typing import Any, TypeAlias

from psycopg import Error, OperationalError
from psycopg.errors import error_from_result
from psycopg.pq import ConnStatus, ExecStatus, Format, TransactionStatus
from psycopg.pq.abc import PGconn, PGresult
from sqlalchemy.exc import DBAPIError

from app.store.statement import EarlierWorkFailed, Statement

_FAILED = (ExecStatus.FATAL_ERROR, ExecStatus.BAD_RESPONSE)


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of a statement; *rowcount* is how many rows it changed or found."""

    rows: list[list[Any]]
    rowcount: int
    status: bytes


# With its parameters, and who is told of the answer.
_Waiting: TypeAlias = tuple[Statement, list[bytes | None], Callable[[Answer], object] | None]


_SAVEPOINT = Statement(b"scepbox_savepoint", b"SAVEPOINT work")
_RELEASE = Statement(b"scepbox_release", b"RELEASE SAVEPOINT work")
_UNDO = Statement(b"scepbox_undo", b"ROLLBACK TO SAVEPOINT work")
_COMMIT = Statement(b"scepbox_commit", b"COMMIT")


class Pipeline:
    """The statements of one connection that wait to be sent.

    *patience* is for how many seconds an answer is waited for: a server that hangs must not hang others.
    """

    def __init__(self, pgconn: PGconn, patience: float) -> None:
        self._pgconn = pgconn
        self.patience = patience
        self._socket = _Socket(pgconn.socket)
        self._prepared: set[bytes] = set()
        self._waiting: list[_Waiting] = []
        # Whether there is work that may be undone, where its statements begin, and whether a savepoint does.
        self._is_working = False
        self._start = 0
        self._is_saved = False
        # Whether the work that is done now may wait for what others hold.
        self.may_wait = True
        # Whether the last that was sent was a commit, so that it is not known whether it took place.
        self.is_committing = False
        # Whether the server was given up because it did not answer.
        self.is_hung = False

    @property
    def is_lost(self) -> bool:
        """Whether the connection is, other than by being given up."""
        return self._pgconn.status == ConnStatus.BAD and not self.is_hung

    @property
    def is_broken(self) -> bool:
        """Whether nothing that was done in this transaction can stand any more."""
        return not self._is_saved and self._pgconn.transaction_status == TransactionStatus.INERROR

    def send(
        self,
        statement: Statement,
        parameters: Mapping[str, object] | None = None,
        check: Callable[[Answer], object] | None = None,
    ) -> None:
        """Have a statement executed before the next that is asked. A refusal of it is told there.

        So is what *check* raises when it is called with the answer.
        """
        self._waiting.append((statement, statement.encode(parameters or {}), check))

    def ask(self, statement: Statement, parameters: Mapping[str, object] | None = None) -> Answer:
        """Execute all that waits, and *statement*.

        Raises:
            DBAPIError: The database refused, in SQLAlchemy's terms.
            EarlierWorkFailed: It refused what other work had sent.

        """
        self.send(statement, parameters)
        return self._exchange()

    def flush(self) -> None:
        """Execute all that waits; what comes next, and not through here, may be undone.

        Raises:
            DBAPIError, EarlierWorkFailed: As :meth:`ask`.

        """
        if self._is_working and not self._is_saved:
            self._waiting.insert(self._start, (_SAVEPOINT, [], None))
            self._is_saved = True
        if self._waiting:
            self._exchange()

    def begin_work(self, *, may_wait: bool) -> None:
        """Begin with what :meth:`undo_work` undoes."""
        self._is_working, self._is_saved, self.may_wait = True, False, may_wait
        self._start = len(self._waiting)

    def end_work(self) -> None:
        """Keep what was done since the beginning of the work."""
        if self._is_saved:
            self.send(_RELEASE)
        self._is_working, self._is_saved = False, False
        self._start = len(self._waiting)

    def undo_work(self) -> None:
        """Undo what was done since the beginning of the work."""
        del self._waiting[self._start :]
        if self._is_saved:
            self.send(_UNDO)
        self.end_work()

    def commit(self) -> None:
        """Execute all that waits, and have it last.

        Raises:
            DBAPIError, EarlierWorkFailed: As :meth:`ask`; or the transaction had failed before.

        """
        self._start = len(self._waiting)
        self.send(_COMMIT, None, _check_committed)
        self._exchange()
        self.clear()

    def clear(self) -> None:
        """Forget what waits: its transaction is over."""
        self._waiting.clear()
        self._is_working, self._is_saved, self.may_wait = False, False, True
        self._start = 0

    def _exchange(self) -> Answer:
        """Send all that waits, and return the answer to the last."""
        waiting, start = self._waiting, self._start
        if (
            self._is_working
            and not self._is_saved
            and any(statement.writes for statement, _, _ in waiting[start:])
        ):
            # Only what is executed already needs it; what waits can be taken back.
            waiting.insert(start, (_SAVEPOINT, [], None))
            self._is_saved = True
        self._waiting, self._start = [], 0
        self.is_committing = waiting[-1][0] is _COMMIT
        try:
            results = self._receive(self._dispatch(waiting))
        except Error as error:
            # What the server makes of the rest is not known.
            self._pgconn.finish()
            raise _refused(error, waiting[-1][0]) from error
        except BaseException:
            self._pgconn.finish()
            raise
        for number, ((statement, _, check), result) in enumerate(zip(waiting, results, strict=True)):
            if result.status in _FAILED:
                refusal = error_from_result(result)
                refused = _refused(refusal, statement)
                refused.__cause__ = refusal
                raise EarlierWorkFailed(refused) if number < start else refused
            if check is not None:
                check(_answer(statement, result))
        return _answer(waiting[-1][0], results[-1])

    def _dispatch(self, waiting: Sequence[_Waiting]) -> list[bytes]:
        """Hand everything to libpq, and return the name of each statement that is prepared on the way."""
        pgconn, names = self._pgconn, []
        pgconn.enter_pipeline_mode()
        for statement, values, _ in waiting:
            names.append(b"")
            if statement.name not in self._prepared:
                pgconn.send_prepare(statement.name, statement.text)
                self._prepared.add(statement.name)
                names[-1:] = [statement.name, b""]
            pgconn.send_query_prepared(statement.name, values, statement.formats, Format.BINARY)
        pgconn.pipeline_sync()
        return names

    def _receive(self, names: Sequence[bytes]) -> list[PGresult]:
        """The result of each statement, in the order that they were sent in."""
        pgconn, results, end = self._pgconn, [], monotonic() + self.patience
        while pgconn.flush():
            self._wait(end, writing=True)
            pgconn.consume_input()
        while True:
            while pgconn.is_busy():
                self._wait(end)
                pgconn.consume_input()
            result = pgconn.get_result()
            if result is None:
                # It comes after each result; where the connection is lost nothing else does.
                if pgconn.status == ConnStatus.BAD:
                    raise OperationalError("the connection to the database was lost")
                continue
            if result.status == ExecStatus.PIPELINE_SYNC:
                break
            results.append(result)
        pgconn.exit_pipeline_mode()
        return self._without_prepared(names, results)

    def _without_prepared(self, names: Sequence[bytes], results: list[PGresult]) -> list[PGresult]:
        """The results without those of preparing; one that was refused stands for its statement."""
        kept: list[PGresult] = []
        refused: PGresult | None = None
        for name, result in zip(names, results, strict=True):
            if not name:
                kept.append(refused or result)
                refused = None
            elif result.status != ExecStatus.COMMAND_OK:
                self._prepared.discard(name)
                refused = result
        return kept

    def _wait(self, end: float, *, writing: bool = False) -> None:
        if not self._socket.is_ready(end - monotonic(), writing=writing):
            self.is_hung = True
            raise no_answer(self.patience)


def no_answer(patience: float) -> OperationalError:
    """What is said of a server that hangs."""
    return OperationalError(f"the database has not answered for {patience:.0f} seconds")


class _Socket:
    """Waits for a socket, whatever number it has and whatever system this is."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        # Windows has none, and there select takes any socket.
        self._poll = select.poll() if hasattr(select, "poll") else None
        if self._poll:
            self._poll.register(descriptor, select.POLLIN)

    def is_ready(self, seconds: float, *, writing: bool) -> bool:
        """Whether there is something to read, or where *writing* room for more, before the time is over."""
        if seconds <= 0:
            return False
        if self._poll is None:
            wanted = [self._descriptor]
            return any(select.select(wanted, wanted if writing else [], [], seconds))
        if not writing:
            return bool(self._poll.poll(seconds * 1000))
        self._poll.modify(self._descriptor, select.POLLIN | select.POLLOUT)
        try:
            return bool(self._poll.poll(seconds * 1000))
        finally:
            self._poll.modify(self._descriptor, select.POLLIN)


def _answer(statement: Statement, result: PGresult) -> Answer:
    rows = _rows(result, statement.decoders) if statement.decoders else []
    return Answer(rows, result.command_tuples or 0, result.command_status or b"")


def _check_committed(answer: Answer) -> None:
    if answer.status != b"COMMIT":
        raise _refused(OperationalError("the transaction had failed, and was rolled back"), _COMMIT)


def _rows(result: PGresult, decoders: Sequence[Callable[[bytes], Any]]) -> list[list[Any]]:
    return [
        [
            None if (value := result.get_value(row, column)) is None else decode(value)
            for column, decode in enumerate(decoders)
        ]
        for row in range(result.ntuples)
    ]


def _refused(error: Error, statement: Statement) -> DBAPIError:
    """The driver's error in SQLAlchemy's terms, without the parameters."""
    made = DBAPIError.instance(statement.text.decode(), None, error, Error, hide_parameters=True)
    if not isinstance(made, DBAPIError):
        raise TypeError("not an error of the driver") from error
    return made
