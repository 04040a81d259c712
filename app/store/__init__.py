"""The store: tables, repository and migrations, the only SQL in the program."""

from app.store.audit import AuditKey
from app.store.engine import DatabaseUrl, sqlite_url
from app.store.repository import SqlRepository
from app.store.store import ALONE, Sharing, SqlStore, open_store

__all__ = [
    "ALONE",
    "AuditKey",
    "DatabaseUrl",
    "Sharing",
    "SqlRepository",
    "SqlStore",
    "open_store",
    "sqlite_url",
]
