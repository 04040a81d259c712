"""``subject`` and ``san`` of a profile: what may be said of the names in certificates."""

import ipaddress
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from app.config.checks import check_each
from app.config.patterns import compile_pattern, compile_stars
from app.config.sections import Section
from ca.issuing.alternative_names import GRANTABLE_KINDS
from ca.issuing.subject import attribute_oid, check_template
from ca.profiles import NamePattern, NetworkPattern, Others, SanRules, Source, SubjectRules

Kind = Literal["dns", "email", "uri", "ip", "upn"]


class SubjectSection(Section):
    """``[profiles.NAME.subject]``; a string in its place is the template."""

    source: Source = Source.REQUEST
    template: str = ""
    # None: any.
    allowed: list[str] | None = None
    required: list[str] = Field(default_factory=list)
    others: Others = Others.REFUSE
    match: dict[str, str] = Field(default_factory=dict)

    @model_validator(mode="before")
    @classmethod
    def _template_alone(cls, value: Any) -> Any:
        return {"template": value} if isinstance(value, str) else value

    @field_validator("template")
    @classmethod
    def _fillable(cls, template: str) -> str:
        check_template(template)
        return template

    @field_validator("allowed", "required")
    @classmethod
    def _attributes(cls, names: list[str] | None) -> list[str] | None:
        return None if names is None else check_each(attribute_oid, names)

    @field_validator("match")
    @classmethod
    def _patterns(cls, match: dict[str, str]) -> dict[str, str]:
        check_each(attribute_oid, list(match))
        check_each(compile_pattern, list(match.values()))
        return match

    def build(self) -> SubjectRules:
        """The rules that decide."""
        return SubjectRules(
            source=self.source,
            template=self.template,
            allowed=None if self.allowed is None else frozenset(map(attribute_oid, self.allowed)),
            required=tuple(map(attribute_oid, self.required)),
            others=self.others,
            match={attribute_oid(name): compile_pattern(pattern) for name, pattern in self.match.items()},
        )


class SanSection(Section):
    """``[profiles.NAME.san]``; a list in its place names the kinds that are allowed.

    Where any kind is given its patterns, the others are not allowed.
    """

    source: Source = Source.REQUEST
    dns: list[str] | None = None
    email: list[str] | None = None
    uri: list[str] | None = None
    ip: list[str] | None = None
    upn: list[str] | None = None
    # Whether none is allowed but those above; what a list in its place says, and any pattern too.
    only: bool = False
    required: list[Kind] = Field(default_factory=list)
    others: Others = Others.REFUSE
    most: Annotated[int, Field(ge=0, le=1000)] = 100

    @model_validator(mode="before")
    @classmethod
    def _kinds_alone(cls, value: Any) -> Any:
        if not isinstance(value, list):
            return value
        for kind in value:
            if kind not in GRANTABLE_KINDS:
                raise ValueError(f"{kind!r} is none of {', '.join(GRANTABLE_KINDS)}")
        # Kinds that are not in the list are unsaid, also where [profiles.default] has patterns for them.
        return {"only": True, **{kind: ["**"] if kind in value else None for kind in GRANTABLE_KINDS}}

    @field_validator("dns", "email", "uri", "upn")
    @classmethod
    def _patterns(cls, patterns: list[str] | None) -> list[str] | None:
        if patterns is not None and not all(patterns):
            raise ValueError("a pattern is empty; ** is any name")
        return patterns

    @field_validator("ip")
    @classmethod
    def _networks(cls, networks: list[str] | None) -> list[str] | None:
        return None if networks is None else check_each(_network, networks)

    def build(self) -> SanRules:
        """The rules that decide."""
        given: dict[str, list[str]] = {
            kind: patterns for kind in GRANTABLE_KINDS if (patterns := getattr(self, kind)) is not None
        }
        allowed = {kind: tuple(_pattern(kind, one) for one in given[kind]) for kind in given}
        return SanRules(
            source=self.source,
            allowed=allowed if self.only or given else None,
            required=tuple(self.required),
            others=self.others,
            most=self.most,
        )


def _pattern(kind: str, text: str) -> NamePattern:
    if kind == "ip":
        return _network(text)
    return compile_stars(kind, text)


def _network(text: str) -> NamePattern:
    if text == "**":
        return compile_pattern(".*")
    try:
        return NetworkPattern(ipaddress.ip_network(text))
    except ValueError:
        raise ValueError(f"{text!r} is no network such as 192.0.2.0/24; ** is any address") from None
