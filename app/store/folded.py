"""A part of a text, whatever the case of either, as far as the database knows letters."""

import re

from sqlalchemy import ColumnElement, func, literal

_SIGNS = re.compile("([/%_])")


def has_part(folded: ColumnElement[str], part: str) -> ColumnElement[bool]:
    """Whether *part* is in what the database has *folded* by ``lower``.

    It folds the part too: SQLite knows the letters of ASCII alone, PostgreSQL those of its locale, and Python
    would make of a part what is then in no name.
    """
    return folded.like(func.lower(literal("%" + _SIGNS.sub(r"/\1", part) + "%")), escape="/")
