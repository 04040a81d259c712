"""The store: tables, repository and migrations, the only SQL in the program."""

from app.store.engine import DatabaseUrl, database_name, postgresql_url, sqlite_url
from app.store.keys import StoreKeys
from app.store.listing import Wanted
from app.store.repository import SqlRepository
from app.store.store import ALONE, Sharing, SqlStore, open_store

__all__ = [
    "ALONE",
    "DatabaseUrl",
    "Sharing",
    "SqlRepository",
    "SqlStore",
    "StoreKeys",
    "Wanted",
    "database_name",
    "open_store",
    "postgresql_url",
    "sqlite_url",
]
