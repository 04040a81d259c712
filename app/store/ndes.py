"""The statements for challenge passwords that were handed out as NDES does. Commits nothing itself."""

from datetime import datetime

from sqlalchemy import Connection, func, select

from app.store import tables
from app.store.rows import to_seconds

_challenge = tables.challenge


def count_unused(connection: Connection, note: str, now: datetime) -> int:
    """How many challenge passwords with that *note* may still be used."""
    query = select(func.count()).where(
        _challenge.c.note == note,
        _challenge.c.uses_left > 0,
        _challenge.c.expires_at > to_seconds(now),
    )
    return connection.execute(query).scalar_one()


def find_lasting(connection: Connection, prefix: str, profile: str) -> list[tuple[str, bytes]]:
    """Note and MAC of the challenge passwords without limit whose note begins with *prefix*."""
    query = select(_challenge.c.note, _challenge.c.mac).where(
        _challenge.c.note.startswith(prefix, autoescape=True),
        _challenge.c.profile == profile,
        _challenge.c.uses_left.is_(None),
        _challenge.c.expires_at.is_(None),
    )
    return [(row.note, row.mac) for row in connection.execute(query.order_by(_challenge.c.id))]
