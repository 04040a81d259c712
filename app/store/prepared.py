"""Statements of the hot path, compiled once and handed to the driver without SQLAlchemy between.

SQLAlchemy writes them; executing one through it costs three times what SQLite needs for it, and an
enrolment has four.
"""

from collections import namedtuple
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from operator import itemgetter
from typing import Any, TypeAlias

from sqlalchemy import Connection, Dialect, Select
from sqlalchemy.exc import DBAPIError
from sqlalchemy.sql.dml import UpdateBase

from app.store.engine import driver_connection

# The text, what puts the parameters in its order, and the values that the statement itself holds.
_Compiled: TypeAlias = tuple[str, Callable[[Mapping[str, Any]], Any], dict[str, object]]


class Prepared:
    """One statement; its parameters go by name. *columns* are those that an INSERT fills."""

    def __init__(self, statement: Select[Any] | UpdateBase, columns: Sequence[str] = ()) -> None:
        self._statement = statement
        self._columns = list(columns) or None
        self._compiled: dict[str, _Compiled] = {}

    def run(self, connection: Connection, parameters: Mapping[str, object]) -> Any:
        """Execute, and return the driver's cursor.

        Raises:
            DBAPIError: The database refused, in SQLAlchemy's terms.

        """
        text, in_order, literals = self._compile(connection.dialect)
        try:
            return driver_connection(connection).execute(text, in_order({**literals, **parameters}))
        except connection.dialect.loaded_dbapi.Error as error:
            base = connection.dialect.loaded_dbapi.Error
            raise DBAPIError.instance(text, None, error, base) from error

    def rows(self, connection: Connection, parameters: Mapping[str, object]) -> list[Any]:
        """Execute a SELECT; its rows have their columns as attributes."""
        return [self._row(*values) for values in self.run(connection, parameters).fetchall()]

    @cached_property
    def _row(self) -> Any:
        if not isinstance(self._statement, Select):
            raise TypeError("only a SELECT has rows")
        return namedtuple("Row", self._statement.selected_columns.keys())

    def _compile(self, dialect: Dialect) -> _Compiled:
        if dialect.name not in self._compiled:
            compiled = self._statement.compile(dialect=dialect, column_keys=self._columns)
            literals = {name: value for name, value in compiled.params.items() if value is not None}
            order = getattr(compiled, "positiontup", None)
            self._compiled[dialect.name] = str(compiled), _ordering(order), literals
        return self._compiled[dialect.name]


def _ordering(names: Sequence[str] | None) -> Callable[[Mapping[str, Any]], Any]:
    """Parameters in the order of their places; where they go by name, as they are."""
    if not names:
        return lambda named: named
    if len(names) == 1:
        return lambda named: (named[names[0]],)
    return itemgetter(*names)
