"""All settings together, and what the program makes of them."""

from datetime import timedelta
from typing import Annotated

from pydantic import Field

from app.config.profile import ProfileSection, build_profile
from app.config.sections import (
    CaSection,
    ChallengeSection,
    CryptoSection,
    DatabaseSection,
    LimitsSection,
    LogSection,
    RecorderSection,
    Section,
    ServerSection,
)
from app.config.validator import ValidatorSection
from app.recorder.segments import Limits
from ca.policy.queue import Queue
from ca.profiles import DEFAULT, Profile

_NAME = r"^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$"


class Config(Section):
    """All settings."""

    server: ServerSection = ServerSection()
    database: DatabaseSection = DatabaseSection()
    ca: CaSection = CaSection()
    crypto: CryptoSection = CryptoSection()
    challenge: ChallengeSection = ChallengeSection()
    limits: LimitsSection = LimitsSection()
    recorder: RecorderSection = RecorderSection()
    log: LogSection = LogSection()
    profiles: dict[Annotated[str, Field(pattern=_NAME)], ProfileSection] = Field(default_factory=dict)
    validator: dict[Annotated[str, Field(pattern=_NAME)], ValidatorSection] = Field(default_factory=dict)

    def build_profiles(self) -> dict[str, Profile]:
        """The profiles by name, ``default`` always among them."""
        return {
            name: build_profile(name, self.profiles, self.crypto.level) for name in (DEFAULT, *self.profiles)
        }

    @property
    def crl_lifetime(self) -> timedelta:
        """How long a CRL is good for."""
        return timedelta(days=self.ca.crl_days)

    def build_recorder_limits(self) -> Limits:
        """What is kept of exchanges."""
        said = self.recorder
        days, refusal_days = timedelta(days=said.days), timedelta(days=said.refusal_days)
        return Limits(said.exchanges, said.refusals, days, refusal_days, said.megabytes << 20, said.on)

    def build_queue(self) -> Queue:
        """What may wait for approval."""
        return Queue(
            per_profile=self.limits.pending_per_profile,
            per_peer=self.limits.pending_per_peer,
            patience=timedelta(days=self.limits.pending_days),
            memory=timedelta(days=self.limits.refused_days),
        )
