"""Checking a database from end to end: that it is whole, and that it belongs to its data folder."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection

from app.store.audit import last_entry
from app.store.audit_check import check_audit
from app.store.content_check import check_contents, count_rows
from app.store.keys import StoreKeys
from app.store.ownership import find_ownership
from app.store.structure_check import check_revision, check_structure
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
    """All that is wrong with it.

    *cas* are the certificates of all CAs of the folder. *on_begin* is called with how many rows there are
    to look at, and *on_row* for each.
    """
    wrong = check_revision(connection)
    if wrong is not None:
        return [Fault(wrong)]
    faults = [Fault(what) for what in check_structure(connection)]
    if faults:
        # What is broken below need not be found out again from what stands on it.
        return faults
    stranger = find_ownership(connection, keys, cas).stranger
    if stranger:
        return [Fault(f"it does not belong to this folder: {stranger}")]
    on_begin(count_rows(connection) + last_entry(connection).number)
    found: dict[str, tuple[int, tuple[str, ...]]] = {}
    for what, row in check_contents(connection, keys.content, cas, on_row):
        count, examples = found.get(what, (0, ()))
        found[what] = (count + 1, (*examples, row)[:_MOST_EXAMPLES])
    faults = [Fault(what, count, examples) for what, (count, examples) in found.items()]
    report = check_audit(connection, keys.audit, None, on_row)
    if report.findings:
        count = len(report.findings)
        faults.append(Fault("the audit log is not as it was written; see: log verify", count))
    return faults
