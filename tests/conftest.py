"""Fixtures that the scenario files share, and what came of the tests of a run."""

import tempfile
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest

from tests.command_line import did
from tests.databases import POSTGRESQL, SQLITE, stop_servers, taking_turns
from tests.outcomes import LAST, OUTCOMES, Outcomes
from tests.starting import stop_starter
from tests.world import Device, World

HERE = Path(__file__).parent
# What looks at the outcomes of all others.
DOCUMENTS = (HERE / "interop/test_devices.py", HERE / "conformance/test_conformance.py")


@pytest.fixture(autouse=True)
def database_kind(request: pytest.FixtureRequest) -> Iterator[str]:
    """Which database the test is for."""
    kind = getattr(request, "param", SQLITE)
    folder = request.getfixturevalue("tmp_path") if hasattr(request, "param") else None
    with taking_turns(kind, folder):
        yield kind


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run what is marked ``databases`` on each of them, or on those that the mark names."""
    mark = next(metafunc.definition.iter_markers("databases"), None)
    if mark is not None:
        metafunc.parametrize("database_kind", mark.args or [SQLITE, POSTGRESQL], indirect=True)


def pytest_unconfigure() -> None:
    """End what this process started for all its tests."""
    stop_servers()
    stop_starter()


@pytest.fixture(scope="session")
def made_ca(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder as ``init`` makes it, to be copied: its key takes longest of what a server needs."""
    data = tmp_path_factory.mktemp("made") / "data"
    did("init", "--data", data)
    return data


@pytest.fixture
def world(request: pytest.FixtureRequest) -> Iterator[World]:
    """A CA with an empty store in memory and one challenge password, without limit but for ``uses``."""
    mark = request.node.get_closest_marker("uses")
    world = World(uses=mark.args[0] if mark else None)
    yield world
    world.store.close()


@pytest.fixture
def device() -> Device:
    """A client that enrols as CN=ipad-17."""
    return Device()


@pytest.fixture(scope="session")
def outcomes(request: pytest.FixtureRequest) -> Outcomes:
    """What came of the tests until now."""
    return request.config.stash[OUTCOMES]


def pytest_configure(config: pytest.Config) -> None:
    """Begin with no outcomes; the processes of one run share a folder for them."""
    process = getattr(config, "workerinput", {}).get("workerid")
    if process:
        folder = Path(config.option.basetemp).parent / "outcomes"
    else:
        own = tempfile.TemporaryDirectory(prefix="scepbox-outcomes-")
        config.add_cleanup(own.cleanup)
        folder = Path(own.name)
    config.stash[OUTCOMES] = Outcomes(folder, process or "all")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Have the documents compared or written last, when the others are done."""
    items.sort(key=lambda item: item.path in DOCUMENTS)
    config.stash[LAST] = frozenset(item.nodeid for item in items if item.path in DOCUMENTS)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Keep what came of each test."""
    report = yield
    item.config.stash[OUTCOMES].note_phase(report)
    return report
