"""Reading the settings: the file, the environment over it, and every problem in words."""

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from app.config.config import Config
from app.config.contradictions import check_contradictions

ENVIRONMENT_PREFIX = "SCEPBOX_"
_LISTS = frozenset({"listen", "eku", "key_types", "key_usage", "sid", "allowed", "required", "san"})
_LISTS |= {"dns", "email", "uri", "ip", "upn"}


class ConfigError(Exception):
    """The settings are wrong; the text says where and how, a line for each problem."""


def load_config(path: Path | None, environment: Mapping[str, str] = os.environ) -> Config:
    """Read *path* and lay the environment over it.

    Raises:
        ConfigError: The file cannot be read, or holds what is not a setting.

    """
    settings: dict[str, Any] = {}
    source = str(path) if path else "the environment"
    if path is not None:
        try:
            settings = tomllib.loads(path.read_text("utf-8"))
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"{path}: cannot be read: {error}") from error
        except tomllib.TOMLDecodeError as error:
            raise ConfigError(f"{path}: not TOML: {error}") from error
    _overlay(settings, environment)
    problems: list[str] = []
    try:
        config = Config.model_validate(settings)
    except ValidationError as error:
        problems += [_problem(dict(one)) for one in error.errors()]
    problems += [f"{'.'.join(place)}: {what}" for place, what in check_contradictions(settings)]
    if problems:
        raise ConfigError("\n".join(f"{source}: {one}" for one in problems))
    return config


def _overlay(settings: dict[str, Any], environment: Mapping[str, str]) -> None:
    """``SCEPBOX_LIMITS__CONNECTIONS=50`` is ``[limits] connections = 50``; lists by comma."""
    for name, value in environment.items():
        parts = name.removeprefix(ENVIRONMENT_PREFIX).lower().split("__")
        if not name.startswith(ENVIRONMENT_PREFIX):
            continue
        if len(parts) < 2:
            # Kubernetes sets SCEPBOX_PORT and the like by itself, so that others are left alone.
            if parts[0].split("_")[0] in Config.model_fields:
                raise ConfigError(f"{name} is no setting: between section and key belong two underscores")
            continue
        place = settings
        for part in parts[:-1]:
            place = place.setdefault(part, {})
            if not isinstance(place, dict):
                raise ConfigError(f"{name}: {part} is a value and no section")
        place[parts[-1]] = value.split(",") if parts[-1] in _LISTS else value


def _problem(error: Mapping[str, Any]) -> str:
    where = ".".join(str(part) for part in error["loc"] if part != "[key]")
    message = str(error["msg"]).removeprefix("Value error, ")
    if error["type"] == "extra_forbidden":
        message = "is not a setting of this version"
    return f"{where}: {message}"
