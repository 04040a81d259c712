"""Validators of type ``intune`` that ask the simulator, as settings make them."""

import time
from pathlib import Path

import pytest

from app.config import Config
from app.data_folder import DataFolder
from app.validators import build_validators
from app.validators.intune import IntuneValidator
from ca.errors import ValidatorUnavailable
from tests.applicants import applicant
from tests.intune.simulator import CLIENT_ID, CLIENT_SECRET, TENANT, IntuneSimulator

LIMIT = 0.8
# How much later than its limit an answer may come on a machine that is busy with other tests.
SLACK = 2.5


def make_validator(
    intune: IntuneSimulator, folder: Path, *, secret: str = CLIENT_SECRET, **more: object
) -> IntuneValidator:
    """One that proves itself by *secret*, unless *more* names a certificate."""
    file = folder / "intune.secret"
    file.write_text(f"{secret}\n")
    file.chmod(0o600)
    proof = {} if "certificate_file" in more else {"client_secret_file": file.name}
    section = {
        "type": "intune",
        "tenant": TENANT,
        "client_id": CLIENT_ID,
        "authority": intune.url,
        "graph": f"{intune.url}graph/",
        "resource": intune.url,
        **proof,
        **more,
    }
    config = Config.model_validate({"validator": {"intune": section}})
    built = build_validators(config, DataFolder(folder))["intune"]
    assert isinstance(built, IntuneValidator)
    return built


def unavailable(validator: IntuneValidator, limit: float = LIMIT) -> str:
    """The detail for the log of a validator that gives no verdict, which comes in time."""
    started = time.monotonic()
    with pytest.raises(ValidatorUnavailable) as caught:
        validator.decide(applicant())
    assert time.monotonic() - started < limit + SLACK
    assert "validator intune: " in caught.value.detail
    return caught.value.detail
