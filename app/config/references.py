"""Settings that name what another section makes, such as a profile: whether it is there."""

from collections.abc import Iterator, Mapping
from typing import Any

from app.config.lines import KeyPath
from app.config.problems import nearest
from ca.profiles import DEFAULT

# Which keys name what, an asterisk being any name; and which names there are without being made.
_REFERENCES: tuple[tuple[KeyPath, str, str, tuple[str, ...]], ...] = (
    (("challenge", "ndes_profile"), "profiles", "profile", (DEFAULT,)),
    (("profiles", "*", "validator"), "validator", "validator", ()),
)


def check_references(settings: Mapping[str, Any]) -> Iterator[tuple[KeyPath, str]]:
    """The places in raw settings that name what is nowhere made, each with what is wrong."""
    for pattern, section, kind, always in _REFERENCES:
        made = settings.get(section, {})
        known = sorted({*always, *(made if isinstance(made, dict) else ())})
        for path, name in _matching(settings, pattern):
            if isinstance(name, str) and name and name not in known:
                hint = nearest(name, known) or f"; make it with [{section}.{name}]"
                yield path, f"there is no {kind} {name!r}{hint}"


def _matching(node: object, pattern: KeyPath, path: KeyPath = ()) -> Iterator[tuple[KeyPath, object]]:
    if not pattern:
        yield path, node
    elif isinstance(node, dict):
        for key in node if pattern[0] == "*" else pattern[:1]:
            if key in node:
                yield from _matching(node[key], pattern[1:], (*path, key))
