"""The statements of the audit log: each entry is chained to the one before it, and none is ever changed."""

import hmac
import json
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import Any

from sqlalchemy import Connection, insert, select

from app.store import tables
from app.store.locks import lock
from app.store.prepared import Prepared
from app.store.records import AuditHead, WrittenEntry
from app.store.rows import to_seconds, to_time
from ca.errors import StoreUnavailable
from ca.journal import cut
from ca.ports import AuditEntry

_audit = tables.audit
_LAST = Prepared(select(_audit.c.number, _audit.c.chain).order_by(_audit.c.number.desc()).limit(1))
_ADD = Prepared(insert(_audit), [column.name for column in _audit.c])
BEGINNING = AuditHead(0, b"\0" * 32)
# Made once: making one costs as much as using it.
_encode = json.JSONEncoder(default=repr).encode


@dataclass(frozen=True, slots=True)
class AuditKey:
    """The key under which entries are chained: who has the database alone cannot make one that fits."""

    _key: bytes

    @classmethod
    def of_secret(cls, secret: bytes) -> "AuditKey":
        """The key that belongs to a data folder's *secret*."""
        return cls(hmac.digest(secret, b"audit log", sha256))

    def chain(self, before: bytes, row: tuple[Any, ...]) -> bytes:
        """What binds a *row*, all but its last column, to the one *before* it.

        A column that holds what no entry ever did, for somebody changed it, gives some other value.
        """
        return hmac.digest(self._key, before + _encode(row).encode(), sha256)


class AuditChain:
    """The log as one transaction sees it: read once, and then written on from memory."""

    def __init__(self, connection: Connection, key: AuditKey) -> None:
        self._connection = connection
        self._key = key
        self._head: AuditHead | None = None

    def add(self, entry: AuditEntry) -> None:
        """Write the next entry, with a MAC over it and the one before it."""
        head = self._head or self._lock()
        number = head.number + 1
        row = (number, *_columns(entry))
        chain = self._key.chain(head.chain, row)
        _ADD.send(self._connection, dict(zip(_NAMES, (*row, chain), strict=True)))
        self._head = AuditHead(number, chain)

    def _lock(self) -> AuditHead:
        """The end of the log, with nobody else writing to it until this transaction is over.

        SQLite's transactions that may write are alone from their start.
        """
        lock(self._connection, b"audit")
        return last_entry(self._connection)


def last_entry(connection: Connection) -> AuditHead:
    """The end of the log."""
    rows = _LAST.rows(connection, {})
    return AuditHead(rows[0].number, bytes(rows[0].chain)) if rows else BEGINNING


def list_entries(connection: Connection, since: datetime | None, limit: int) -> list[WrittenEntry]:
    """The newest entries, *limit* at most and none before *since*, the newest last.

    Raises:
        StoreUnavailable: One was changed into something that is no entry.

    """
    query = select(_audit).order_by(_audit.c.number.desc()).limit(limit)
    if since is not None:
        query = query.where(_audit.c.at >= to_seconds(since))
    return [_written(row) for row in reversed(connection.execute(query).all())]


_NAMES = [column.name for column in _audit.c]


def _columns(entry: AuditEntry) -> tuple[int | str, ...]:
    """The row of an entry, without its place in the log."""
    texts = (entry.actor, entry.action, entry.target, entry.outcome, entry.rule, entry.detail)
    return (to_seconds(entry.at), *map(_storable, texts))


def _storable(text: str) -> str:
    """The text, shortened, and without what one database or another cannot keep."""
    # Nothing is ever deleted from the log, and what it says of a device the device may have written.
    text = cut(text)
    if text.isascii() and "\0" not in text:
        return text
    return text.replace("\0", "\ufffd").encode("utf-8", "replace").decode()


def _written(row: Any) -> WrittenEntry:
    _, at, *texts, chain = row
    if not all(isinstance(text, str) for text in texts) or not isinstance(chain, bytes):
        raise StoreUnavailable(f"entry {row.number} of the audit log was changed; see: log verify")
    try:
        return WrittenEntry(row.number, AuditEntry(to_time(at), *texts), chain)
    except (TypeError, ValueError, OverflowError, OSError) as error:
        raise StoreUnavailable(
            f"entry {row.number} of the audit log was changed: {error}; see: log verify"
        ) from error
