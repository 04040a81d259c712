"""The thread that brings the index for searching on, and what it says where that cannot be done."""

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from app import indexer
from app.indexer import Indexer
from app.store import searching
from tests.test_notifier import await_
from tests.test_searching import file_of, fill, is_narrowed
from tests.world import World


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """A CA in a file, whose index is wanted from the first certificates on; nobody rests."""
    monkeypatch.setattr(searching, "AT_ONCE", 3)
    for pause in ("LOOK_SECONDS", "AGAIN_SECONDS"):
        monkeypatch.setattr(indexer, pause, 0.01)
    world = World(f"sqlite:///{tmp_path}/scepbox.db")
    fill(world, [f"CN=ipad-{number}" for number in range(20)])
    yield world
    world.store.close()


def is_indexed(world: World, part: str) -> bool:
    """Whether the file itself has some with that part."""
    file = searching.search_file(world.store._engine)
    found = file and file.find(part, 1)
    return bool(found and found.rows)


def test_what_is_enrolled_comes_into_the_index(world: World) -> None:
    """By steps, for as long as the server runs."""
    one = Indexer(world.store)
    one.start()
    first = await_(lambda: is_indexed(world, "ipad-19"))
    fill(world, [f"CN=printer-{number}" for number in range(100)])
    later = await_(lambda: is_indexed(world, "printer-90"))
    one.stop()

    assert first
    assert later


def test_what_is_in_the_way_is_told_once(
    world: World, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Nothing else fails by it, and once it is out of the way there is an index."""
    file = file_of(f"sqlite:///{tmp_path}/scepbox.db")
    file.mkdir()
    one = Indexer(world.store)
    with caplog.at_level(logging.WARNING):
        one.start()
        assert await_(lambda: bool(caplog.records))
        before = is_narrowed(world, "ipad")
        file.rmdir()
        assert await_(lambda: is_narrowed(world, "ipad"))
        one.stop()

    assert not before
    assert len([record for record in caplog.records if "no index for searching" in record.message]) == 1
