"""Settings that can be meant and hardly are: told at the start, and no reason not to start."""

from collections.abc import Iterator
from datetime import datetime

from app.config.config import Config


def find_oddities(config: Config, now: datetime) -> Iterator[str]:
    """One line for each, with its place in the settings."""
    for name, profile in config.build_profiles().items():
        until = profile.valid_until
        if until is not None and until <= now:
            yield f"profiles.{name}.valid_until: {until:%Y-%m-%d} is over, so this profile issues nothing"
        if profile.renewal_days >= profile.validity_days:
            yield (
                f"profiles.{name}.renewal_days: {profile.renewal_days} of {profile.validity_days} days; "
                "every certificate may be renewed at once and at any time"
            )
