"""What the tests of the validator for Intune share."""

import logging
from collections.abc import Iterator

import pytest

from tests.applicants import PASSWORD
from tests.intune.simulator import CLIENT_SECRET, IntuneSimulator
from tests.services import running


@pytest.fixture
def intune() -> Iterator[IntuneSimulator]:
    """The three services."""
    simulator = IntuneSimulator()
    with running(simulator.service):
        yield simulator


@pytest.fixture(autouse=True)
def no_secret_in_the_log(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Neither the challenge password, nor our secret, nor a token, at whichever level."""
    with caplog.at_level(logging.DEBUG):
        yield
    assert PASSWORD not in caplog.text
    assert CLIENT_SECRET not in caplog.text
    assert "Bearer" not in caplog.text
