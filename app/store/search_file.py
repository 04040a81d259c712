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
_SIZE = 3
# More of them narrow no further.
_MOST_TRIGRAMS = 30
# Behind the names, so that each of their letters begins a trigram: by that one or two letters are found.
_END = "\n\n"
# So many may be asked for at once.
_ALTERNATIVES = 200
# One or two letters that so many trigrams of certificates begin with are found sooner by looking at all.
_TOO_MANY = 100_000
# Behind every other character, by its octets too.
_LAST = "\U0010ffff"
_BUSY_SECONDS = 3.0
# Folded here alone: SQLite's own folding of what is not ASCII may change with its version.
_MAKE_TRIGRAMS = (
    "CREATE VIRTUAL TABLE names USING fts5"
    "(text, content='', detail=none, columnsize=0, tokenize='trigram case_sensitive 1')"
)
# What a file of another form has is of no use, and is made anew.
_FORM = 1
_MAKE = (
    "DROP TABLE IF EXISTS names",
    "DROP TABLE IF EXISTS reach",
    _MAKE_TRIGRAMS,
    "CREATE TABLE reach (number INTEGER NOT NULL, serial TEXT NOT NULL)",
    f"PRAGMA user_version = {_FORM}",
)
# All trigrams that there are.
_KNOW_TRIGRAMS = "CREATE VIRTUAL TABLE temp.known USING fts5vocab('main', 'names', 'row')"
_FIND_TRIGRAMS = "SELECT term, doc FROM known WHERE term >= ? AND term <= ?"


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
        folded = fold_case(part)
        if not part or "\0" in part or not can_search() or not self._path.exists():
            return None
        try:
            with closing(self._open()) as connection:
                # First: what comes to be in the index meanwhile is found twice rather than not at all.
                reach = _find_reach(connection)
                if reach is None:
                    return None
                find = _find_short if len(folded) < _SIZE else _find_long
                found = find(connection, folded, most)
                return Found(reach, *found) if found else None
        except sqlite3.Error:
            return None

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
        if not _is_of_form(connection):
            self.clear()

    @property
    def reach(self) -> Reach | None:
        """How far it reaches; None: nothing is in it."""
        return _find_reach(self._connection)

    def clear(self) -> None:
        """Take all out of it, or make it."""
        for statement in _MAKE:
            self._connection.execute(statement)

    def add(self, rows: Iterable[Named]) -> None:
        """Put the next rows into it, in the order of their numbers."""
        listed = list(rows)
        # A zero octet would be the end to SQLite.
        texts = ((number, fold_case(names).replace("\0", "\ufffd") + _END) for number, _, names in listed)
        self._connection.executemany("INSERT INTO names (rowid, text) VALUES (?, ?)", texts)
        self._connection.execute("DELETE FROM reach")
        self._connection.execute("INSERT INTO reach VALUES (?, ?)", listed[-1][:2])


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


def _is_of_form(connection: sqlite3.Connection) -> bool:
    return bool(connection.execute("PRAGMA user_version").fetchone() == (_FORM,))


def _find_reach(connection: sqlite3.Connection) -> Reach | None:
    if not _is_of_form(connection):
        return None
    found = connection.execute("SELECT number, serial FROM reach").fetchone()
    return Reach(*found) if found else None


def _find_long(connection: sqlite3.Connection, folded: str, most: int) -> tuple[list[int], int]:
    """The first rows that may have a part, and the last."""
    trigrams = [folded[at : at + _SIZE] for at in range(len(folded) - _SIZE + 1)]
    # Those side by side tell as much as all of them, and sooner, but where many have them.
    rows = _match(connection, " AND ", [*trigrams[:-1:_SIZE], trigrams[-1]], "ASC", most)
    if len(rows) < most:
        return rows, max(rows, default=0)
    some = list(dict.fromkeys(trigrams))[:_MOST_TRIGRAMS]
    last = _match(connection, " AND ", some, "DESC", 1)
    return _match(connection, " AND ", some, "ASC", most), max(last, default=0)


def _find_short(connection: sqlite3.Connection, folded: str, most: int) -> tuple[list[int], int] | None:
    """The same of a part of one or two letters: who has a trigram that begins so has it. None: too many."""
    connection.execute(_KNOW_TRIGRAMS)
    between = folded, folded + _LAST * (_SIZE - len(folded))
    trigrams: list[str] = []
    count = 0
    for term, certificates in connection.execute(_FIND_TRIGRAMS, between):
        trigrams.append(term)
        count += certificates
        if count > _TOO_MANY:
            return None
    rows: set[int] = set()
    last = 0
    for start in range(0, len(trigrams), _ALTERNATIVES):
        some = trigrams[start : start + _ALTERNATIVES]
        rows.update(_match(connection, " OR ", some, "ASC", most))
        last = max(last, *_match(connection, " OR ", some, "DESC", 1))
    return sorted(rows)[:most], last


def _match(
    connection: sqlite3.Connection, join: str, trigrams: list[str], order: str, most: int
) -> list[int]:
    """Up to *most* rows that have one or all of them, as *join* says."""
    terms = join.join('"' + one.replace('"', '""') + '"' for one in trigrams)
    query = f"SELECT rowid FROM names WHERE names MATCH ? ORDER BY rowid {order} LIMIT ?"  # noqa: S608 - ASC or DESC
    return [row for (row,) in connection.execute(query, (terms, most))]
