"""Listing certificates by pages, each found by an index, however many certificates there are."""

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Text, func, literal, select, text, tuple_

from app.store import tables
from app.store.rows import to_certificate, to_seconds
from app.store.searching import Narrowed, holds, narrow, narrow_by
from ca.ports import StoredCertificate
from ca.x509.name import fold_case

ROWS_AT_ONCE = 500
# Behind every other character, by its octets too.
_LAST = "\U0010ffff"
_cert = tables.certificate


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which certificates are listed.

    *status* is ``valid``, ``expired``, ``revoked`` or ``all``. *name* is how the common name begins, and
    *subject* a part of the subject or of an alternative name, whatever the case of either; an empty one
    wants all. *profile* is the name of one. With *ends_before* those alone that are good now and end by
    then. The list begins behind the certificate *after*, a serial number, and ends after *limit*; 0 is
    without limit.

    All but *subject* are found by an index that has the list's order. For that there is one of its own, if
    there is, and else every certificate is looked at that the others leave.
    """

    status: str = "all"
    name: str = ""
    subject: str = ""
    profile: str = ""
    ends_before: datetime | None = None
    after: str = ""
    limit: int = 0


ALL = Wanted()


def list_certificates(connection: Connection, now: datetime, wanted: Wanted) -> Iterator[StoredCertificate]:
    """The certificates that are *wanted*, the one that ends first in front; by *name* in its order.

    A page at a time is read, when it is asked for.
    """
    is_planned = connection.dialect.name == "postgresql"
    if is_planned:
        # Which of the indexes is the best depends on what is asked for, and on what there is of it.
        connection.execute(text("SET LOCAL plan_cache_mode = 'force_custom_plan'"))
    # The index that finds a page has its order.
    first = _cert.c.name if wanted.name else _cert.c.not_after
    place = tuple_(first, _cert.c.serial)
    conditions = list(_conditions(now, wanted, is_planned=is_planned))
    # Before the database is read: what is in the index is in there then.
    narrowed = narrow(connection, wanted.subject)
    if not is_planned and not (narrowed and narrowed.is_few):
        narrowed = _narrow_by_others(connection, now, wanted) or narrowed
    if narrowed is not None:
        conditions.insert(0, narrowed.condition)
    behind = _start(connection, now, wanted, first)
    if narrowed is not None and narrowed.is_few:
        start = [] if behind is None else [place > tuple_(*map(literal, behind))]
        found = select(_cert.c.serial).where(*conditions, *start).order_by(first, _cert.c.serial)
        yield from _read(connection, connection.scalars(found.limit(wanted.limit or None)).all())
        return
    query = select(_cert).where(*conditions).order_by(first, _cert.c.serial)
    left = wanted.limit or sys.maxsize
    while left:
        size = min(ROWS_AT_ONCE, left)
        page = query.limit(size)
        if behind is not None:
            page = page.where(place > tuple_(*map(literal, behind)))
        rows = connection.execute(page).all()
        yield from map(to_certificate, rows)
        if len(rows) < size:
            return
        left -= size
        behind = getattr(rows[-1], first.name), rows[-1].serial


def _narrow_by_others(connection: Connection, now: datetime, wanted: Wanted) -> Narrowed | None:
    """Where those are that have all but the name, if they are few: by name they may stand far apart."""
    others = replace(wanted, name="", subject="", after="", limit=0)
    if not wanted.name or others == ALL:
        return None
    conditions = list(_conditions(now, others, is_planned=False))
    if wanted.status == "valid" or wanted.ends_before is not None:
        conditions.append(_cert.c.not_after > to_seconds(now))
    if wanted.status == "revoked":
        # True of all; else SQLite would walk all by their end, whose index tells of revocation as well.
        conditions.append(func.coalesce(_cert.c.profile, "") >= "")
    return narrow_by(connection, conditions)


def _read(connection: Connection, serials: Sequence[str]) -> Iterator[StoredCertificate]:
    """The certificates of these serial numbers, in their order."""
    for start in range(0, len(serials), ROWS_AT_ONCE):
        some = serials[start : start + ROWS_AT_ONCE]
        rows = connection.execute(select(_cert).where(_cert.c.serial.in_(some)))
        found = {row.serial: to_certificate(row) for row in rows}
        yield from (found[serial] for serial in some)


def _start(
    connection: Connection, now: datetime, wanted: Wanted, first: ColumnElement[Any]
) -> tuple[Any, str] | None:
    """Behind which place the list begins, by the column of its order and the serial number; None: at its own.

    One place out of all that says so: of two conditions SQLite would take one, and walk to the other.
    """
    places: list[tuple[Any, str]] = []
    if wanted.name:
        places.append((fold_case(wanted.name), ""))
    elif wanted.status == "valid" or wanted.ends_before is not None:
        places.append((to_seconds(now), _LAST))
    if wanted.after:
        last = select(first, _cert.c.serial).where(_cert.c.serial == wanted.after)
        places += [(place, serial) for place, serial in connection.execute(last)]
    return max(places, default=None)


def _conditions(now: datetime, wanted: Wanted, *, is_planned: bool) -> Iterator[ColumnElement[bool]]:
    """What is wanted, as far as the place where the list begins does not say it.

    *is_planned*: the database knows how many of each there are, and chooses its index by that.
    """
    alive = _cert.c.not_after > to_seconds(now)
    # As expressions, where another index leaves less to look at and has the right order: SQLite would
    # choose by the number of columns.
    by_revoked = is_planned or not wanted.name
    revoked = _cert.c.revoked_at.is_not(None) if by_revoked else func.coalesce(_cert.c.revoked_at, 0) > 0
    by_profile = is_planned or (not wanted.name and wanted.status != "revoked")
    match wanted.status:
        case "valid":
            yield _cert.c.revoked_at.is_(None)
        case "expired":
            yield ~alive
        case "revoked":
            yield revoked
    if wanted.name:
        # A plain text: SQLAlchemy would write the column's collation where PostgreSQL takes none.
        yield _cert.c.name <= literal(fold_case(wanted.name) + _LAST, Text)
        if wanted.status == "valid" or wanted.ends_before is not None:
            yield alive
    if wanted.subject:
        yield holds(wanted.subject)
    if wanted.profile:
        yield (_cert.c.profile if by_profile else func.coalesce(_cert.c.profile, "")) == wanted.profile
    if wanted.ends_before is not None:
        yield _cert.c.not_after <= to_seconds(wanted.ends_before)
