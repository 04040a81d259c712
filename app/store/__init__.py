"""The store: tables, repository and migrations, the only SQL in the program."""

from app.store.repository import SqlRepository
from app.store.store import SqlStore, open_store

__all__ = ["SqlRepository", "SqlStore", "open_store"]
