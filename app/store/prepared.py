"""Statements of the hot path, compiled once and handed to the driver without SQLAlchemy between.

SQLAlchemy writes them; executing one through it costs three times what SQLite needs for it, and an
enrolment has five, and the audit log two.
"""

from collections import namedtuple
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from itertools import count
from operator import itemgetter
from typing import Any, TypeAlias

from sqlalchemy import Connection, Dialect, Insert, Integer, LargeBinary, Select
from sqlalchemy.dialects.postgresql.base import PGDialect
from sqlalchemy.exc import DBAPIError
from sqlalchemy.sql.dml import UpdateBase
from sqlalchemy.types import TypeEngine

from app.store.engine import driver_connection
from app.store.statement import Statement, find_pipeline

# The text, what puts the parameters in its order, and the values that the statement itself holds.
_Compiled: TypeAlias = tuple[str, Callable[[Mapping[str, Any]], Any], dict[str, object]]
_numbers = count(1)


class Prepared:
    """One statement; its parameters go by name. *columns* are those that an INSERT fills."""

    def __init__(self, statement: Select[Any] | UpdateBase, columns: Sequence[str] = ()) -> None:
        self._statement = statement
        self._columns = list(columns) or None
        self._compiled: dict[str, _Compiled] = {}

    def run(self, connection: Connection, parameters: Mapping[str, object]) -> Any:
        """Execute, and return what has a ``rowcount``.

        Raises:
            DBAPIError: The database refused, in SQLAlchemy's terms.

        """
        pipeline = find_pipeline(connection)
        if pipeline is not None:
            statement, literals = self._for_postgresql
            return pipeline.ask(statement, {**literals, **parameters})
        text, in_order, literals = self._compile(connection.dialect)
        try:
            return driver_connection(connection).execute(text, in_order({**literals, **parameters}))
        except connection.dialect.loaded_dbapi.Error as error:
            base = connection.dialect.loaded_dbapi.Error
            raise DBAPIError.instance(text, None, error, base) from error

    def send(self, connection: Connection, parameters: Mapping[str, object]) -> None:
        """Execute at the latest before the next statement whose result is asked for.

        PostgreSQL's refusal may be told only then, and no later than at the commit.

        Raises:
            DBAPIError: The database refused, in SQLAlchemy's terms.

        """
        pipeline = find_pipeline(connection)
        if pipeline is None:
            self.run(connection, parameters)
        else:
            statement, literals = self._for_postgresql
            pipeline.send(statement, {**literals, **parameters})

    def rows(self, connection: Connection, parameters: Mapping[str, object]) -> list[Any]:
        """Execute what returns rows; they have their columns as attributes."""
        ran = self.run(connection, parameters)
        return [self._row(*values) for values in (ran.rows if hasattr(ran, "rows") else ran.fetchall())]

    @cached_property
    def _row(self) -> Any:
        return namedtuple("Row", map(str, self._statement.exported_columns.keys()))

    def _compile(self, dialect: Dialect) -> _Compiled:
        if dialect.name not in self._compiled:
            compiled = self._statement.compile(dialect=dialect, column_keys=self._columns)
            literals = {name: value for name, value in compiled.params.items() if value is not None}
            order = getattr(compiled, "positiontup", None)
            self._compiled[dialect.name] = str(compiled), _ordering(order), literals
        return self._compiled[dialect.name]

    @cached_property
    def _for_postgresql(self) -> tuple[Statement, dict[str, object]]:
        """The statement as PostgreSQL is sent it, and the values that it holds itself."""
        statement = self._statement
        returned = statement.exported_columns.values()
        if isinstance(statement, Insert) and not returned:
            # Else SQLAlchemy would have the new number returned, which nobody asks for.
            statement = statement.inline()
        # The paramstyle of libpq.
        dialect = PGDialect(paramstyle="numeric_dollar")  # type: ignore[no-untyped-call]
        compiled = statement.compile(dialect=dialect, column_keys=self._columns)
        order = tuple(compiled.positiontup or ())
        encoders = [_encoder(compiled.binds[name].type) for name in order]
        decoders = [_decoder(column.type) for column in returned]
        literals = {name: value for name, value in compiled.params.items() if value is not None}
        made = Statement(
            b"scepbox_%d" % next(_numbers),
            str(compiled).encode(),
            order,
            tuple(encoders),
            # Texts as they are, because a zero octet would end one that is sent as text.
            tuple(0 if encode is decimal else 1 for encode in encoders),
            tuple(decoders),
            isinstance(statement, UpdateBase),
        )
        return made, literals


def _ordering(names: Sequence[str] | None) -> Callable[[Mapping[str, Any]], Any]:
    """Parameters in the order of their places; where they go by name, as they are."""
    if not names:
        return lambda named: named
    if len(names) == 1:
        return lambda named: (named[names[0]],)
    return itemgetter(*names)


def decimal(number: int) -> bytes:
    """A number as PostgreSQL is sent it."""
    return b"%d" % number


def _number(octets: bytes) -> int:
    return int.from_bytes(octets, "big", signed=True)


def _encoder(kind: TypeEngine[Any]) -> Callable[[Any], bytes]:
    if isinstance(kind, Integer):
        return decimal
    return bytes if isinstance(kind, LargeBinary) else str.encode


def _decoder(kind: TypeEngine[Any]) -> Callable[[bytes], Any]:
    if isinstance(kind, Integer):
        return _number
    return bytes if isinstance(kind, LargeBinary) else bytes.decode
