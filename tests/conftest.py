"""Fixtures that the scenario files share, and what came of the tests of a run."""

from collections.abc import Generator, Iterator
from pathlib import Path

import pytest

from tests.world import Device, World

OUTCOMES = pytest.StashKey[dict[str, str]]()
CONFORMANCE = Path(__file__).parent / "conformance"


@pytest.fixture
def world() -> Iterator[World]:
    """A CA with an empty store in memory and one challenge password without limit."""
    world = World()
    yield world
    world.store.close()


@pytest.fixture
def device() -> Device:
    """A client that enrols as CN=ipad-17."""
    return Device()


def pytest_configure(config: pytest.Config) -> None:
    """Begin with no outcomes."""
    config.stash[OUTCOMES] = {}


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Have docs/conformance.md compared or written last, when the others are done."""
    items.sort(key=lambda item: CONFORMANCE in item.path.parents)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Keep what came of each test: the first of its three phases that did not pass, or that all did."""
    report = yield
    outcomes = item.config.stash[OUTCOMES]
    if outcomes.get(item.nodeid, "passed") == "passed":
        outcomes[item.nodeid] = report.outcome
    return report
