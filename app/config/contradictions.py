"""Settings of a profile each of which could be, and that together cannot be meant."""

from collections.abc import Iterator, Mapping
from typing import Any, TypeAlias

from pydantic import ValidationError

from app.config.names import SanSection, SubjectSection
from app.config.profile import ProfileSection, settle_profile
from ca.issuing.subject import attribute_oid
from ca.profiles import DEFAULT, Others, Source
from ca.x509.name import Name

Contradiction: TypeAlias = tuple[tuple[str, ...], str]


def check_contradictions(settings: Mapping[str, Any]) -> Iterator[Contradiction]:
    """The places in raw settings where a profile contradicts itself, each with what is wrong.

    Only of profiles that are sound by themselves: what is wrong with the others is told already.
    """
    given = settings.get("profiles", {})
    sections = {name: _read(one) for name, one in given.items()} if isinstance(given, dict) else {}
    sound = {name: one for name, one in sections.items() if one is not None}
    if DEFAULT in sections and DEFAULT not in sound:
        # What the others inherit is not known.
        return
    told: set[tuple[str, str]] = set()
    for name in sorted(sound, key=lambda name: name != DEFAULT):
        for key, what in find_contradictions(settle_profile(name, sound)):
            # What is inherited is told once, where it stands.
            if (key, what) not in told:
                yield ("profiles", name, *key.split(".")), what
            if name == DEFAULT:
                told.add((key, what))


def find_contradictions(settled: ProfileSection) -> Iterator[tuple[str, str]]:
    """What cannot be meant, each with its key: sources that say nothing, for one."""
    for key, section in (("subject.source", settled.subject), ("san.source", settled.san)):
        if section.source is Source.CHALLENGE and settled.challenge == "none":
            yield key, 'is "challenge", and the profile has challenge = "none"'
        if section.source is Source.VALIDATOR and not settled.validator:
            yield key, 'is "validator", and the profile has none'
    if settled.validate_renewals and not settled.validator:
        yield "validate_renewals", "is true, and the profile has no validator"
    if settled.validator and not settled.renewal_same_names and not settled.validate_renewals:
        why = "is false, and the validator is not asked about renewals, which could take any name"
        yield "renewal_same_names", f"{why}; set validate_renewals = true"
    yield from _of_subject(settled.subject)
    yield from _of_names(settled.san)


def _of_subject(subject: SubjectSection) -> Iterator[tuple[str, str]]:
    """Attributes that every subject would need and none may have."""
    if subject.allowed is None:
        return
    allowed = set(map(attribute_oid, subject.allowed))
    for name in subject.required:
        if attribute_oid(name) not in allowed:
            yield "subject.required", f"names {name}, which is not among those allowed"
    if subject.others is Others.REFUSE:
        for part in Name.from_text(subject.template).attributes():
            if part.oid not in allowed:
                yield "subject.template", f"has a {part.label}, which is not among those allowed"


def _of_names(san: SanSection) -> Iterator[tuple[str, str]]:
    allowed = san.build().allowed
    for kind in san.required:
        if allowed is not None and not allowed.get(kind):
            yield "san.required", f"names {kind}, of which none is allowed"
        elif not san.most:
            yield "san.required", f"names {kind}, and the most there may be is 0"


def _read(section: object) -> ProfileSection | None:
    try:
        return ProfileSection.model_validate(section)
    except ValidationError:
        return None
