"""How a test says what it proves, where its cases stand in a table and not in the decorator."""

import re
from collections.abc import Mapping

import pytest
from _pytest.mark.structures import ParameterSet

REQUIREMENT = re.compile(r"(?:R-[0-9.]+-[a-z]|RA-\d\d|N-\d{3}|[CHKLPSX]-\d\d)\b")


def cases(table: Mapping[str, object]) -> list[ParameterSet]:
    """Make a parameter of each value, named by its key, that proves the requirement the key begins with.

    ``{"N-055 no challenge": ...}`` proves N-055; a key without a number proves nothing by itself.
    """
    return [pytest.param(value, id=name, marks=_marks(name)) for name, value in table.items()]


def _marks(name: str) -> list[pytest.MarkDecorator]:
    found = REQUIREMENT.match(name)
    return [pytest.mark.proves(found[0])] if found else []
