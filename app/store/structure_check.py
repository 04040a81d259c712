"""Whether a database is whole in itself: its file, its schema, and what its rows refer to."""

import warnings
from collections.abc import Iterator

from sqlalchemy import Connection, inspect, text
from sqlalchemy.exc import SAWarning

from app.store import tables
from app.store.migrate import HEAD, find_revision, is_known, of_newer_program
from app.store.searching import search_file

_MOST = 20
# What keeps the audit log append-only.
_TRIGGERS = {
    "sqlite": ("audit_not_updated", "audit_not_deleted", "audit_in_order"),
    "postgresql": ("audit_not_changed",),
}
_FIND_TRIGGERS = {
    "sqlite": "SELECT name FROM sqlite_master WHERE type = 'trigger'",
    "postgresql": "SELECT tgname FROM pg_trigger WHERE tgrelid = 'audit'::regclass AND tgenabled <> 'D'",
}


def check_revision(connection: Connection) -> str | None:
    """What is wrong with the schema's revision, so that the rest cannot be looked at; None: nothing."""
    revision = find_revision(connection)
    if revision == HEAD:
        return None
    if revision is not None and not is_known(revision):
        return f"it has {of_newer_program(revision)}"
    return f"it has schema {revision or 'of no version'}, and this program {HEAD}: db migrate brings it there"


def check_file(connection: Connection) -> Iterator[str]:
    """What is wrong with the file of SQLite, in a line each. PostgreSQL sees to its own."""
    if connection.dialect.name == "sqlite":
        if (file := search_file(connection.engine)) and (said := file.damage()):
            yield f"the index for searching is damaged; remove it, and a server makes it anew: {said}"
        for (said,) in connection.execute(text(f"PRAGMA integrity_check({_MOST})")):
            if said != "ok":
                yield f"SQLite finds: {said}"


def check_references(connection: Connection) -> Iterator[str]:
    """What rows refer to and is not there. PostgreSQL sees to that by itself."""
    if connection.dialect.name == "sqlite":
        for row in connection.execute(text("PRAGMA foreign_key_check")).fetchmany(_MOST):
            yield f"row {row[1]} of {row[0]} refers to what is not in {row[2]}"


def check_tables(connection: Connection) -> Iterator[str]:
    """Which tables and columns are missing, so that what is in them cannot be looked at."""
    looked = inspect(connection)
    there = set(looked.get_table_names())
    for table in tables.metadata.sorted_tables:
        if table.name not in there:
            yield f"the table {table.name} is missing"
            continue
        columns = {column["name"] for column in looked.get_columns(table.name)}
        yield from (f"{table.name} has no column {one.name}" for one in table.c if one.name not in columns)


def check_helpers(connection: Connection) -> Iterator[str]:
    """Which triggers and indexes are missing."""
    found = set(connection.scalars(text(_FIND_TRIGGERS[connection.dialect.name])))
    for name in _TRIGGERS[connection.dialect.name]:
        if name not in found:
            yield f"the trigger {name} is missing, which keeps the audit log append-only"
    looked = inspect(connection)
    for table in tables.metadata.sorted_tables:
        with warnings.catch_warnings():
            # Of indexes on expressions, which are somebody else's.
            warnings.simplefilter("ignore", SAWarning)
            indexes = {index["name"] for index in looked.get_indexes(table.name)}
        yield from (f"the index {one.name} is missing" for one in table.indexes if one.name not in indexes)
