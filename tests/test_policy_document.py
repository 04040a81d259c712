"""docs/policy.md tells each setting of a profile with its default, and the example file is one that works."""

import json
import re
from typing import Any

import pytest

from app.config import load_config
from app.config.profile import ProfileSection
from tests.world import ROOT

DOCUMENT = (ROOT / "docs/policy.md").read_text("utf-8")
EXAMPLE = ROOT / "docs/examples/scepbox.toml"
# Told in words: there is no value that says it.
IN_WORDS = {"any", "any kind", "none", "as requested", "what the key can do", "`[crypto] level`"}


def _rows() -> dict[str, str]:
    """The table of settings: name and default."""
    table = DOCUMENT.partition("## Settings of a profile")[2].partition("\n## ")[0]
    rows: dict[str, str] = {}
    for names, default in re.findall(r"(?m)^\| (`[^|]*`) \| ([^|]*) \|", table):
        rows |= {name: default.strip() for name in re.findall(r"`([a-z_.]+)`", names)}
    return rows


def _settings() -> dict[str, Any]:
    """Every key of a profile, those of its tables with the table in front, and its default."""
    flat: dict[str, Any] = {}
    for key, value in ProfileSection().model_dump(mode="json").items():
        flat[key] = value
        if key in ("subject", "san"):
            flat |= {f"{key}.{inner}": default for inner, default in value.items()}
    return flat


@pytest.mark.parametrize("key", _settings())
def test_each_setting_of_a_profile_is_told_with_its_default(key: str) -> None:
    """Whoever looks for what a profile can do reads this table and nothing else."""
    told, default = _rows()[key], _settings()[key]

    if told in IN_WORDS:
        assert not default or isinstance(default, dict)
    else:
        value = re.match(r"`([^`]*)`", told)
        assert value, told
        assert json.loads(value[1]) == default


def test_the_table_tells_no_setting_that_is_gone() -> None:
    """And the other way round."""
    assert _rows().keys() == _settings().keys()


def test_the_example_is_taken_in_whole() -> None:
    """It is there to be copied."""
    profiles = load_config(EXAMPLE, {}).build_profiles()

    assert set(profiles) == {"default", "lab", "ipads", "fleet", "printers"}
    assert profiles["fleet"].validator == "inventory"
    assert profiles["printers"].manual_approval
