"""Checking the audit log from its first entry to its last: what was changed, taken out, put in or moved."""

from collections.abc import Callable, Iterator, Sequence
from hmac import compare_digest
from itertools import pairwise
from typing import Any

from sqlalchemy import Connection, func, select

from app.store import tables
from app.store.audit import BEGINNING, AuditKey
from app.store.records import AuditHead, AuditReport, Finding, Flaw
from ca.issuing.authority import BACKDATE

_audit, _certificate = tables.audit, tables.certificate
_AT_ONCE = 1000
# So many places around an entry are looked at for where it came from.
_NEAR = 4
# So many tell whose the log is.
_LAST_ENTRIES = 20
# Once so many are wrong, which ones they are matters no more.
MOST_FINDINGS = 200
# The entry that says that the key was made anew, and those before it cannot be checked any more.
KEY_MADE_ANEW = ("secrets.key", "made anew")


def check_audit(
    connection: Connection, key: AuditKey, known: AuditHead | None, on_entry: Callable[[], object]
) -> AuditReport:
    """Go through the whole log, and through whether *known* is still an entry of it."""
    check = _Check(connection, key)
    check.walk(on_entry)
    findings = check.findings
    findings += check.count_certificates()
    if known is not None:
        findings += check.compare(known)
    return AuditReport(check.head, tuple(findings), check.unchecked, check.is_cut)


def was_written_under(connection: Connection, key: AuditKey) -> bool:
    """Whether the log ends under *key*, or is empty; of the last entries somebody may have changed some."""
    rows = connection.execute(select(_audit).order_by(_audit.c.number.desc()).limit(_LAST_ENTRIES)).all()
    befores = [_octets(row.chain) for row in rows[1:]]
    if rows and rows[-1].number == 1:
        befores.append(BEGINNING.chain)
    pairs = zip(rows, befores, strict=False)
    return not rows or any(
        compare_digest(key.chain(before, row[:-1]), _octets(row.chain)) for row, before in pairs
    )


class _Check:
    def __init__(self, connection: Connection, key: AuditKey) -> None:
        self._connection = connection
        self._key = key
        self.head = BEGINNING
        self.findings: list[Finding] = []
        self.is_cut = False
        self._issued = 0
        self._since = 0
        self.unchecked = self._find_lost_key()

    def walk(self, on_entry: Callable[[], object]) -> None:
        """Look at every entry in its turn."""
        query = select(_audit).order_by(_audit.c.number)
        broken = []
        for row in self._connection.execute(query, execution_options={"yield_per": _AT_ONCE}):
            gap = row.number - self.head.number
            if row.number < 1:
                self._find(row.number, row.number, Flaw.INSERTED, "entries begin with number 1")
                continue
            if gap > 1:
                self._find_missing(self.head.number + 1, row.number - 1)
            # What stands behind a gap has lost what it was chained to.
            elif row.number > self.unchecked and not self._fits(self.head.chain, row[:-1], row.chain):
                broken.append(row.number)
                if len(broken) > MOST_FINDINGS:
                    self.is_cut = True
                    broken.pop()
            self._issued += row.outcome == "issued"
            if self.head is BEGINNING and isinstance(row.at, int):
                self._since = row.at
            self.head = AuditHead(row.number, _octets(row.chain))
            on_entry()
        self._judge(broken)
        self.findings.sort(key=lambda one: one.first)

    def count_certificates(self) -> Iterator[Finding]:
        """Whether there are as many entries as certificates that were issued since the first of them.

        A log that was emptied, or one whose new entries somebody has the database delete, is whole in itself.
        """
        # A certificate begins so long before it is issued; one that came before the log does not count.
        begin = self._since - int(BACKDATE.total_seconds())
        query = select(func.count()).where(_certificate.c.not_before >= begin)
        lacking = self._connection.execute(query).scalar_one() - self._issued
        if lacking > 0:
            certificates = "1 certificate was" if lacking == 1 else f"{lacking} certificates were"
            what = f"{certificates} issued, and no entry says so"
            yield Finding(self.head.number + 1, self.head.number + lacking, Flaw.MISSING, what)

    def compare(self, known: AuditHead) -> Iterator[Finding]:
        """Whether the log still has the entry that somebody wrote down."""
        if known.number > self.head.number:
            what = f"the log ended with entry {known.number} or later, and ends with {self.head.number} now"
            yield Finding(self.head.number + 1, known.number, Flaw.MISSING, what)
            return
        row = self._row(known.number) if known.number else BEGINNING
        # One that is not there is missing, which is told already.
        if row is not None and not compare_digest(_octets(row.chain), known.chain):
            what = "it is not the one that was written down: the log was rewritten up to here"
            yield Finding(known.number, known.number, Flaw.REWRITTEN, what)

    def _find(self, first: int, last: int, flaw: Flaw, what: str) -> None:
        if len(self.findings) < MOST_FINDINGS:
            self.findings.append(Finding(first, last, flaw, what))
        else:
            self.is_cut = True

    def _find_missing(self, first: int, last: int) -> None:
        some = "it was" if first == last else "they were"
        self._find(first, last, Flaw.MISSING, f"{some} taken out")

    def _fits(self, before: bytes, columns: tuple[Any, ...], chain: object) -> bool:
        return compare_digest(self._key.chain(before, columns), _octets(chain))

    def _find_lost_key(self) -> int:
        """The number before that of the last entry, good under this key, which says that it is a new one."""
        target, outcome = KEY_MADE_ANEW
        query = select(_audit).where(_audit.c.target == target, _audit.c.outcome == outcome)
        for row in self._connection.execute(query.order_by(_audit.c.number.desc())).all():
            before = self._row(row.number - 1)
            if before is not None and self._fits(_octets(before.chain), row[:-1], row.chain):
                return int(row.number) - 1
        return 0

    def _judge(self, broken: Sequence[int]) -> None:
        """Say of entries that do not fit behind the one before them what became of them."""
        origins = {number: self._origin(number) for number in broken}
        for number, origin in origins.items():
            if origin == number:
                # It is as it was; what stands before it is not.
                continue
            if origin is not None:
                self._find(number, number, Flaw.MOVED, f"it was written as entry {origin}")
            elif number in origins.values():
                self._find(number, number, Flaw.INSERTED, "this server did not write it")
            else:
                what = "this server did not write it so: it was changed, or put in"
                self._find(number, number, Flaw.CHANGED, what)

    def _origin(self, number: int) -> int | None:
        """As which entry the one that has *number* now was written; None where it fits nowhere near."""
        near = range(number - _NEAR, number + _NEAR + 1)
        rows = [row for row in map(self._row, near) if row is not None]
        row = next(row for row in rows if row.number == number)
        befores = {BEGINNING.chain, *(_octets(one.chain) for one in rows)}
        # What an entry should be chained by, where that was changed and nothing else.
        befores |= {self._key.chain(_octets(one.chain), following[:-1]) for one, following in pairwise(rows)}
        for origin in sorted(near, key=lambda one: abs(one - number)):
            columns = (origin, *row[1:-1])
            if any(self._fits(before, columns, row.chain) for before in befores):
                return origin
        return None

    def _row(self, number: int) -> Any:
        return self._connection.execute(select(_audit).where(_audit.c.number == number)).one_or_none()


def _octets(value: object) -> bytes:
    """The octets of a column that somebody may have put something else into."""
    return bytes(value) if isinstance(value, bytes | memoryview) else repr(value).encode()
