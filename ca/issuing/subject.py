"""Which subject a certificate gets: whose word counts, the profile's template, and its limits."""

import re

from ca.asn1 import writer
from ca.errors import SubjectRefused
from ca.issuing.spelling import check_spelling
from ca.profiles import Grants, Others, Source, SubjectRules
from ca.x509 import oids
from ca.x509.name import Attribute, Name

_PLACE = re.compile(r"\{([A-Za-z0-9.]+)\}")


def decide_subject(requested: Name, rules: SubjectRules, grants: Grants) -> tuple[Name, tuple[str, ...]]:
    """The subject, and what of it was left out.

    Whoever says it, the limits hold: those of a profile are nobody's to widen.

    Raises:
        SubjectRefused: There is none where one has to be, or it breaks the rules.

    """
    subject, replaced = requested, False
    if grants.subject is not None:
        subject = Name.from_text(grants.subject)
        replaced = bool(requested) and not subject.matches(requested)
    elif rules.source is not Source.REQUEST:
        raise SubjectRefused(f"this profile takes the subject from the {rules.source}, which says none")
    if rules.template and not (grants.settled and grants.subject is not None):
        subject = fill_template(rules.template, subject)
    if subject.matches(requested):
        # Of one name in two spellings the device's own counts: it compares the octets.
        subject = requested
    subject, dropped = _keep_allowed(subject, rules)
    _check_limits(subject, rules)
    return subject, ("subject", *dropped) if replaced else dropped


def fill_template(template: str, subject: Name) -> Name:
    """*template* with ``{CN}`` and the like replaced by that attribute of *subject*, the first of several.

    Raises:
        SubjectRefused: The subject lacks one.
        ValueError: The template itself is no name.

    """
    values: dict[str, str] = {}
    for attribute in subject.attributes():
        values.setdefault(attribute.oid, attribute.value)

    def fill(place: re.Match[str]) -> str:
        value = values.get(attribute_oid(place[1]))
        if value is None:
            raise SubjectRefused(f"the subject has no {place[1]}, which this profile needs")
        return value

    return Name.of(
        [Attribute(part.oid, _PLACE.sub(fill, part.value)) for part in rdn]
        for rdn in Name.from_text(template).rdns
    )


def check_template(template: str) -> None:
    """Check that *template* can be filled.

    Raises:
        ValueError: It is no name, or one of its places is no attribute.

    """
    for attribute in Name.from_text(template).attributes():
        for place in _PLACE.findall(attribute.value):
            attribute_oid(place)
        if set("{}") & set(_PLACE.sub("", attribute.value)):
            raise ValueError(f"{attribute} has a brace that belongs to no attribute such as {{CN}}")


def attribute_oid(name: str) -> str:
    """The OID of an attribute type, by its short name in any case or by itself.

    Raises:
        ValueError: It is neither.

    """
    found = oids.ATTRIBUTE_OIDS.get(name.casefold())
    if found is not None:
        return found
    try:
        writer.oid(name)
    except ValueError:
        raise ValueError(f"{name!r} is no attribute type that is known here") from None
    return name


def _keep_allowed(subject: Name, rules: SubjectRules) -> tuple[Name, tuple[str, ...]]:
    if rules.allowed is None:
        return subject, ()
    foreign = [one for one in subject.attributes() if one.oid not in rules.allowed]
    if not foreign:
        return subject, ()
    if rules.others is Others.REFUSE:
        raise SubjectRefused(f"the subject may not have a {foreign[0].label} here", detail=str(foreign[0]))
    kept = ([one for one in rdn if one.oid in rules.allowed] for rdn in subject.rdns)
    return Name.of(rdn for rdn in kept if rdn), tuple(f"subject:{one.label}" for one in foreign)


def _check_limits(subject: Name, rules: SubjectRules) -> None:
    attributes = subject.attributes()
    for attribute in attributes:
        check_spelling(attribute.value)
        pattern = rules.match.get(attribute.oid)
        if pattern is not None and not pattern.fullmatch(attribute.value):
            raise SubjectRefused(
                f"the {attribute.label} of the subject is not one that this profile certifies",
                detail=f"{attribute}; the pattern is {pattern.pattern}",
            )
    there = {attribute.oid for attribute in attributes}
    for oid in rules.required:
        if oid not in there:
            raise SubjectRefused(
                f"the subject has no {oids.ATTRIBUTE_NAMES.get(oid, oid)}, which it must have"
            )
