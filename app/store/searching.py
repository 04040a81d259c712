"""Looking for a part of a name: by the index for it, as far as there is one, and else by looking at all."""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from sqlalchemy import (
    ColumnElement,
    Connection,
    Engine,
    Select,
    Text,
    any_,
    false,
    func,
    literal,
    literal_column,
    or_,
    select,
)
from sqlalchemy.dialects.postgresql import ARRAY

from app.store import search_trgm, tables
from app.store.engine import READ_ONLY, named_file
from app.store.folded import has_part
from app.store.search_file import Reach, SearchFile, can_search

# More than these are found sooner by looking at all in the order of the list, until a page is full.
MOST_FOUND = 5000
# The file grows by so many at a time: enough to stay in few pieces, and few enough for who shares the disk.
# What is not in it yet is looked at.
AT_ONCE = 1000

_cert = tables.certificate
_number: ColumnElement[int] = literal_column("certificate.rowid")
# The same as an expression, which is no reason for SQLite to go by it.
_any_number: ColumnElement[int] = literal_column("+certificate.rowid")


def holds(part: str) -> ColumnElement[bool]:
    """Whether *part* is in the subject or in an alternative name, whatever the case of either."""
    names = _cert.c.subject, _cert.c.subject_alt_names
    return or_(*(has_part(func.lower(one), part) for one in names))


@dataclass(frozen=True, slots=True)
class Narrowed:
    """A *condition* that all meet in whose names something is; *is_few*: and not many others.

    Where they are not few, it can be told from any index whether one meets it.
    """

    condition: ColumnElement[bool]
    is_few: bool


def narrow(connection: Connection, part: str) -> Narrowed | None:
    """Where those are in whose names *part* is; None: that is not known."""
    if not part:
        return None
    if connection.dialect.name == "sqlite":
        return _narrow_on_sqlite(connection, part)
    return _narrow_on_postgresql(connection, part)


def _narrow_on_sqlite(connection: Connection, part: str) -> Narrowed | None:
    file = search_file(connection.engine)
    found = file and file.find(part, MOST_FOUND + 1)
    if not found or not _is_of(connection, found.reach):
        return None
    behind = select(_number).select_from(_cert).where(_number > found.reach.number).limit(MOST_FOUND + 1)
    rows = [*found.rows, *connection.scalars(behind)]
    if len(found.rows) <= MOST_FOUND and len(rows) - len(found.rows) <= MOST_FOUND:
        return _among(rows)
    span = _any_number.between(found.rows[0], found.last) if found.rows else false()
    return Narrowed(or_(span, _any_number > found.reach.number), is_few=False)


def narrow_by(connection: Connection, conditions: Sequence[ColumnElement[bool]]) -> Narrowed | None:
    """Where those are that meet *conditions* of which SQLite has an index; None: they are not few."""
    # The order of a list, so that SQLite goes by the index that a list goes by.
    query = select(_number).select_from(_cert).where(*conditions).order_by(_cert.c.not_after, _cert.c.serial)
    rows = connection.scalars(query.limit(MOST_FOUND + 1)).all()
    return _among(rows) if len(rows) <= MOST_FOUND else None


def _among(rows: Sequence[int]) -> Narrowed:
    listed = func.json_each(json.dumps(list(rows)))
    value: Select[tuple[int]] = select(literal_column("value")).select_from(listed)
    return Narrowed(_number.in_(value), is_few=True)


def _is_of(connection: Connection, reach: Reach) -> bool:
    """Whether an index that reaches so far is one of this database."""
    serial = connection.scalar(select(_cert.c.serial).where(_number == reach.number))
    return bool(serial == reach.serial)


def _narrow_on_postgresql(connection: Connection, part: str) -> Narrowed | None:
    found = search_trgm.find(connection, part, MOST_FOUND + 1)
    if found is None or len(found) > MOST_FOUND:
        return None
    return Narrowed(_cert.c.serial == any_(literal(found, ARRAY(Text))), is_few=True)


def keep_up(engine: Engine) -> bool:
    """Have the index be there and grow, by a step in nobody's way; whether there is more to do at once.

    Raises:
        OSError, SQLAlchemyError, or the driver's error: It cannot be done.

    """
    if engine.dialect.name == "sqlite":
        return _grow(engine)
    search_trgm.keep_up(engine)
    return False


def _grow(engine: Engine) -> bool:
    file = search_file(engine)
    if file is None or not can_search():
        return False
    with _reading(engine) as connection:
        if (connection.scalar(select(func.max(_number)).select_from(_cert)) or 0) < AT_ONCE:
            return False
    # The database is read once nobody else adds: what the index has is there then.
    with file.adding() as index, _reading(engine) as connection:
        if index.reach and not _is_of(connection, index.reach):
            index.clear()
        names = _cert.c.subject + "\n" + _cert.c.subject_alt_names
        start = index.reach.number if index.reach else 0
        query = select(_number, _cert.c.serial, names).where(_number > start).order_by(_number)
        rows = connection.execute(query.limit(AT_ONCE)).all()
        if len(rows) == AT_ONCE:
            index.add((row[0], row[1], row[2]) for row in rows)
    return len(rows) == AT_ONCE


@contextmanager
def _reading(engine: Engine) -> Iterator[Connection]:
    with engine.connect().execution_options(**READ_ONLY) as connection, connection.begin():
        yield connection


def search_file(engine: Engine) -> SearchFile | None:
    """The index of an SQLite database; None for one that is not a file."""
    path = named_file(engine.url)
    return SearchFile(path.with_name(f"{path.stem}-search.db")) if path else None
