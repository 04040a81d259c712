"""Mistakes in the settings in words: what is wrong with a value, and which name was meant.

Nothing is read or located here. No value is repeated whose key may hold a secret.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from typing import Any, get_args

from pydantic import BaseModel

from app.config.lines import KeyPath
from app.config.validator import VALIDATOR_TYPES

# What stands under such a key is not to be read in a terminal or a log.
_SECRET = re.compile(r"secret|password|passphrase|token|key|pin|url|header|cookie", re.IGNORECASE)
_MOST_SHOWN = 60
_BOUNDS = {
    "greater_than_equal": "{ge} or more",
    "less_than_equal": "{le} or less",
    "greater_than": "more than {gt}",
    "less_than": "less than {lt}",
}


def words_for(error: Mapping[str, Any], path: KeyPath, model: type[BaseModel]) -> str:
    """One mistake that pydantic found at *path* of *model*: what is wrong, and a hint where there is one."""
    kind, context = str(error["type"]), error.get("ctx", {})
    given = _shown(path, error.get("input"))
    if kind == "extra_forbidden":
        return f"is not a setting of this version{_meant(path, model)}"
    if kind == "missing":
        return "has to be given"
    if kind == "union_tag_not_found":
        return f"has to be given, as {_either(VALIDATOR_TYPES)}"
    if kind == "union_tag_invalid":
        given = _shown(path, context["tag"])
        return f"has to be {_either(VALIDATOR_TYPES)}{given}{nearest(str(context['tag']), VALIDATOR_TYPES)}"
    if kind in ("literal_error", "enum"):
        return _one_of(str(context["expected"]), error.get("input"), given)
    if kind in _BOUNDS:
        return f"has to be {_BOUNDS[kind].format_map(context)}{given}"
    if kind.startswith("int_"):
        return f"has to be a whole number{given}"
    if kind.startswith("float_"):
        return f"has to be a number{given}"
    if kind.startswith("bool_"):
        return f"has to be true or false{given}"
    if kind.startswith("string_type"):
        return f"has to be text in quotes{given}"
    if kind in ("list_type", "tuple_type", "set_type", "frozen_set_type"):
        return f'has to be a list, such as ["one", "two"]{given}'
    if kind in ("model_type", "dict_type", "model_attributes_type"):
        return f"has to be a section, such as [{_dotted(path)}]{given}"
    if kind == "too_short":
        return f"needs {context['min_length']} or more of them"
    if kind == "string_pattern_mismatch" and "[key]" in error["loc"]:
        return "is no name: letters, digits, - and _ are, up to 64 of them"
    return str(error["msg"]).removeprefix("Value error, ")


def nearest(name: str, known: Sequence[str]) -> str:
    """A hint at the one of *known* that may have been meant; empty where none is like it."""
    found = get_close_matches(name.lower(), known, 1, 0.6)
    return f"; did you mean {found[0]}?" if found else ""


def _shown(path: KeyPath, value: object) -> str:
    """``, not 'many'``: what is there instead; empty where it may be a secret, or is long."""
    text = repr(value)
    # A whole section may have secrets somewhere.
    if isinstance(value, dict | list) or len(text) > _MOST_SHOWN or _SECRET.search(_dotted(path)):
        return ""
    return f", not {'true' if value is True else 'false' if value is False else text}"


def _either(names: Sequence[str]) -> str:
    """In quotes, with ``or`` before the last."""
    quoted = [f'"{name}"' for name in names]
    return f"{', '.join(quoted[:-1])} or {quoted[-1]}"


def _one_of(expected: str, value: object, given: str) -> str:
    known = re.findall(r"'([^']*)'", expected)
    return (
        f"has to be {expected.replace(chr(39), chr(34))}{given}{nearest(str(value), known) if given else ''}"
    )


def _meant(path: KeyPath, model: type[BaseModel]) -> str:
    """The hint for an unknown key: one of its section, or the same in another section."""
    name, section = str(path[-1]), path[:-1]
    known = sorted({field for one in _models_at(model, section) for field in one.model_fields})
    if hint := nearest(name, known):
        return hint
    for place, one in _sections(model):
        if name in one.model_fields and place != section:
            return f"; it belongs in [{_dotted(place)}]"
    return f"; known {'sections' if not section else 'here'} are {', '.join(known)}" if known else ""


def _models_at(model: type[BaseModel], path: KeyPath) -> list[type[BaseModel]]:
    """What may stand at *path*: several where sections of different kinds can."""
    found = [model]
    for part in path:
        following: list[type[BaseModel]] = []
        for one in found:
            if isinstance(part, int):
                following.append(one)
            elif part in one.model_fields:
                following += _models_in(one.model_fields[part].annotation)
        # Below a table of named sections the name is passed over.
        found = following or found
    return found


def _sections(model: type[BaseModel]) -> Iterator[tuple[KeyPath, type[BaseModel]]]:
    for name, field in model.model_fields.items():
        for one in _models_in(field.annotation):
            yield (name,), one


def _models_in(annotation: object) -> list[type[BaseModel]]:
    """The models that a type has in it, in whatever order it wraps them."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [one for argument in get_args(annotation) for one in _models_in(argument)]


def _dotted(path: KeyPath) -> str:
    return ".".join(map(str, path))
