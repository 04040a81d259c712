"""The file of an SQLite database: opening never makes it, and it has to stay the one that was opened.

SQLite goes on with a file that was removed, and whatever it commits is gone with it.
"""

import os
import sqlite3
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Dialect, Engine
from sqlalchemy.pool import ConnectionPoolEntry

MISSING = "the database file is missing"
LOST = "the database file was removed or replaced while it was in use"


class DatabaseFile:
    """What an engine's connections are made to. Which file it is, is noted by the first of a process."""

    def __init__(self, path: Path) -> None:
        self._path = str(path.absolute())
        self._address = f"{path.absolute().as_uri()}?mode=rw"
        # Device and number; None: not opened yet.
        self._known: tuple[int, int] | None = None

    def connect(
        self, dialect: Dialect, record: ConnectionPoolEntry, arguments: Sequence[Any], named: dict[str, Any]
    ) -> sqlite3.Connection:
        """Open the file.

        Raises:
            sqlite3.OperationalError: It is missing, another than before, or cannot be opened.

        """
        self._known = self._known or self._look()
        self.check()
        connection: sqlite3.Connection = sqlite3.connect(self._address, **{**named, "uri": True})
        return connection

    def check(self, _: Connection | None = None) -> None:
        """See that the file is still there under its name.

        Raises:
            sqlite3.OperationalError: It is not.

        """
        if self._known is None:
            raise sqlite3.OperationalError(MISSING)
        if self._look() != self._known:
            raise sqlite3.OperationalError(LOST)

    def forget(self, _: Engine) -> None:
        """Take whichever file there is for the right one the next time: none is open any more."""
        self._known = None

    def _look(self) -> tuple[int, int] | None:
        try:
            found = os.stat(self._path)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise sqlite3.OperationalError(f"unable to open database file: {error.strerror}") from error
        return found.st_dev, found.st_ino


def make_file(path: Path) -> None:
    """Make an empty database that its owner alone may read; one that is there stays as it is.

    Raises:
        OSError: It cannot be made.

    """
    with suppress(FileExistsError):
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
