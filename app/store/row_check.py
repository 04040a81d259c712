"""Whether a row holds what its columns can: SQLite keeps anything in any, and disks lose what they had."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection, Table

from app.store.engine import driver_connection
from app.store.exchange import Kind, kind_of

_TYPES: dict[Kind, type] = {Kind.TEXT: str, Kind.NUMBER: int, Kind.OCTETS: bytes}


@contextmanager
def whatever_text(connection: Connection) -> Iterator[None]:
    """Have text read that is not UTF-8 too: SQLite's driver would refuse the row, and all that follow it.

    Octets that mean nothing come as lone surrogates (as Python's ``surrogateescape`` has them).
    """
    if connection.dialect.name != "sqlite":
        # PostgreSQL keeps no such text.
        yield
        return
    driver = driver_connection(connection)
    before = driver.text_factory
    driver.text_factory = lambda octets: octets.decode("utf-8", "surrogateescape")
    try:
        yield
    finally:
        driver.text_factory = before


def check_row(row: Any, table: Table) -> Iterator[str]:
    """What is wrong with the columns of a *row* that has all of its *table*, and what they hold."""
    for value, column in zip(row, table.c, strict=True):
        kind = kind_of(column)
        if value is None:
            if not column.nullable:
                yield f"its {column.name} is missing"
        elif not isinstance(value, _TYPES[kind]):
            yield f"its {column.name} holds what is no {kind}"
        elif isinstance(value, str) and not _is_utf8(value):
            yield f"its {column.name} is not UTF-8"


def shown(value: object) -> str:
    """A key for people, whatever it holds: octets that are no text by their numbers."""
    return str(value).encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def _is_utf8(text: str) -> bool:
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
