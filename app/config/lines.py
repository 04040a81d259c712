"""On which line of a TOML file each of its keys stands; the values are tomllib's to read.

``tomllib`` keeps no lines. What is scanned here it has accepted already, so that nothing is checked: the
scanner only has to know where keys begin and values end. It says nothing where it loses its way.
"""

import re
import tomllib
from bisect import bisect_right
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import TypeAlias

KeyPath: TypeAlias = tuple[str | int, ...]

_BLANK = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_SPACE = re.compile(r"[ \t]*")
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
# The longer delimiters come first, and up to two more quotes may stand before the closing three.
_STRING = re.compile(
    r'"""(?:\\.|[^\\])*?"""(?:"{1,2})?(?!")'
    r"|'''.*?'''(?:'{1,2})?(?!')"
    r'|"(?:\\.|[^"\\\n])*"'
    r"|'[^'\n]*'",
    re.DOTALL,
)
# Numbers, dates and booleans: all up to what can only stand behind them.
_SCALAR = re.compile(r"[^,\]}#\n]*")


def find_lines(text: str) -> Mapping[KeyPath, int]:
    """The line, from 1, of each key and table of a TOML document that ``tomllib`` has read.

    Elements of arrays are there under their place: ``("server", "listen", 0)``.
    """
    scanner = _Scanner(text)
    # Lines are a help, and what was found until then is right.
    with suppress(LookupError, ValueError, RecursionError):
        scanner.scan()
    return scanner.lines


def line_of(lines: Mapping[KeyPath, int], path: KeyPath) -> int | None:
    """The line of what *path* names, or else of what it would stand in; None where neither is known."""
    for length in range(len(path), 0, -1):
        if path[:length] in lines:
            return lines[path[:length]]
    return None


class _Scanner:
    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._starts = [0, *(match.end() for match in re.finditer("\n", text))]
        # How many elements each array of tables has by now.
        self._counts: dict[KeyPath, int] = {}
        self.lines: dict[KeyPath, int] = {}

    def scan(self) -> None:
        table: KeyPath = ()
        while self._skip(_BLANK):
            start = self._at
            if self._take("[["):
                table = self._element(self._key())
                self._note(table, start)
                self._at += 2
            elif self._take("["):
                table = self._table(self._key())
                self._at += 1
            else:
                self._pair(table)

    def _pair(self, table: KeyPath) -> None:
        """A key, the sign and its value."""
        start = self._at
        key = self._key()
        for length in range(1, len(key) + 1):
            self._note((*table, *key[:length]), start)
        self._skip(_SPACE)
        self._at += 1
        self._skip(_SPACE)
        self._value((*table, *key))

    def _value(self, path: KeyPath) -> None:
        if string := _STRING.match(self._text, self._at):
            self._at = string.end()
        elif self._take("["):
            for place in self._until("]"):
                self._note((*path, place), self._at)
                self._value((*path, place))
        elif self._take("{"):
            for _ in self._until("}"):
                self._pair(path)
        else:
            self._skip(_SCALAR)

    def _until(self, end: str) -> Iterator[int]:
        """Stop at each element up to *end*, and say which it is."""
        place = 0
        while self._skip(_BLANK) and not self._take(end):
            start = self._at
            yield place
            place += 1
            self._skip(_BLANK)
            self._take(",")
            if self._at == start:
                raise ValueError("this is no element")

    def _key(self) -> tuple[str, ...]:
        """The parts of a dotted key, and the space around them."""
        parts: list[str] = []
        while True:
            self._skip(_SPACE)
            if quoted := _STRING.match(self._text, self._at):
                self._at = quoted.end()
                parts.append(tomllib.loads(f"key = {quoted[0]}")["key"])
            else:
                start = self._at
                self._skip(_BARE_KEY)
                parts.append(self._text[start : self._at])
            self._skip(_SPACE)
            if not self._take("."):
                return tuple(parts)

    def _table(self, key: tuple[str, ...]) -> KeyPath:
        """The path of ``[key]``, whose parts may name the last element of an array of tables."""
        path: KeyPath = ()
        for part in key:
            path = (*path, part)
            self._note(path, self._at)
            if path in self._counts:
                path = (*path, self._counts[path] - 1)
        return path

    def _element(self, key: tuple[str, ...]) -> KeyPath:
        """The path of the element that ``[[key]]`` begins."""
        array = (*self._table(key[:-1]), key[-1])
        self._note(array, self._at)
        self._counts[array] = self._counts.get(array, 0) + 1
        return (*array, self._counts[array] - 1)

    def _note(self, path: KeyPath, position: int) -> None:
        """Whatever is named several times stands where it was named first."""
        self.lines.setdefault(path, bisect_right(self._starts, position))

    def _take(self, text: str) -> bool:
        found = self._text.startswith(text, self._at)
        self._at += len(text) * found
        return found

    def _skip(self, pattern: re.Pattern[str]) -> bool:
        """Go past *pattern*, and say whether there is anything behind it."""
        if match := pattern.match(self._text, self._at):
            self._at = match.end()
        return self._at < len(self._text)
