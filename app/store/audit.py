"""The statements of the audit log: each entry is chained to the one before it, and none is ever changed."""

import hmac
import json
from hashlib import sha256
from typing import Any

from sqlalchemy import Connection, func, insert, select

from app.store import tables
from app.store.prepared import Prepared
from app.store.rows import to_seconds
from ca.ports import AuditEntry

_audit = tables.audit
_LAST = Prepared(
    select(_audit.c.number, _audit.c.chain).where(
        _audit.c.number == select(func.max(_audit.c.number)).scalar_subquery()
    )
)
_ADD = Prepared(insert(_audit), [column.name for column in _audit.c])
BEGINNING = b"\0" * 32


def add_audit(connection: Connection, key: bytes, entry: AuditEntry) -> None:
    """Write the next entry, with a MAC under *key* over it and the one before it."""
    rows = _LAST.rows(connection, {})
    number, before = (rows[0].number + 1, rows[0].chain) if rows else (1, BEGINNING)
    values = entry_values(number, entry)
    _ADD.run(connection, {**values, "chain": chain(key, before, values)})


def entry_values(number: int, entry: AuditEntry) -> dict[str, Any]:
    """The row of an entry, without its place in the chain."""
    return {
        "number": number,
        "at": to_seconds(entry.at),
        "actor": entry.actor,
        "action": entry.action,
        "target": entry.target,
        "outcome": entry.outcome,
        "rule": entry.rule,
        "detail": entry.detail,
    }


def chain(key: bytes, before: bytes, values: dict[str, Any]) -> bytes:
    """What binds an entry to the one *before* it."""
    return hmac.digest(key, before + json.dumps(list(values.values())).encode(), sha256)
