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
# A key, what is wrong with it, and which others that depends on.
_Finding: TypeAlias = tuple[str, str, tuple[str, ...]]


def check_contradictions(settings: Mapping[str, Any]) -> Iterator[Contradiction]:
    """The places in raw settings where a profile contradicts itself, each with what is wrong.

    Values that are wrong by themselves are told already, and nothing is said here that depends on them.
    """
    given = settings.get("profiles", {})
    read = {name: _read(one) for name, one in given.items()} if isinstance(given, dict) else {}
    sections = {name: one[0] for name, one in read.items()}
    inherited = read[DEFAULT][1] if DEFAULT in read else frozenset()
    told: set[tuple[str, str]] = set()
    for name in sorted(read, key=lambda name: name != DEFAULT):
        unsound = inherited | read[name][1]
        for key, what, others in _find(settle_profile(name, sections)):
            # What is inherited is told once, where it stands.
            if (key, what) not in told and not any(_touches(one, unsound) for one in (key, *others)):
                yield ("profiles", name, *key.split(".")), what
            if name == DEFAULT:
                told.add((key, what))


def _find(settled: ProfileSection) -> Iterator[_Finding]:
    """What cannot be meant: sources that say nothing, for one."""
    for key, section in (("subject.source", settled.subject), ("san.source", settled.san)):
        if section.source is Source.CHALLENGE and settled.challenge == "none":
            yield key, 'is "challenge", and the profile has challenge = "none"', ("challenge",)
        if section.source is Source.VALIDATOR and not settled.validator:
            yield key, 'is "validator", and the profile has none', ("validator",)
    if settled.validate_renewals and not settled.validator:
        yield "validate_renewals", "is true, and the profile has no validator", ("validator",)
    if settled.validator and not settled.renewal_same_names and not settled.validate_renewals:
        why = "is false, and the validator is not asked about renewals, which could take any name"
        others = ("validator", "validate_renewals")
        yield "renewal_same_names", f"{why}; set validate_renewals = true", others
    yield from _of_subject(settled.subject)
    yield from _of_names(settled.san)


def _of_subject(subject: SubjectSection) -> Iterator[_Finding]:
    """Attributes that every subject would need and none may have."""
    if subject.allowed is None:
        return
    allowed, others = set(map(attribute_oid, subject.allowed)), ("subject.allowed", "subject.others")
    for name in subject.required:
        if attribute_oid(name) not in allowed:
            yield "subject.required", f"names {name}, which is not among those allowed", others
    if subject.others is Others.REFUSE:
        for part in Name.from_text(subject.template).attributes():
            if part.oid not in allowed:
                yield "subject.template", f"has a {part.label}, which is not among those allowed", others


def _of_names(san: SanSection) -> Iterator[_Finding]:
    allowed = san.build().allowed
    for kind in san.required:
        if allowed is not None and not allowed.get(kind):
            yield "san.required", f"names {kind}, of which none is allowed", ("san",)
        elif not san.most:
            yield "san.required", f"names {kind}, and the most there may be is 0", ("san",)


def _touches(key: str, unsound: frozenset[str]) -> bool:
    """Whether *key*, what it is in, or anything in it is wrong."""
    return any(f"{key}.".startswith(f"{one}.") or f"{one}.".startswith(f"{key}.") for one in unsound)


def _read(section: object) -> tuple[ProfileSection, frozenset[str]]:
    """What of *section* is sound, and the dotted keys of what is not."""
    try:
        return ProfileSection.model_validate(section), frozenset()
    except ValidationError as error:
        wrong = {tuple(map(str, one["loc"][:2])) for one in error.errors()}
    if not isinstance(section, dict):
        return ProfileSection(), frozenset()
    sound = {key: value for key, value in section.items() if (key,) not in wrong}
    for key in {path[0] for path in wrong if len(path) > 1}:
        inner = sound.pop(key)
        if isinstance(inner, dict):
            sound[key] = {name: one for name, one in inner.items() if (key, name) not in wrong}
    return ProfileSection.model_validate(sound), frozenset(".".join(path) for path in wrong)
