"""Fixtures that the scenario files share."""

from collections.abc import Iterator

import pytest

from tests.world import Device, World


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
