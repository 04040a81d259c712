"""The README says what there is: each setting with its default, and each verb."""

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest

from app.cli.main import top
from app.config import Config, load_config
from app.config.profile import ProfileSection
from ca.issuing.alternative_names import GRANTABLE_KINDS
from ca.profiles import DEFAULT
from tests.world import ROOT

README = (ROOT / "README.md").read_text("utf-8")
# Nobody has them by default, so the README shows an example.
_UNSAID = (
    "crypto",
    "valid_until",
    "key_usage",
    "subject.allowed",
    *(f"san.{kind}" for kind in GRANTABLE_KINDS),
)
EXAMPLES = {"server.base_url", "ca.distribution_url", *(f"profiles.{DEFAULT}.{key}" for key in _UNSAID)}


def settings() -> str:
    """The settings file that the README shows."""
    (block,) = re.findall(r"```toml\n(.*?)```", README, re.DOTALL)
    return str(block)


def flat(sections: dict[str, Any], head: str = "") -> dict[str, object]:
    """Nested tables as ``limits.connections``."""
    found: dict[str, object] = {}
    for name, value in sections.items():
        found |= flat(value, f"{head}{name}.") if isinstance(value, dict) else {f"{head}{name}": value}
    return found


def verbs(group: click.Group = top, head: str = "") -> Iterator[str]:
    """Every verb, with the one it belongs to."""
    for name, one in group.commands.items():
        if isinstance(one, click.Group):
            yield from verbs(one, f"{head}{name} ")
        else:
            yield f"{head}{name}"


def test_every_setting_stands_in_the_readme_with_its_default(tmp_path: Path) -> None:
    """A setting that is not told is not there for who needs it; a default that is wrong is worse."""
    (tmp_path / "scepbox.toml").write_text(settings(), "utf-8")
    shown = flat(tomllib.loads(settings()))

    config = Config(profiles={DEFAULT: ProfileSection()})
    there = flat(config.model_dump(mode="json"))
    wrong = {name for name in there.keys() - EXAMPLES if shown.get(name, ...) != there[name]}

    # Whatever else it shows would be refused.
    load_config(tmp_path / "scepbox.toml", {})
    assert wrong == set()
    assert shown.keys() == there.keys()


@pytest.mark.parametrize("verb", list(verbs()))
def test_every_verb_stands_in_the_readme(verb: str) -> None:
    """In the table of verbs, where people look first."""
    told = re.findall(r"`([a-z]+(?: [a-z]+)*)(?: [^`]*)?`", README.partition("## Command line")[2])

    assert verb in told
