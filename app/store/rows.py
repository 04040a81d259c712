"""Between rows and records: times as seconds since 1970, lists of names as JSON."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from ca.ports import StoredCertificate


def storable(text: str) -> str:
    """The text without zero octets, which PostgreSQL has in none."""
    return text.replace("\0", "\ufffd")


def to_seconds(time: datetime) -> int:
    """The time as it is kept."""
    return int(time.timestamp())


def to_time(seconds: int) -> datetime:
    """The time that was kept, UTC."""
    return datetime.fromtimestamp(seconds, UTC)


def to_json(names: Sequence[str]) -> str:
    """The names as they are kept: every letter as it is, so that it is found."""
    return json.dumps(names, ensure_ascii=False)


def to_certificate(row: Any) -> StoredCertificate:
    """The record of a row of ``certificate``."""
    return StoredCertificate(
        serial=row.serial,
        der=row.der,
        subject=row.subject,
        subject_alt_names=tuple(json.loads(row.subject_alt_names)),
        profile=row.profile,
        not_before=to_time(row.not_before),
        not_after=to_time(row.not_after),
        transaction_id=row.transaction_id,
        renewed_from=row.renewed_from,
        revoked_at=None if row.revoked_at is None else to_time(row.revoked_at),
        reason=row.reason,
        key_id=row.key_id or b"",
        subject_key=row.subject_key or b"",
        name=row.name,
    )
