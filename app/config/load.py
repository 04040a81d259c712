"""Reading the settings: the file, the environment over it, and every problem with its place."""

import os
import re
import tomllib
from collections.abc import Iterator, Mapping
from operator import itemgetter
from pathlib import Path
from typing import Any, TypeAlias

from pydantic import ValidationError

from app.config.checks import FromEnvironment
from app.config.config import Config
from app.config.contradictions import check_contradictions
from app.config.lines import KeyPath, find_lines, line_of
from app.config.problems import words_for
from app.config.references import check_references

ENVIRONMENT_PREFIX = "SCEPBOX_"
_LISTS = frozenset(
    {"listen", "eku", "command", "key_types", "key_usage", "sid", "allowed", "required", "san"}
)
_LISTS |= {"dns", "email", "uri", "ip", "upn"}
_SECRETS = frozenset({"secret", "client_secret"})
_URL, _PASSWORD_FILE = ("database", "url"), ("database", "password_file")
# The line of the file, 0 for none, and what is said.
_Problem: TypeAlias = tuple[int, str]
_line = itemgetter(0)
_TOML_LINE = re.compile(r"\(at line (\d+), (column \d+)\)")


class ConfigError(Exception):
    """The settings are wrong; the text says where and how, a line for each problem."""


def load_config(path: Path | None, environment: Mapping[str, str] = os.environ) -> Config:
    """Read *path* and lay the environment over it.

    Raises:
        ConfigError: The file cannot be read, or holds what is not a setting.

    """
    return parse_config(read_settings(path), path, environment)


def read_settings(path: Path | None) -> str:
    """The text of the settings file; empty where there is none.

    Raises:
        ConfigError: It cannot be read.

    """
    return "" if path is None else _read(path)


def parse_config(text: str, path: Path | None, environment: Mapping[str, str] = os.environ) -> Config:
    """Read the *text* of a settings file and lay the environment over it; *path* is for the messages.

    Raises:
        ConfigError: It holds what is not a setting.

    """
    settings = _parse(text, path)
    source = _Source(path, text)
    problems = list(source.overlay(settings, environment))
    try:
        config = Config.model_validate(settings)
    except ValidationError as error:
        for one in error.errors(include_url=False):
            place = _place(one["loc"], settings)
            if one["type"] == "missing":
                place = (*place, one["loc"][-1])
            elif one["type"].startswith("union_tag"):
                place = (*place, "type")
            problems.append(source.tell(place, words_for(dict(one), place, Config)))
    for check in (check_references, check_contradictions):
        problems += [source.tell(place, what) for place, what in check(settings)]
    if problems:
        # As they stand in the file, and those of the environment first.
        raise ConfigError("\n".join(text for _, text in sorted(dict.fromkeys(problems), key=_line)))
    return config


def _read(path: Path) -> str:
    try:
        # Windows' editor puts a mark in front.
        return path.read_text("utf-8-sig")
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise ConfigError(f"{path}:{line}: cannot be read: it is not UTF-8 text; save it as UTF-8") from error


def _parse(text: str, path: Path | None) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        line, column = text.rstrip("\n").count("\n") + 1, "at the end"
        if place := _TOML_LINE.search(str(error)):
            line, column = int(place[1]), f"at {place[2]}"
        what = str(error).split("(at ")[0].strip()
        raise ConfigError(f"{path}:{line}: not TOML: {what} {column}; see https://toml.io") from error
    except (RecursionError, ValueError) as error:
        # Python has bounds for the depth of nesting and for the digits of a number.
        raise ConfigError(f"{path}: not TOML that can be read: {error}") from error


class _Source:
    """Where each setting was given: on a line of the file, or in a variable."""

    def __init__(self, path: Path | None, text: str) -> None:
        self._path = path
        self._text = text
        self._lines: Mapping[KeyPath, int] = {}
        self._variables: dict[KeyPath, str] = {}

    def overlay(self, settings: dict[str, Any], environment: Mapping[str, str]) -> Iterator[_Problem]:
        """Lay the environment over *settings*; what is no setting there is told.

        ``SCEPBOX_LIMITS__CONNECTIONS=50`` is ``[limits] connections = 50``; lists by comma.
        """
        for name, value in environment.items():
            if not name.startswith(ENVIRONMENT_PREFIX):
                continue
            parts = name.removeprefix(ENVIRONMENT_PREFIX).lower().split("__")
            if len(parts) < 2:
                # Kubernetes sets SCEPBOX_PORT and the like by itself, so that others are left alone.
                if parts[0].split("_")[0] in Config.model_fields:
                    yield 0, f"{name}: is no setting: between section and key belong two underscores"
                continue
            place, path = settings, list[str]()
            for part in parts[:-1]:
                written = _as_written(part, place)
                inner = place.setdefault(written, {})
                if not isinstance(inner, dict):
                    yield 0, f"{name}: {part} is a value and no section"
                    break
                place = inner
                path.append(written)
            else:
                place[parts[-1]] = _value(parts[-1], value)
                self._variables[(*path, parts[-1])] = name
        self._forget_password(settings.get("database"))

    def _forget_password(self, database: object) -> None:
        """Leave out the file's, which is of its own database, where a variable names an SQLite one."""
        if not isinstance(database, dict) or _PASSWORD_FILE in self._variables:
            return
        if _URL in self._variables and not database["url"].startswith("postgresql"):
            database.pop(_PASSWORD_FILE[-1], None)

    def tell(self, place: KeyPath, what: str) -> _Problem:
        """A problem at *place*, in one line of text."""
        where = ".".join(map(str, place))
        for length in range(len(place), 0, -1):
            if variable := self._variables.get(place[:length]):
                return 0, f"{variable}: {where}: {what}"
        self._lines = self._lines or find_lines(self._text)
        for path, variable in self._variables.items():
            # A section that is there for the sake of a variable alone.
            if path[: len(place)] == place and place not in self._lines:
                return 0, f"{variable}: {where}: {what}"
        line = line_of(self._lines, place) or 0
        return line, f"{self._path}{f':{line}' if line else ''}: {where}: {what}"


def _as_written(part: str, place: Mapping[str, Any]) -> str:
    """The name in the file that a variable means: ``CORP_MDM`` may be ``Corp-MDM`` there."""
    same = (name for name in place if name.lower().replace("-", "_") == part.replace("-", "_"))
    return part if part in place else next(same, part)


def _value(key: str, value: str) -> object:
    if key in _SECRETS:
        return FromEnvironment(value)
    return value.split(",") if key in _LISTS else value


def _place(loc: tuple[int | str, ...], settings: Mapping[str, Any]) -> KeyPath:
    """The path of a mistake in the settings as they were given, without pydantic's own words in it."""
    path: list[int | str] = []
    node: Any = settings
    for part in loc:
        of_dict = isinstance(node, dict) and part in node
        if of_dict or (isinstance(node, list) and isinstance(part, int) and part < len(node)):
            node = node[part]
            path.append(part)
    return tuple(path)
