"""The settings: one TOML file, each key also as ``SCEPBOX_SECTION__KEY``, all problems told at once."""

from app.config.checks import OFF, check_address, check_admin_address, check_url
from app.config.config import Config
from app.config.load import ConfigError, load_config, parse_config, read_settings

__all__ = [
    "OFF",
    "Config",
    "ConfigError",
    "check_address",
    "check_admin_address",
    "check_url",
    "load_config",
    "parse_config",
    "read_settings",
]
