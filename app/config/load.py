"""Reading the settings: the file, the environment over it, and every problem in words."""

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from app.config.checks import FromEnvironment
from app.config.config import Config
from app.config.validator import VALIDATOR_TYPES

ENVIRONMENT_PREFIX = "SCEPBOX_"
_LISTS = frozenset({"listen", "eku", "command"})
_SECRETS = frozenset({"secret", "client_secret"})


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
    try:
        return Config.model_validate(settings)
    except ValidationError as error:
        raise ConfigError("\n".join(f"{source}: {_problem(dict(one))}" for one in error.errors())) from None


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
            place = place.setdefault(_as_written(part, place), {})
            if not isinstance(place, dict):
                raise ConfigError(f"{name}: {part} is a value and no section")
        place[parts[-1]] = _value(parts[-1], value)


def _as_written(part: str, place: Mapping[str, Any]) -> str:
    """The name in the file that a variable means: ``CORP_MDM`` may be ``Corp-MDM`` there."""
    same = (name for name in place if name.lower().replace("-", "_") == part.replace("-", "_"))
    return part if part in place else next(same, part)


def _value(key: str, value: str) -> object:
    if key in _SECRETS:
        return FromEnvironment(value)
    return value.split(",") if key in _LISTS else value


def _problem(error: Mapping[str, Any]) -> str:
    place = [str(part) for part in error["loc"] if part != "[key]"]
    if place[0] == "validator" and len(place) > 2 and place[2] in VALIDATOR_TYPES:
        # Which of the types it is read as is no part of the file.
        del place[2]
    where = ".".join(place)
    message = str(error["msg"]).removeprefix("Value error, ")
    match error["type"]:
        case "extra_forbidden":
            message = "is not a setting of this version"
        case "union_tag_not_found" | "union_tag_invalid":
            message = f"type has to be one of {', '.join(VALIDATOR_TYPES)}"
    return f"{where}: {message}"
