"""The index for searching of an SQLite database: trigrams of the names, in a file of its own beside it.

Apart, so that whoever adds to it is in the way of nobody who enrols. It is derived, and may be behind, be
missing or be lost: it only narrows down what is then looked at.
"""

import os
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TypeAlias

from ca.x509.name import fold_case

# Row number, serial number and all names of a certificate.
Named: TypeAlias = tuple[int, str, str]
SHORTEST = 3
# More of them narrow no further.
_MOST_TRIGRAMS = 30
_BUSY_SECONDS = 3.0
# Folded here alone: SQLite's own folding of what is not ASCII may change with its version.
_MAKE_TRIGRAMS = (
    "CREATE VIRTUAL TABLE names USING fts5"
    "(text, content='', detail=none, columnsize=0, tokenize='trigram case_sensitive 1')"
)
_MAKE = (_MAKE_TRIGRAMS, "CREATE TABLE reach (number INTEGER NOT NULL, serial TEXT NOT NULL)")


@dataclass(frozen=True, slots=True)
class Found:
    """What the index tells of a part of a name.

    *rows* are the first that hold it, all of them unless there are as many as were asked for; *last* is the
    last of all, 0 where there is none. The index knows none behind its *reach*.
    """

    reach: "Reach"
    rows: list[int]
    last: int = 0


@dataclass(frozen=True, slots=True)
class Reach:
    """The last certificate that is in the index: the number of its row, and its serial number.

    The serial number tells whether the index is of this database, and its rows have their numbers still.
    """

    number: int
    serial: str


class SearchFile:
    """The file at *path*, which need not be there."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def find(self, part: str, most: int) -> Found | None:
        """Up to *most* rows, of which all are that have *part* in a name. None: the index is of no use."""
        trigrams = _trigrams(part)
        if not trigrams or not can_search() or not self._path.exists():
            return None
        try:
            with closing(self._open()) as connection:
                # First: what comes to be in the index meanwhile is found twice rather than not at all.
                reach = _find_reach(connection)
                # Those side by side tell as much as all of them, and sooner, but where many have them.
                rows = _match(connection, _side_by_side(trigrams), "ASC", most)
                last = rows[-1:]
                if len(rows) == most:
                    rows = _match(connection, trigrams, "ASC", most)
                    last = _match(connection, trigrams, "DESC", 1)
        except sqlite3.Error:
            return None
        return Found(reach, rows, *last) if reach else None

    @contextmanager
    def adding(self) -> Iterator["Additions"]:
        """The index, to be added to by nobody else meanwhile; made where there is none.

        Raises:
            OSError, sqlite3.Error: It cannot be written. One that is damaged is gone the next time.

        """
        with suppress(FileExistsError):
            os.close(os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        try:
            with closing(self._open()) as connection:
                connection.execute("PRAGMA journal_mode=WAL")
                # What a failing power takes is added again.
                connection.execute("PRAGMA synchronous=NORMAL")
                connection.execute("BEGIN IMMEDIATE")
                yield Additions(connection)
                connection.execute("COMMIT")
        except sqlite3.OperationalError:
            raise
        except sqlite3.DatabaseError:
            self.remove()
            raise

    def damage(self) -> str | None:
        """What SQLite says is wrong with the file; None: nothing, or there is none that it could read."""
        if not can_search() or not self._path.exists():
            return None
        try:
            with closing(self._open()) as connection:
                (said,) = connection.execute("PRAGMA integrity_check(1)").fetchone()
        except sqlite3.Error as error:
            said = str(error)
        return None if said == "ok" else f"{self._path}: {said}"

    def remove(self) -> None:
        """Forget the index."""
        for end in ("", "-wal", "-shm"):
            # On Windows one that somebody reads stays.
            with suppress(OSError):
                self._path.with_name(self._path.name + end).unlink()

    def _open(self) -> sqlite3.Connection:
        # Looking for it does not make it.
        address = f"{self._path.absolute().as_uri()}?mode=rw"
        return sqlite3.connect(address, _BUSY_SECONDS, isolation_level=None, uri=True)


class Additions:
    """A transaction in which the index grows."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        if not _has_tables(connection):
            self._make()

    @property
    def reach(self) -> Reach | None:
        """How far it reaches; None: nothing is in it."""
        return _find_reach(self._connection)

    def clear(self) -> None:
        """Take all out of it."""
        for table in ("names", "reach"):
            self._connection.execute(f"DROP TABLE {table}")
        self._make()

    def add(self, rows: Iterable[Named]) -> None:
        """Put the next rows into it, in the order of their numbers."""
        listed = list(rows)
        # A zero octet would be the end to SQLite.
        texts = ((number, fold_case(names).replace("\0", "\ufffd")) for number, _, names in listed)
        self._connection.executemany("INSERT INTO names (rowid, text) VALUES (?, ?)", texts)
        self._connection.execute("DELETE FROM reach")
        self._connection.execute("INSERT INTO reach VALUES (?, ?)", listed[-1][:2])

    def _make(self) -> None:
        for statement in _MAKE:
            self._connection.execute(statement)


@cache
def can_search() -> bool:
    """Whether this SQLite can: it has trigrams since 3.34, if it was built with them.

    One whose ``lower`` knows more letters than those of ASCII would find more than the index has.
    """
    with closing(sqlite3.connect(":memory:")) as connection:
        try:
            connection.execute(_MAKE_TRIGRAMS)
            (found,) = connection.execute("SELECT lower('Ä') = 'Ä' FROM json_each('[1]')").fetchone()
        except sqlite3.Error:
            return False
    return bool(found)


def _has_tables(connection: sqlite3.Connection) -> bool:
    return bool(connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'reach'").fetchone())


def _find_reach(connection: sqlite3.Connection) -> Reach | None:
    found = connection.execute("SELECT number, serial FROM reach").fetchone()
    return Reach(*found) if found else None


def _trigrams(part: str) -> list[str]:
    """What the names of a certificate have all to hold; none: there is nothing that the index could tell."""
    folded = fold_case(part)
    return [] if "\0" in folded else [folded[at : at + SHORTEST] for at in range(len(folded) - SHORTEST + 1)]


def _side_by_side(trigrams: list[str]) -> list[str]:
    return [*trigrams[:-1:SHORTEST], trigrams[-1]]


def _match(connection: sqlite3.Connection, trigrams: list[str], order: str, most: int) -> list[int]:
    """Up to *most* rows that have them all."""
    quoted = (one.replace('"', '""') for one in list(dict.fromkeys(trigrams))[:_MOST_TRIGRAMS])
    terms = " AND ".join(f'"{one}"' for one in quoted)
    query = f"SELECT rowid FROM names WHERE names MATCH ? ORDER BY rowid {order} LIMIT ?"  # noqa: S608 - ASC or DESC
    return [row for (row,) in connection.execute(query, (terms, most))]
