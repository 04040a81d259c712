"""The statements that count what there is, for metrics: by indexes, in a fifth of a second at a million.

Commits nothing itself.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import accumulate, pairwise

from sqlalchemy import Connection, func, or_, select, text

from app.store import queue, tables
from app.store.locks import lock
from app.store.records import Figures
from app.store.rows import to_seconds

_cert, _challenge, _notification = tables.certificate, tables.challenge, tables.notification
# As it stands in the index, word for word: else no database sees that the index is for it.
_USABLE = "(uses_left IS NULL OR uses_left > 0)"
_INDEXES = (
    # Of revoked ones alone, so that issuing does not pay for it.
    "ix_certificate_revoked_not_after ON certificate (not_after) WHERE revoked_at IS NOT NULL",
    # Of those that are used up there is one for each device.
    f"ix_challenge_usable ON challenge (profile, expires_at) WHERE {_USABLE}",
)


def index_figures(connection: Connection) -> None:
    """Make the indexes by which :func:`count_all` counts, unless they are there."""
    lock(connection, b"index figures")
    for index in _INDEXES:
        connection.execute(text(f"CREATE INDEX IF NOT EXISTS {index}"))


def count_all(connection: Connection, now: datetime, days: Sequence[int]) -> Figures:
    """Count what there is at *now*; of certificates also those that end within each of so many *days*.

    *days* rise.
    """
    ends = [to_seconds(now + timedelta(days=number)) for number in (0, *days)]
    spans = [_in_force(connection, after, until) for after, until in pairwise(ends)]
    return Figures(
        challenges=_usable_challenges(connection, now),
        certificates=sum(spans) + _in_force(connection, ends[-1], None),
        expiring=dict(zip(days, accumulate(spans), strict=True)),
        waiting=queue.count_waiting(connection, now),
        notifications=_notifications(connection),
    )


def _in_force(connection: Connection, after: int, until: int | None) -> int:
    """Those that end in a span of time less those of them that are revoked: each an index alone tells."""
    span = select(func.count()).select_from(_cert).where(_cert.c.not_after > after)
    if until is not None:
        span = span.where(_cert.c.not_after <= until)
    revoked = span.where(_cert.c.revoked_at.is_not(None))
    return (connection.scalar(span) or 0) - (connection.scalar(revoked) or 0)


def _usable_challenges(connection: Connection, now: datetime) -> dict[str, int]:
    good = or_(_challenge.c.expires_at.is_(None), _challenge.c.expires_at > to_seconds(now))
    query = select(_challenge.c.profile, func.count()).where(text(_USABLE), good)
    return dict(connection.execute(query.group_by(_challenge.c.profile)).all())


def _notifications(connection: Connection) -> dict[str, int]:
    query = select(_notification.c.validator, func.count()).group_by(_notification.c.validator)
    return dict(connection.execute(query).all())
