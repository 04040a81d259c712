"""The statements of the outbox: what validators have yet to be told. Commits nothing itself."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, delete, func, select, update

from app.store import tables
from app.store.rows import to_seconds, to_time
from ca.ports import Notification

_notification = tables.notification
# Longer than a try can take, so that nobody else tries meanwhile; doubled with each try up to the most.
FIRST_PAUSE = timedelta(minutes=1)
LONGEST_PAUSE = timedelta(hours=6)


@dataclass(frozen=True, slots=True)
class ClaimedNotification:
    """A notification that is this process's to deliver until *next_at*, when somebody tries again.

    *attempts* counts this one.
    """

    id: int
    notification: Notification
    created_at: datetime
    attempts: int
    next_at: datetime


def pause_after(attempts: int) -> timedelta:
    """How long nobody tries again once *attempts* were made."""
    doublings: int = 1 << min(attempts - 1, 20)
    return min(LONGEST_PAUSE, FIRST_PAUSE * doublings)


def next_notification(connection: Connection) -> datetime | None:
    """When the first is due; None where there is none."""
    seconds = connection.scalar(select(func.min(_notification.c.next_at)))
    return None if seconds is None else to_time(seconds)


def claim_notifications(connection: Connection, now: datetime, most: int) -> list[ClaimedNotification]:
    """Take up to *most* that are due, the longest due first.

    One UPDATE decides on each: it moves on the time of the next try, and of two processes that see the
    same row one finds it as it was.
    """
    due = select(_notification).where(_notification.c.next_at <= to_seconds(now))
    due = due.order_by(_notification.c.next_at, _notification.c.id).limit(most)
    claimed = []
    for row in connection.execute(due.with_for_update(skip_locked=True)).all():
        attempts, next_at = row.attempts + 1, now + pause_after(row.attempts + 1)
        mine = update(_notification).where(
            _notification.c.id == row.id, _notification.c.attempts == row.attempts
        )
        mine = mine.values(attempts=attempts, next_at=to_seconds(next_at))
        if connection.execute(mine).rowcount == 1:
            notification = Notification(
                row.validator,
                row.kind,
                row.profile,
                row.transaction_id,
                row.csr,
                row.certificate,
                row.reason,
            )
            created_at = to_time(row.created_at)
            claimed.append(ClaimedNotification(row.id, notification, created_at, attempts, next_at))
    return claimed


def remove_notifications(connection: Connection, ids: Sequence[int]) -> None:
    """Forget those that were told, or given up."""
    connection.execute(delete(_notification).where(_notification.c.id.in_(ids)))
