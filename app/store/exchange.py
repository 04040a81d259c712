"""Rows as lines of JSON, alike for both kinds of database: what a backup keeps of a table.

A line is an array in the order of the table's columns. Octets are base64, numbers have 64 bits.
"""

import json
from base64 import b64decode, b64encode
from binascii import Error as NotBase64
from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from typing import Any

from sqlalchemy import Column, LargeBinary, Text

_MOST = 2**63
# Made once: making one costs as much as using it.
_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


class Kind(StrEnum):
    """What a column holds, if it is not NULL."""

    TEXT = "text"
    NUMBER = "number"
    OCTETS = "octets"


class BadRow(Exception):
    """A row holds what its columns cannot; the text says which column."""


def kind_of(column: Column[Any]) -> Kind:
    """What *column* holds."""
    match column.type:
        case Text():
            return Kind.TEXT
        case LargeBinary():
            return Kind.OCTETS
    return Kind.NUMBER


def encode_row(row: Sequence[object], columns: Mapping[str, Kind]) -> bytes:
    """The line of a *row*, its end included.

    Raises:
        BadRow: SQLite keeps anything in any column, and somebody put something else into one.

    """
    values: list[object] = []
    for value, (name, kind) in zip(row, columns.items(), strict=True):
        if value is None:
            values.append(None)
            continue
        if not isinstance(value, _TYPES[kind]):
            raise BadRow(f"{name} holds what is no {kind}")
        values.append(b64encode(value).decode() if isinstance(value, bytes) else value)
    return _encode(values).encode() + b"\n"


def decode_row(line: bytes, columns: Mapping[str, Kind]) -> list[Any]:
    """The row of a *line*.

    Raises:
        BadRow: It is no line of such a table.

    """
    try:
        values = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise BadRow("it is not JSON") from error
    if not isinstance(values, list) or len(values) != len(columns):
        raise BadRow(f"it has not the {len(columns)} columns of its table")
    return [
        None if value is None else _DECODERS[kind](value, name)
        for value, (name, kind) in zip(values, columns.items(), strict=True)
    ]


def _text(value: object, name: str) -> str:
    if not isinstance(value, str) or any("\ud800" <= one <= "\udfff" for one in value):
        raise BadRow(f"{name} is no text")
    return value


def _number(value: object, name: str) -> int:
    if type(value) is not int or not -_MOST <= value < _MOST:
        raise BadRow(f"{name} is no number")
    return value


def _octets(value: object, name: str) -> bytes:
    try:
        return b64decode(_text(value, name), validate=True)
    except (NotBase64, ValueError) as error:
        raise BadRow(f"{name} is not base64") from error


_TYPES: dict[Kind, type] = {Kind.TEXT: str, Kind.NUMBER: int, Kind.OCTETS: bytes}
_DECODERS: dict[Kind, Callable[[object, str], Any]] = {
    Kind.TEXT: _text,
    Kind.NUMBER: _number,
    Kind.OCTETS: _octets,
}
