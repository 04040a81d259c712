"""Which alternative names a certificate gets: whose word counts, and what the profile allows of each kind."""

import re
from collections.abc import Mapping, Sequence

from ca.errors import SubjectRefused
from ca.issuing.spelling import check_spelling
from ca.profiles import Grants, NamePattern, Others, SanRules, Source
from ca.x509.general_names import GeneralName, is_sid_uri

GRANTABLE_KINDS = ("dns", "email", "uri", "ip", "upn")
# RFC 5280 4.2.1.6, RFC 1123 2.1; the underscore is what devices have in theirs. No wildcard: nobody may
# speak for names that are not his.
_LABEL = r"[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
_HOST = rf"(?=.{{1,253}}\Z){_LABEL}(\.{_LABEL})*"
_FORMS = {
    "dns": re.compile(_HOST),
    # RFC 5322 3.2.3, without quotes and commas: programs that print names one after another are read by
    # others, to whom "a,DNS:b@c" would be two (CVE-2021-44532).
    "email": re.compile(rf"[A-Za-z0-9!#$%&'*+/=?^_`{{|}}~.-]+@{_HOST}"),
    # RFC 3986 2.
    "uri": re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:[A-Za-z0-9._~:/?#\[\]@!$&'()*+,;=%-]+"),
    "upn": re.compile(r"[^\s@]+(@[^\s@]+)?"),
}


def decide_alternative_names(
    requested: Sequence[GeneralName], rules: SanRules, grants: Grants
) -> tuple[tuple[GeneralName, ...], tuple[str, ...]]:
    """The names, each once and in their order, and what was left out.

    Raises:
        SubjectRefused: There are too many, one is missing, or one is not allowed.

    """
    names = list(requested)
    if grants.subject_alt_names is not None:
        names = granted_names(grants)
    elif rules.source is not Source.REQUEST:
        names = []
    if len(names) > rules.most:
        raise SubjectRefused(f"more than {rules.most} subjectAltNames")
    granted, kept = dict.fromkeys(names), []
    left_out = [name.kind for name in requested if name not in granted]
    for name in granted:
        objection = _objection(name, rules.allowed)
        if not objection:
            kept.append(name)
        elif rules.others is Others.REFUSE:
            raise SubjectRefused(objection, detail=str(name))
        else:
            left_out.append(name.kind)
    for kind in rules.required:
        if all(name.kind != kind for name in kept):
            raise SubjectRefused(f"there is no subjectAltName of kind {kind}, which there must be")
    return tuple(kept), tuple(f"subjectAltName:{kind}" for kind in dict.fromkeys(left_out))


def granted_names(grants: Grants) -> list[GeneralName]:
    """The alternative names that are vouched for, but for security identifiers, which go their own way."""
    granted = map(GeneralName.from_text, grants.subject_alt_names or ())
    return [name for name in granted if not is_sid_uri(name)]


def _objection(name: GeneralName, allowed: Mapping[str, tuple[NamePattern, ...]] | None) -> str:
    """Why *name* is not given; empty where it is."""
    if name.kind not in GRANTABLE_KINDS or (allowed is not None and name.kind not in allowed):
        return f"a subjectAltName of kind {name.kind} is not certified here"
    check_spelling(name.value)
    form = _FORMS.get(name.kind)
    if form is not None and not form.fullmatch(name.value):
        return f"a subjectAltName of kind {name.kind} is not of the form that it must have"
    if allowed is not None and not any(pattern.fullmatch(name.value) for pattern in allowed[name.kind]):
        return f"a subjectAltName of kind {name.kind} is not one that this profile certifies"
    return ""
