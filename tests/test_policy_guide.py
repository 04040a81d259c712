"""docs/policy.md says what there is: each key of each validator with its default, each code of Intune."""

import json
import re
import tomllib
from typing import Any, get_args

import pytest
from pydantic_core import PydanticUndefined

from app.config import Config
from app.config.sections import Section
from app.config.validator import (
    VALIDATOR_TYPES,
    ExecSection,
    IntuneSection,
    TrustedSignerSection,
    WebhookSection,
)
from app.validators.intune_codes import REFUSALS
from ca.approval import MAX_REASON
from tests.world import ROOT

DOCUMENT = (ROOT / "docs" / "policy.md").read_text("utf-8")
SECTIONS: dict[str, type[Section]] = {
    "exec": ExecSection,
    "webhook": WebhookSection,
    "intune": IntuneSection,
    "trusted-signer": TrustedSignerSection,
}


def part(title: str) -> str:
    """What stands under a heading of the third level."""
    (found,) = re.findall(rf"(?ms)^### {re.escape(title)}\n(.*?)(?=^##|\Z)", DOCUMENT)
    return str(found)


def test_every_type_has_its_part() -> None:
    """And there is no type that is not looked at here."""
    assert set(SECTIONS) == set(VALIDATOR_TYPES)
    for title in SECTIONS:
        part(title)


@pytest.mark.parametrize("name", SECTIONS)
def test_every_key_of_a_validator_stands_in_its_table_with_its_default(name: str) -> None:
    """A setting that is not told is not there for who needs it; a default that is wrong is worse."""
    section = SECTIONS[name]
    told = dict(re.findall(r"(?m)^\| `([a-z_]+)` \| (.*?) \|", part(name)))

    assert told.keys() == section.model_fields.keys()
    for key, field in section.model_fields.items():
        match field.default:
            case _ if key == "type":
                assert told[key] == f'`"{get_args(field.annotation)[0]}"`'
            case default if default is PydanticUndefined:
                assert told[key].startswith("required"), key
            case None:
                assert not told[key].startswith("`"), key
            case default:
                assert told[key] == f"`{json.dumps(default)}`", key


def test_the_examples_are_settings() -> None:
    """Whoever copies one must not be told that it is wrong."""
    examples = re.findall(r"```toml\n(.*?)```", DOCUMENT[DOCUMENT.index("## Validators") :], re.DOTALL)

    read: list[dict[str, Any]] = [tomllib.loads(example) for example in examples]
    assert {kind["type"] for one in read for kind in one["validator"].values()} >= {
        "exec",
        "webhook",
        "intune",
    }
    for one in read:
        Config.model_validate(one)


def test_every_code_of_intune_stands_beside_what_the_device_hears() -> None:
    """An administrator has the words of the device, and looks for the cause."""
    rows = re.findall(r"(?m)^\| (`[A-Z]\w+`(?:, `\w+`)*) \| `([^`]*)` \|$", part("intune"))
    told = {code: words for codes, words in rows for code in re.findall(r"`(\w+)`", codes)}

    assert told == REFUSALS


def test_a_reason_is_cut_where_the_document_says() -> None:
    """RFC 8894 sets no limit; ours is told."""
    assert f"cut after {MAX_REASON} characters" in part("What is told, and what may be answered")
