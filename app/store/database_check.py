"""Checking a database from end to end: that it is whole, and that it belongs to its data folder."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, Table, func, select
from sqlalchemy.exc import SQLAlchemyError

from app.store import tables
from app.store.audit import AuditKey
from app.store.audit_check import check_audit
from app.store.content_check import ContentCheck, Faults
from app.store.keys import StoreKeys
from app.store.ownership import find_ownership
from app.store.row_check import whatever_text
from app.store.structure_check import (
    check_file,
    check_helpers,
    check_references,
    check_revision,
    check_tables,
)
from app.store.trouble import is_damage, unavailable
from ca.x509.certificate import Certificate

# So many rows are named of those that have one and the same fault.
_MOST_EXAMPLES = 5


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong with *count* rows, or with the whole; *examples* names some of them."""

    what: str
    count: int = 1
    examples: tuple[str, ...] = ()


def check_database(
    connection: Connection,
    keys: StoreKeys,
    cas: Sequence[Certificate],
    on_begin: Callable[[int], object],
    on_row: Callable[[], object],
) -> list[Fault]:
    """All that is wrong with it, as far as it can be read: of each part, whatever is wrong with another.

    *cas* are the certificates of all CAs of the folder. *on_begin* is called with how many rows there are
    to look at, and *on_row* for each.
    """
    with whatever_text(connection):
        wrong = check_revision(connection)
        if wrong is not None:
            return [Fault(wrong)]
        found = _Found(connection)
        found.take("the file", _unplaced(check_file(connection)))
        if found.take("the schema", _unplaced(check_tables(connection))):
            return found.faults()
        # Of another's every row would be told.
        if found.take("whose it is", _check_owner(connection, keys, cas)) and not found.is_damaged:
            return found.faults()
        found.take("what rows refer to", _unplaced(check_references(connection)))
        found.take("the schema", _unplaced(check_helpers(connection)))
        on_begin(sum(found.count(table) for table in tables.metadata.sorted_tables))
        for name, step in ContentCheck(connection, keys.content, cas, on_row).tables():
            found.take(name, step)
        found.take(tables.audit.name, _check_audit(connection, keys.audit, on_row))
        return found.faults()


class _Found:
    """What was found until now."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._damaged: list[Fault] = []
        self._faults: dict[str, Fault] = {}

    def take(self, part: str, faults: Faults) -> int:
        """Take all *faults* of a *part*, and say how many they are; that it cannot be read on is one as well.

        Raises:
            SQLAlchemyError: It is not damaged, but out of reach; or PostgreSQL's, where nothing goes on then.

        """
        number = 0
        try:
            for what, row in faults:
                number += 1
                before = self._faults.get(what, Fault(what, 0))
                examples = (*before.examples, *([row] if row else ()))[:_MOST_EXAMPLES]
                self._faults[what] = Fault(what, before.count + 1, examples)
        except self._errors as error:
            self._note_damage(f"{part} cannot be read to the end", error)
            number += 1
        return number

    def count(self, table: Table) -> int:
        """How many rows there are to look at; 0 where that cannot be read."""
        try:
            return self._connection.scalar(select(func.count()).select_from(table)) or 0
        except self._errors as error:
            self._note_damage(f"{table.name} cannot be counted", error)
            return 0

    @property
    def is_damaged(self) -> bool:
        """Whether something cannot be read."""
        return bool(self._damaged)

    def faults(self) -> list[Fault]:
        """All, what is damaged first."""
        return [*self._damaged, *self._faults.values()]

    @property
    def _errors(self) -> tuple[type[Exception], ...]:
        # The last where what SQLite would complain of is no text.
        return (SQLAlchemyError, self._connection.dialect.loaded_dbapi.Error, UnicodeDecodeError)

    def _note_damage(self, what: str, error: Exception) -> None:
        trouble = unavailable(error)
        if self._connection.dialect.name != "sqlite" or not is_damage(trouble):
            raise error
        self._damaged.append(Fault(f"{what}: {trouble}"))


def _unplaced(step: Iterable[str]) -> Faults:
    return ((what, "") for what in step)


def _check_owner(connection: Connection, keys: StoreKeys, cas: Sequence[Certificate]) -> Faults:
    stranger = find_ownership(connection, keys, cas).stranger
    if stranger:
        yield f"it does not belong to this folder: {stranger}", ""


def _check_audit(connection: Connection, key: AuditKey, on_row: Callable[[], object]) -> Faults:
    findings = check_audit(connection, key, None, on_row).findings
    return (("the audit log is not as it was written; see: log verify", "") for _ in findings)
