"""Requests at rest: what waits, and what is yet to be told, holds challenge passwords and is sealed."""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import text

from app.notifier import Notifier
from app.store import SqlStore, StoreKeys, open_store
from ca.errors import DecisionImpossible
from ca.ports import Deferred
from ca.profiles import Profile
from tests.databases import looking_into, new_database
from tests.policing import FakeValidator
from tests.test_notifier import Told, await_
from tests.waiting import desk
from tests.world import Device, World, certificate_of

pytestmark = pytest.mark.databases

PASSWORD = "only-this-once-hunter2"
KEYS = StoreKeys.of_secret(b"k" * 32)
COLUMNS = ("SELECT csr FROM held", "SELECT csr FROM notification")


@pytest.fixture
def url() -> str:
    return new_database(shared=True)


@pytest.fixture
def world(url: str) -> Iterator[World]:
    """A CA whose validator leaves everything to a person, and hears of it."""
    world = _world(url)
    yield world
    world.store.close()


def _world(url: str) -> World:
    world = World(url)
    world.store.close()
    world.store = open_store(url, keys=KEYS)
    world.profile = Profile(challenge_required=False, validator="mdm")
    validators = {"mdm": FakeValidator(Deferred(), wants_notifications=True)}
    world.responder = replace(world.responder, store=world.store, validators=validators)
    return world


def _approve(world: World) -> None:
    replace(desk(world), notified=frozenset({"mdm"})).approve(1)


def _kept(url: str) -> list[bytes]:
    with looking_into(url) as database:
        return [row.csr for column in COLUMNS for row in database.execute(text(column))]


def test_who_has_the_database_has_no_password(world: World, url: str, device: Device) -> None:
    """A password with uses left, or one of an MDM's, would be good for whoever reads a backup."""
    world.enrol(device, device.csr(PASSWORD))
    before = _kept(url)
    _approve(world)
    after = _kept(url)

    assert (len(before), len(after)) == (1, 2)
    assert all(PASSWORD.encode() not in csr and csr[:1] == b"\x01" for csr in before + after)


@pytest.mark.databases("sqlite")
def test_no_file_of_the_database_has_it(tmp_path: Path, device: Device) -> None:
    """Neither the database nor the journal beside it, at any time."""
    world = _world(f"sqlite:///{tmp_path}/scepbox.db")

    world.enrol(device, device.csr(PASSWORD))
    found = _files_with(tmp_path, PASSWORD)
    _approve(world)
    found += _files_with(tmp_path, PASSWORD)
    world.store.close()

    assert found + _files_with(tmp_path, PASSWORD) == []


def _files_with(folder: Path, word: str) -> list[str]:
    files = [one for one in folder.iterdir() if one.is_file()]
    assert files
    return [one.name for one in files if word.encode() in one.read_bytes()]


def test_what_was_sealed_is_what_is_decided_on_and_told(world: World, url: str, device: Device) -> None:
    """By another process, which has the same secret."""
    payload = device.csr(PASSWORD)
    world.enrol(device, payload)

    _approve(world)
    told = world.store.transact(lambda repository: repository.claim_notifications(world.now, 9))

    certificate_of(world.enrol(device, payload))
    assert [(one.notification.csr, one.is_readable) for one in told] == [(payload, True)]


def test_a_request_that_an_earlier_version_kept_is_read(world: World, url: str, device: Device) -> None:
    """Who upgrades has requests that wait."""
    payload = device.csr(PASSWORD)
    world.enrol(device, payload)
    with looking_into(url) as database:
        database.execute(text("UPDATE held SET csr = :csr"), {"csr": payload})

    _approve(world)

    certificate_of(world.enrol(device, payload))


def test_without_the_secret_of_then_nothing_is_decided(world: World, url: str, device: Device) -> None:
    """One line says what is wrong; with the secret back all is as it was."""
    world.enrol(device, device.csr(PASSWORD))
    with closing(_with_another_secret(url)) as other:
        decides = replace(desk(world), store=other)
        with pytest.raises(DecisionImpossible, match=r"another secrets\.key: bring that back from a backup"):
            decides.approve(1)
        with pytest.raises(DecisionImpossible, match=r"another secrets\.key"):
            decides.reject(1, "no")

    _approve(world)

    assert len(world.issued()) == 1


def test_what_cannot_be_read_is_told_to_nobody_and_kept(
    world: World, url: str, device: Device, caplog: pytest.LogCaptureFixture
) -> None:
    """And the others are told: it may be that the secret comes back."""
    world.enrol(device, device.csr(PASSWORD))
    _approve(world)
    told = Told()
    with closing(_with_another_secret(url)) as other:
        notifier = Notifier(other, {"mdm": told}, lambda: world.now)
        notifier.start()
        try:
            assert await_(lambda: "bring that back from a backup" in caplog.text)
        finally:
            notifier.stop()

    assert told.tries == 0
    assert len(_kept(url)) == 2


def test_what_is_sealed_for_one_row_is_none_of_another(world: World, url: str, device: Device) -> None:
    """Who can write the database alone cannot have one device's request approved as another's."""
    other = Device("ipad-18")
    world.enrol(device, device.csr(PASSWORD))
    world.enrol(other, other.csr(PASSWORD), "t2")
    with looking_into(url) as database:
        swap = "UPDATE held SET csr = (SELECT csr FROM held WHERE request_id = 1) WHERE request_id = 2"
        database.execute(text(swap))

    with pytest.raises(DecisionImpossible):
        desk(world).approve(2)


def _with_another_secret(url: str) -> SqlStore:
    return open_store(url, keys=StoreKeys.of_secret(b"another" * 5))
