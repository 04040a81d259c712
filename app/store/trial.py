"""Writing what leaves nothing behind, to see whether anything can be written."""

from secrets import token_hex

from sqlalchemy import Connection, Text, delete, false, insert, select

from app.store import tables
from app.store.engine import driver_connection

# More than an enrolment takes, and nothing that a database could make smaller.
_OCTETS = 128 << 10
_request = tables.request


def try_to_write(connection: Connection) -> None:
    """Write as much as an enrolment does, and take it back, in the transaction that is open.

    Raises:
        SQLAlchemyError: It cannot be done: the disk is full, it may not be written, a right is missing.

    """
    for table in tables.metadata.sorted_tables:
        # No row, but whoever may not add one hears of it.
        nothing = select(table).where(false())
        connection.execute(insert(table).from_select(table.columns.keys(), nothing))
    if connection.dialect.name == "postgresql":
        _write(connection)
        return
    # Without, SQLite would not write what is deleted before the commit.
    driver = driver_connection(connection)
    driver.execute("PRAGMA secure_delete=ON")
    try:
        _write(connection)
    finally:
        driver.execute("PRAGMA secure_delete=OFF")


def _write(connection: Connection) -> None:
    texts = [one.name for one in _request.columns if isinstance(one.type, Text) and not one.nullable]
    row = {**dict.fromkeys(texts, ""), "received_at": 0, "reason": token_hex(_OCTETS // 2)}
    made = connection.execute(insert(_request).values(row)).inserted_primary_key
    connection.execute(delete(_request).where(_request.c.id == (made[0] if made else 0)))
