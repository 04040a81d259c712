"""``[profiles.NAME]``: what may be said of a profile, and how it becomes the profile that decides."""

from collections.abc import Mapping
from datetime import UTC, date, datetime, time
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator

from app.config.checks import check_each
from app.config.names import SanSection, SubjectSection
from app.config.sections import Section
from ca.algorithms.levels import CryptoLevel
from ca.asn1 import writer
from ca.policy.keys import check_key_type
from ca.profiles import DEFAULT, KeyRules, Lint, Profile, SidForm, WhenFull
from ca.x509 import oids
from ca.x509.extensions import KeyUsageBit

Usage = Literal["digitalSignature", "nonRepudiation", "keyEncipherment", "dataEncipherment", "keyAgreement"]


class ProfileSection(Section):
    """One ``[profiles.NAME]``; what is not said is as in ``[profiles.default]``."""

    challenge: Literal["required", "none"] = "required"
    approval: Literal["automatic", "manual"] = "automatic"
    validator: str = ""
    validate_renewals: bool = False
    validity_days: Annotated[int, Field(ge=1, le=36_500)] = 365
    valid_until: date | None = None
    renewal_days: Annotated[int, Field(ge=0, le=36_500)] = 30
    renewal_same_names: bool = True
    subject: SubjectSection = SubjectSection()
    san: SanSection = SanSection()
    key_types: list[str] = Field(default_factory=list)
    keys_shared: bool = True
    keys_renewed: bool = True
    # None: whatever the key can do.
    key_usage: Annotated[list[Usage], Field(min_length=1)] | None = None
    eku: list[str] = Field(default_factory=lambda: ["clientAuth"], min_length=1)
    max_active: Annotated[int, Field(ge=0, le=10_000)] = 0
    when_full: WhenFull = WhenFull.REFUSE
    sid: list[SidForm] = Field(default_factory=lambda: [SidForm.URI, SidForm.EXTENSION])
    lint: Lint = Lint.OFF
    chain_in_reply: bool = False
    empty_content: bool = True
    queries: bool = True
    crypto: CryptoLevel | None = None

    @field_validator("eku")
    @classmethod
    def _known(cls, names: list[str]) -> list[str]:
        check_each(_check_purpose, names)
        # A certificate has each once, by whichever of its names (RFC 5280 4.2.1.12).
        return list({oids.KEY_PURPOSES.get(name, name): name for name in names}.values())

    @field_validator("key_types")
    @classmethod
    def _key_types(cls, types: list[str]) -> list[str]:
        return check_each(check_key_type, types)


def _check_purpose(name: str) -> None:
    try:
        writer.oid(oids.KEY_PURPOSES.get(name, name))
    except ValueError:
        known = ", ".join(oids.KEY_PURPOSES)
        raise ValueError(f"{name!r} is neither a dotted OID nor one of {known}") from None
    if oids.KEY_PURPOSES.get(name, name) in (oids.OCSP_SIGNING, oids.ANY_EXTENDED_KEY_USAGE):
        raise ValueError(f"{name!r} is never given to a device")


def settle_profile(name: str, sections: Mapping[str, ProfileSection]) -> ProfileSection:
    """What is said of *name*: its own section laid over that of ``default``, table by table."""
    given: dict[str, Any] = {}
    for section in (sections.get(DEFAULT), sections.get(name)):
        if section is not None:
            _lay_over(given, section.model_dump(exclude_unset=True))
    return ProfileSection(**given)


def build_profile(name: str, sections: Mapping[str, ProfileSection], crypto: CryptoLevel) -> Profile:
    """The profile *name*: its own section over that of ``default``; *crypto* where neither says."""
    settled = settle_profile(name, sections)
    until = settled.valid_until
    return Profile(
        name=name,
        challenge_required=settled.challenge == "required",
        manual_approval=settled.approval == "manual",
        validator=settled.validator,
        validate_renewals=settled.validate_renewals,
        validity_days=settled.validity_days,
        # The whole of the day, in UTC.
        valid_until=None if until is None else datetime.combine(until, time(23, 59, 59), UTC),
        renewal_days=settled.renewal_days,
        renewal_same_names=settled.renewal_same_names,
        subject=settled.subject.build(),
        san=settled.san.build(),
        keys=KeyRules(tuple(settled.key_types), settled.keys_shared, settled.keys_renewed),
        key_usage=None if settled.key_usage is None else frozenset(map(_usage_bit, settled.key_usage)),
        key_purposes=tuple(oids.KEY_PURPOSES.get(purpose, purpose) for purpose in settled.eku),
        max_active=settled.max_active,
        when_full=settled.when_full,
        sid=tuple(settled.sid),
        lint=settled.lint,
        chain_in_reply=settled.chain_in_reply,
        empty_content=settled.empty_content,
        queries=settled.queries,
        crypto=settled.crypto or crypto,
    )


def _usage_bit(name: str) -> KeyUsageBit:
    return KeyUsageBit[name]


def _lay_over(below: dict[str, Any], above: Mapping[str, Any]) -> None:
    for key, value in above.items():
        if isinstance(value, dict) and isinstance(below.get(key), dict):
            _lay_over(below[key], value)
        else:
            below[key] = value
