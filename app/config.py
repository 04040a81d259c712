"""The settings: one TOML file, each key also as ``SCEPBOX_SECTION__KEY``, all problems told at once."""

import os
import re
import tomllib
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, field_validator

from ca.algorithms.levels import CryptoLevel
from ca.asn1 import writer
from ca.policy.queue import Queue
from ca.profiles import DEFAULT, Profile
from ca.x509 import oids

MOST_WORKERS = 64
ENVIRONMENT_PREFIX = "SCEPBOX_"
_ADDRESS = re.compile(r"(?P<host>\S+):(?P<port>[0-9]{1,5})")
_PROFILE_NAME = r"^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$"


class ConfigError(Exception):
    """The settings are wrong; the text says where and how, a line for each problem."""


def check_address(text: str) -> str:
    """Return the address to listen on as it is.

    Raises:
        ValueError: It is not HOST:PORT.

    """
    match = _ADDRESS.fullmatch(text)
    if match is None or int(match["port"]) > 65535:
        raise ValueError(f"{text!r} is not HOST:PORT, such as 0.0.0.0:8080")
    return text


def check_url(text: str) -> str:
    """Return the server's address for others as it is: printable ASCII, as it goes into certificates.

    Raises:
        ValueError: It is not one of HTTP.

    """
    if not re.fullmatch(r"https?://[!-~]+", text) or "?" in text or "#" in text:
        raise ValueError(f"{text!r} is not an address such as https://scep.example.org")
    return text


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ServerSection(_Section):
    """Where the server listens; *base_url* is how devices reach it, where that is another address."""

    # Devices on the LAN are what it is for, so it listens on every address.
    listen: Annotated[list[Annotated[str, AfterValidator(check_address)]], Field(min_length=1)] = [
        "0.0.0.0:8080"
    ]
    base_url: Annotated[str, AfterValidator(check_url)] | None = None
    # 0: as many as the machine is good for.
    workers: Annotated[int, Field(ge=0, le=MOST_WORKERS)] = 0


class DatabaseSection(_Section):
    """The database: empty means SQLite in the data folder."""

    url: str = ""

    @field_validator("url")
    @classmethod
    def _parses(cls, url: str) -> str:
        if url and (
            not url.startswith("sqlite:///") or url.startswith(("sqlite:///:memory:", "sqlite:///?"))
        ):
            raise ValueError("this version keeps its data in an SQLite file: sqlite:////path/to/scepbox.db")
        return url


class CaSection(_Section):
    """The CA's own affairs.

    *distribution_url* is where CRL, OCSP and CA certificate are fetched, where that is not the
    server's base_url.
    """

    # A new CRL is made at half of it, and at each revocation.
    crl_days: Annotated[int, Field(ge=1, le=365)] = 7
    distribution_url: Annotated[str, AfterValidator(check_url)] | None = None


class CryptoSection(_Section):
    """The level that profiles have unless they say otherwise."""

    level: CryptoLevel = CryptoLevel.COMPATIBLE


class LimitsSection(_Section):
    """What strangers may take: octets, connections, seconds, and places among what waits for approval."""

    body_octets: Annotated[int, Field(ge=16_384, le=2_097_152)] = 262_144
    header_octets: Annotated[int, Field(ge=16_384, le=1_048_576)] = 98_304
    connections: Annotated[int, Field(ge=10, le=60_000)] = 1000
    request_seconds: Annotated[int, Field(ge=1, le=600)] = 30
    idle_seconds: Annotated[int, Field(ge=1, le=3600)] = 60
    pending_per_profile: Annotated[int, Field(ge=1, le=100_000)] = 1000
    pending_per_peer: Annotated[int, Field(ge=1, le=100_000)] = 100
    # How long a request waits, and how long after that its refusal is remembered.
    pending_days: Annotated[int, Field(ge=1, le=3650)] = 7
    refused_days: Annotated[int, Field(ge=1, le=3650)] = 7


class LogSection(_Section):
    """How much is logged."""

    level: Literal["debug", "info", "warning", "error"] = "info"


class ProfileSection(_Section):
    """One ``[profiles.NAME]``; what is not said is as in ``[profiles.default]``."""

    challenge: Literal["required", "none"] = "required"
    approval: Literal["automatic", "manual"] = "automatic"
    validity_days: Annotated[int, Field(ge=1, le=36_500)] = 365
    renewal_days: Annotated[int, Field(ge=0, le=36_500)] = 30
    eku: Annotated[list[str], Field(min_length=1)] = ["clientAuth"]
    chain_in_reply: bool = False
    empty_content: bool = True
    queries: bool = True
    crypto: CryptoLevel | None = None

    @field_validator("eku")
    @classmethod
    def _known(cls, names: list[str]) -> list[str]:
        for name in names:
            try:
                writer.oid(oids.KEY_PURPOSES.get(name, name))
            except ValueError:
                known = ", ".join(oids.KEY_PURPOSES)
                raise ValueError(f"{name!r} is neither a dotted OID nor one of {known}") from None
            if oids.KEY_PURPOSES.get(name, name) in (oids.OCSP_SIGNING, oids.ANY_EXTENDED_KEY_USAGE):
                raise ValueError(f"{name!r} is never given to a device")
        return names


class Config(_Section):
    """All settings."""

    server: ServerSection = ServerSection()
    database: DatabaseSection = DatabaseSection()
    ca: CaSection = CaSection()
    crypto: CryptoSection = CryptoSection()
    limits: LimitsSection = LimitsSection()
    log: LogSection = LogSection()
    profiles: dict[Annotated[str, Field(pattern=_PROFILE_NAME)], ProfileSection] = {}

    def build_profiles(self) -> dict[str, Profile]:
        """The profiles by name, ``default`` always among them."""
        return {name: self._profile(name) for name in (DEFAULT, *self.profiles)}

    def build_queue(self) -> Queue:
        """What may wait for approval."""
        return Queue(
            per_profile=self.limits.pending_per_profile,
            per_peer=self.limits.pending_per_peer,
            patience=timedelta(days=self.limits.pending_days),
            memory=timedelta(days=self.limits.refused_days),
        )

    def _profile(self, name: str) -> Profile:
        given: dict[str, Any] = {}
        for section in (self.profiles.get(DEFAULT), self.profiles.get(name)):
            if section is not None:
                given |= section.model_dump(exclude_unset=True)
        settled = ProfileSection(**given)
        return Profile(
            name=name,
            challenge_required=settled.challenge == "required",
            manual_approval=settled.approval == "manual",
            validity_days=settled.validity_days,
            renewal_days=settled.renewal_days,
            key_purposes=tuple(oids.KEY_PURPOSES.get(purpose, purpose) for purpose in settled.eku),
            chain_in_reply=settled.chain_in_reply,
            empty_content=settled.empty_content,
            queries=settled.queries,
            crypto=settled.crypto or self.crypto.level,
        )


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
            place = place.setdefault(part, {})
            if not isinstance(place, dict):
                raise ConfigError(f"{name}: {part} is a value and no section")
        lists = parts[-1] in ("listen", "eku")
        place[parts[-1]] = value.split(",") if lists else value


def _problem(error: Mapping[str, Any]) -> str:
    where = ".".join(str(part) for part in error["loc"] if part != "[key]")
    message = str(error["msg"]).removeprefix("Value error, ")
    if error["type"] == "extra_forbidden":
        message = "is not a setting of this version"
    return f"{where}: {message}"
