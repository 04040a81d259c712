"""``[profiles.NAME]``: what may be said of a profile, and how it becomes the profile that decides."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator

from app.config.sections import Section
from ca.algorithms.levels import CryptoLevel
from ca.asn1 import writer
from ca.profiles import DEFAULT, Profile
from ca.x509 import oids


class ProfileSection(Section):
    """One ``[profiles.NAME]``; what is not said is as in ``[profiles.default]``."""

    challenge: Literal["required", "none"] = "required"
    approval: Literal["automatic", "manual"] = "automatic"
    validity_days: Annotated[int, Field(ge=1, le=36_500)] = 365
    renewal_days: Annotated[int, Field(ge=0, le=36_500)] = 30
    eku: list[str] = Field(default_factory=lambda: ["clientAuth"], min_length=1)
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
        # A certificate has each once, by whichever of its names (RFC 5280 4.2.1.12).
        return list({oids.KEY_PURPOSES.get(name, name): name for name in names}.values())


def build_profile(name: str, sections: Mapping[str, ProfileSection], crypto: CryptoLevel) -> Profile:
    """The profile *name*: its own section over that of ``default``; *crypto* where neither says."""
    given: dict[str, Any] = {}
    for section in (sections.get(DEFAULT), sections.get(name)):
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
        crypto=settled.crypto or crypto,
    )
