"""The time."""

from datetime import UTC, datetime


def utc_now() -> datetime:
    """The time, UTC."""
    return datetime.now(UTC)
