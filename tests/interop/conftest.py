"""Running services, wires to them, and the table that the tests fill."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import cache
from pathlib import Path

import pytest

from tests.outcomes import Outcomes

from . import devices, peers
from .server import Server, serving
from .wire import Wire

HERE = Path(__file__).parent

SUBSET = pytest.StashKey[bool]()

Connect = Callable[..., Wire]


@pytest.fixture(scope="session")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Server]]:
    """Start one service for each level of cryptography that is asked for."""
    peers.require(peers.OPENSSL)
    with ExitStack() as running:

        @cache
        def start(level: str) -> Server:
            settings = f'[crypto]\nlevel = "{level}"\n[profiles.default]\nrenewal_days = 0\n'
            return running.enter_context(serving(tmp_path_factory.mktemp(level), settings))

        yield start


@pytest.fixture
def connect(servers: Callable[[str], Server]) -> Iterator[Connect]:
    """Open wires; when the test is over, what went over them is held to the rules of HTTP."""
    wires: list[Wire] = []

    def open_wire(level: str = "compatible", capabilities: str | None = None) -> Wire:
        wires.append(Wire(servers(level), capabilities))
        return wires[-1]

    yield open_wire
    for wire in wires:
        wire.close()


@pytest.fixture
def wire(connect: Connect) -> Wire:
    """Open a wire to a service at the default level."""
    return connect()


@pytest.fixture(scope="session")
def table(outcomes: Outcomes) -> devices.Table:
    """Make the table that this run fills."""
    return devices.Table(outcomes)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Tell the comparison of the table whether the table can be whole."""
    modules = {item.path for item in items}
    named = any("::" in argument for argument in config.args)
    partial = named or not modules.issuperset(HERE.glob("test_*.py"))
    config.stash[SUBSET] = partial or config.stash.get(SUBSET, False)


def pytest_deselected(items: list[pytest.Item]) -> None:
    """Notice that only a part of the interoperability tests will run."""
    for item in items:
        if HERE in item.path.parents:
            item.config.stash[SUBSET] = True
