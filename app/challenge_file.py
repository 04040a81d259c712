"""A file of challenge passwords to make (CSV): read and checked whole, every bad line told at once."""

import csv
import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from difflib import get_close_matches
from typing import TypeVar

from app.challenge_terms import (
    DEFAULT_SPAN,
    DEFAULT_USES,
    SHORT,
    TAKES_NONE,
    Terms,
    end_of,
    find_doubt,
    is_short,
    read_name,
    read_secret_text,
    read_span,
    read_subject,
    read_uses,
)
from ca.issuing.sid import check_sid
from ca.profiles import DEFAULT, Profile

T = TypeVar("T")
COLUMNS = ("profile", "subject", "san", "uses", "valid", "sid", "note", "secret")
MOST_ROWS = 100_000
MOST_OCTETS = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Row:
    """What one row of the file asks for, and the number of the line where it begins."""

    line: int
    terms: Terms


class ChallengeFile:
    """Reads the rows; *problems* collects what is wrong with them, *warnings* what is odd, by line."""

    def __init__(self, profiles: Mapping[str, Profile], now: datetime) -> None:
        self._profiles = profiles
        self._now = now
        self._secrets: dict[str, int] = {}
        self.problems: list[tuple[int, str]] = []
        self.warnings: list[tuple[int, str]] = []

    def read(self, octets: bytes, on_row: Callable[[], object] = lambda: None) -> list[Row]:
        """The rows of the file that are right; *on_row* is called for each that was looked at."""
        try:
            # With or without the mark that Windows puts in front.
            text = octets.decode("utf-8-sig")
        except UnicodeDecodeError:
            self._object(1, "not UTF-8 text; save it as CSV UTF-8")
            return []
        found = []
        try:
            for row in self._rows(text):
                found += [row] if row else []
                on_row()
        except csv.Error as error:
            self._object(text.count("\n") + 1, f"not CSV: {error}")
        return found

    def _object(self, line: int, what: str) -> None:
        self.problems.append((line, what))

    def _rows(self, text: str) -> Iterator[Row | None]:
        head = text.partition("\n")[0]
        # What some spreadsheets call comma-separated where the comma is in numbers.
        delimiter = ";" if ";" in head and "," not in head else ","
        # Not by splitlines, for which a line ends at more characters than a row does.
        lines = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
        columns = self._columns(next(lines, []))
        if columns is None:
            return
        begins, count = lines.line_num + 1, 0
        for fields in lines:
            line, begins = begins, lines.line_num + 1
            if not any(map(str.strip, fields)):
                continue
            count += 1
            if count > MOST_ROWS:
                self._object(line, f"more than {MOST_ROWS} rows; make it several files")
                return
            yield self._row(line, columns, fields)

    def _columns(self, head: Sequence[str]) -> list[str] | None:
        columns = [one.strip().lower() for one in head]
        for name in columns:
            if name not in COLUMNS:
                near = get_close_matches(name, COLUMNS, 1)
                hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(COLUMNS)}"
                self._object(1, f"{name!r} is no column; {hint}")
            elif name != "san" and columns.count(name) > 1:
                self._object(1, f"the column {name} is there {columns.count(name)} times")
        if not columns:
            self._object(1, f"no columns; the first line names some of {', '.join(COLUMNS)}")
        return None if self.problems else columns

    def _row(self, line: int, columns: Sequence[str], fields: Sequence[str]) -> Row | None:
        if len(fields) != len(columns):
            # Not looked into: what stands in the wrong column may be a secret. And what a short row has
            # lost may be the names that its password was to be bound to.
            many, few = "put what has a comma in it in quotes", "an empty field has its comma too"
            hint = many if len(fields) > len(columns) else few
            what = f"{len(fields)} fields for {len(columns)} columns; {hint}"
            self._object(line, what)
            return None
        before = len(self.problems)
        cells = dict.fromkeys(COLUMNS, "")
        for name, field in zip(columns, fields, strict=False):
            # Every space of a secret counts.
            cells[name] = field if name == "secret" else field.strip()
        sans = [field for name, field in zip(columns, fields, strict=False) if name == "san"]
        terms = self._terms(line, cells, [one.strip() for field in sans for one in field.split("|")])
        return Row(line, terms) if len(self.problems) == before else None

    def _terms(self, line: int, cells: dict[str, str], sans: Sequence[str]) -> Terms:
        def read(name: str, reader: Callable[[str], T], text: str, otherwise: T) -> T:
            try:
                return reader(text) if text else otherwise
            except ValueError as error:
                # Where a comma moved all to the next column, this may be a secret.
                what = str(error).replace(repr(text), "this") if cells["secret"] else str(error)
                self._object(line, f"{name}: {what}")
                return otherwise

        self._check_secret(line, cells["secret"])
        if is_short(cells["secret"]):
            self.warnings.append((line, f"secret: {SHORT}"))
        if any(one and ":" not in one for one in sans):
            self.warnings.append((line, "san: a name without a kind is taken for a host name, dns:"))
        if not cells["note"].isprintable():
            self._object(line, "note: not one line of text")
        profile = cells["profile"] or DEFAULT
        if profile not in self._profiles:
            self._object(line, f"there is no profile {profile!r} in the settings")
        elif not self._profiles[profile].challenge_required:
            self._object(line, f"profile {profile} {TAKES_NONE}")
        subject = read("subject", read_subject, cells["subject"], None)
        if subject and (known := self._profiles.get(profile)) and (doubt := find_doubt(subject, known)):
            self.warnings.append((line, f"subject: {doubt}"))
        span = read("valid", read_span, cells["valid"] or DEFAULT_SPAN, None)
        if span is not None:
            read("valid", lambda _: end_of(self._now, span), cells["valid"], self._now)
        return Terms(
            profile=profile,
            uses=read("uses", read_uses, cells["uses"] or DEFAULT_USES, None),
            span=span,
            subject=subject,
            names=tuple(read("san", read_name, one, "") for one in sans if one) or None,
            sid=read("sid", check_sid, cells["sid"], None),
            note=cells["note"],
            secret=read("secret", read_secret_text, cells["secret"], ""),
        )

    def _check_secret(self, line: int, secret: str) -> None:
        first = self._secrets.setdefault(secret, line) if secret else line
        if first != line:
            self._object(line, f"secret: the same as in line {first}")
