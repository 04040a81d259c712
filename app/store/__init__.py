"""The store: tables, repository and migrations, the only SQL in the program."""

from app.store.repository import SqlRepository
from app.store.store import ALONE, Sharing, SqlStore, open_store

__all__ = ["ALONE", "Sharing", "SqlRepository", "SqlStore", "open_store"]
