"""The store: tables, repository and migrations, the only SQL in the program."""

from app.store.audit import AuditKey
from app.store.engine import DatabaseUrl, database_name, postgresql_url, sqlite_url
from app.store.repository import SqlRepository
from app.store.store import ALONE, Sharing, SqlStore, open_store

__all__ = [
    "ALONE",
    "AuditKey",
    "DatabaseUrl",
    "Sharing",
    "SqlRepository",
    "SqlStore",
    "database_name",
    "open_store",
    "postgresql_url",
    "sqlite_url",
]
