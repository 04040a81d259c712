"""One state of the whole database, read from beginning to end while others write on."""

from collections.abc import Iterator, Mapping

from sqlalchemy import Connection, func, select

from app.store import tables
from app.store.audit import last_entry
from app.store.exchange import BadRow, Kind, encode_row, kind_of
from app.store.migrate import find_revision
from ca.errors import StoreUnavailable

# Rows that are in memory at a time.
_AT_ONCE = 1000


class Snapshot:
    """What a transaction that only reads sees: all of it is of the moment when this was made.

    Tables come in an order in which each row's references are there before it.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        # Read first: SQLite's transactions see the state of their first statement.
        self.audit_head = last_entry(connection)
        self.revision = find_revision(connection) or ""
        self.tables: Mapping[str, Mapping[str, Kind]] = {
            table.name: {column.name: kind_of(column) for column in table.columns}
            for table in tables.metadata.sorted_tables
        }

    def count(self, name: str) -> int:
        """How many rows a table has."""
        return self._connection.scalar(select(func.count()).select_from(tables.metadata.tables[name])) or 0

    def lines(self, name: str) -> Iterator[bytes]:
        """The rows of a table as :mod:`app.store.exchange` has them, in the order of its primary key.

        Raises:
            StoreUnavailable: A row holds what its columns cannot.

        """
        table, columns = tables.metadata.tables[name], self.tables[name]
        query = select(table).order_by(*table.primary_key)
        for row in self._connection.execute(query, execution_options={"yield_per": _AT_ONCE}):
            try:
                yield encode_row(row, columns)
            except BadRow as error:
                key = " ".join(str(row._mapping[column]) for column in table.primary_key)
                raise StoreUnavailable(f"{name} {key}: {error}; see: db check") from error
