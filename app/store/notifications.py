"""The statements of the outbox: what validators have yet to be told. Commits nothing itself."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta

from sqlalchemy import Connection, delete, func, insert, select, update

from app.store import tables
from app.store.keys import ContentKey, WrongSecret
from app.store.rows import to_seconds, to_time
from ca.ports import Notification

_notification = tables.notification
# Longer than a try can take, so that nobody else tries meanwhile; doubled with each try up to the most.
FIRST_PAUSE = timedelta(minutes=1)
LONGEST_PAUSE = timedelta(hours=6)


@dataclass(frozen=True, slots=True)
class ClaimedNotification:
    """A notification that is this process's to deliver until *next_at*, when somebody tries again.

    *attempts* counts this one. One that is not *is_readable* was kept under another secret, and has no CSR.
    """

    id: int
    notification: Notification
    created_at: datetime
    attempts: int
    next_at: datetime
    is_readable: bool = True


def pause_after(attempts: int) -> timedelta:
    """How long nobody tries again once *attempts* were made."""
    doublings: int = 1 << min(attempts - 1, 20)
    return min(LONGEST_PAUSE, FIRST_PAUSE * doublings)


def add_notification(
    connection: Connection, key: ContentKey, notification: Notification, at: datetime
) -> None:
    """Keep it, due at once."""
    csr = key.seal(notification.csr, *_row_name(notification))
    times = {"created_at": to_seconds(at), "next_at": to_seconds(at)}
    connection.execute(insert(_notification), {**asdict(notification), "csr": csr, **times})


def next_notification(connection: Connection) -> datetime | None:
    """When the first is due; None where there is none."""
    seconds = connection.scalar(select(func.min(_notification.c.next_at)))
    return None if seconds is None else to_time(seconds)


def next_by_validator(connection: Connection) -> dict[str, datetime]:
    """When the first is due for each validator that any are for."""
    query = select(_notification.c.validator, func.min(_notification.c.next_at))
    rows = connection.execute(query.group_by(_notification.c.validator)).all()
    return {validator: to_time(seconds) for validator, seconds in rows}


def claim_notifications(
    connection: Connection, key: ContentKey, now: datetime, most: int, validator: str | None = None
) -> list[ClaimedNotification]:
    """Take up to *most* that are due, for *validator* or for all, the longest due first.

    One UPDATE decides on each: it moves on the time of the next try, and of two processes that see the
    same row one finds it as it was.
    """
    due = select(_notification).where(_notification.c.next_at <= to_seconds(now))
    if validator is not None:
        due = due.where(_notification.c.validator == validator)
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
            try:
                csr = key.unseal(row.csr, *_row_name(notification))
                is_readable = True
            except WrongSecret:
                csr, is_readable = b"", False
            claimed.append(
                ClaimedNotification(
                    row.id,
                    replace(notification, csr=csr),
                    to_time(row.created_at),
                    attempts,
                    next_at,
                    is_readable,
                )
            )
    return claimed


def remove_notifications(connection: Connection, ids: Sequence[int]) -> None:
    """Forget those that were told, or given up."""
    connection.execute(delete(_notification).where(_notification.c.id.in_(ids)))


def _row_name(notification: Notification) -> tuple[str, ...]:
    """What binds a CSR to its row, whose number is not known before it is there."""
    said = notification
    return ("notification", said.validator, said.kind, said.profile, said.transaction_id)
