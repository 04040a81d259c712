"""The indexes that profiles ask for: there where one does, and what certificates are found by."""

import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeAlias

import pytest
from sqlalchemy import Connection, event, inspect

from app.config import Config
from app.store import listing
from app.store.engine import open_engine
from app.store.keys import ContentKey, StoreKeys
from app.store.listing import Wanted
from app.store.queue import take_timed_out
from app.store.repository import SqlRepository
from tests.counting import most
from tests.policing import ask_for
from tests.test_http import wired
from tests.world import NOW, World, certificate_of


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """A CA in a file."""
    world = World(f"sqlite:///{tmp_path}/scepbox.db")
    yield world
    world.store.close()


INDEXES = [
    ("", set()),
    (most(1), {"ix_certificate_subject_key"}),
    ("[profiles.default]\nkeys_shared = false\n", {"ix_certificate_key_id"}),
    (most(1, more="keys_shared = false\n"), {"ix_certificate_subject_key", "ix_certificate_key_id"}),
    ("[profiles.lan]\nmax_active = 1\n", {"ix_certificate_subject_key"}),
]


@pytest.mark.parametrize(("toml", "made"), INDEXES)
def test_an_index_is_there_where_a_profile_asks_for_it(
    world: World, tmp_path: Path, toml: str, made: set[str]
) -> None:
    """Everybody's enrolments would pay for it; made once, a second start finds it."""
    for _ in range(2):
        wired(world, Config.model_validate(tomllib.loads(toml)))

    engine = open_engine(f"sqlite:///{tmp_path}/scepbox.db")
    names = {one["name"] for one in inspect(engine).get_indexes("certificate")}
    engine.dispose()
    assert {name for name in names if name and "key" in name} == made


Find: TypeAlias = Callable[[SqlRepository], object]
FOUND: list[tuple[str, Find]] = [
    ("ix_certificate_subject_key", lambda repository: repository.find_active(b"x" * 16, NOW)),
    ("ix_certificate_key_id", lambda repository: repository.find_by_key(b"x" * 20, NOW)),
    ("ix_certificate_renewed_from", lambda repository: repository.find_renewals("1f", NOW)),
]


@pytest.mark.parametrize(("index", "find"), FOUND)
def test_the_index_is_what_certificates_are_found_by(
    world: World, tmp_path: Path, index: str, find: Find
) -> None:
    """However many there are: the database says how it means to look (EXPLAIN QUERY PLAN)."""
    certificate_of(ask_for(world))

    plan = plan_of(tmp_path, find)

    assert f"USING INDEX {index}" in plan
    assert "SCAN" not in plan


PAGES = [
    ("ix_certificate_not_after", {}),
    ("ix_certificate_not_after", {"status": "valid"}),
    ("ix_certificate_not_after", {"status": "expired"}),
    ("ix_certificate_not_after", {"ends_before": NOW}),
    ("ix_certificate_revoked", {"status": "revoked"}),
    ("ix_certificate_revoked", {"status": "revoked", "profile": "lan"}),
    ("ix_certificate_profile", {"profile": "lan"}),
    ("ix_certificate_profile", {"profile": "lan", "status": "valid"}),
    ("ix_certificate_name", {"name": "ipad"}),
    ("ix_certificate_name", {"name": "ipad", "status": "valid"}),
    ("ix_certificate_name", {"name": "ipad", "status": "expired"}),
    ("ix_certificate_name", {"name": "ipad", "status": "revoked"}),
    ("ix_certificate_name", {"name": "ipad", "status": "revoked", "profile": "lan"}),
    ("ix_certificate_name", {"name": "ipad", "ends_before": NOW, "profile": "lan"}),
]


@pytest.mark.parametrize(("index", "wanted"), PAGES)
def test_a_page_begins_where_its_index_says(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, index: str, wanted: dict[str, Any]
) -> None:
    """Of a million certificates nobody sorts any, and a page ends once it is full."""
    certificate_of(ask_for(world))
    # As if there were many of each.
    monkeypatch.setattr(listing, "narrow_by", lambda *_: None)

    plan = plan_of(tmp_path, lambda repository: list(repository.list_certificates(NOW, Wanted(**wanted))))

    assert f"INDEX {index}" in plan
    assert "TEMP B-TREE" not in plan


FEW = [
    ("COVERING INDEX ix_certificate_not_after", {"status": "expired"}),
    ("COVERING INDEX ix_certificate_not_after", {"status": "valid"}),
    ("COVERING INDEX ix_certificate_not_after", {"ends_before": NOW}),
    ("INDEX ix_certificate_revoked", {"status": "revoked"}),
    ("INDEX ix_certificate_revoked", {"status": "revoked", "profile": "lan"}),
    ("COVERING INDEX ix_certificate_profile", {"status": "expired", "profile": "lan"}),
]


@pytest.mark.parametrize(("index", "wanted"), FEW)
def test_few_are_not_looked_for_among_all_names(
    world: World, tmp_path: Path, index: str, wanted: dict[str, Any]
) -> None:
    """Where they are in the order of names, nothing tells: a million names would be passed over."""
    certificate_of(ask_for(world))
    wanted["name"] = "ipad"

    plan = plan_of(
        tmp_path, lambda repository: list(repository.list_certificates(NOW, Wanted(**wanted))), first=True
    )

    assert index in plan


@pytest.mark.parametrize("times", [{}, {"revoked_since": NOW}, {"revoked_since": NOW, "ended_since": NOW}])
def test_a_crl_is_read_from_its_index_alone(world: World, tmp_path: Path, times: dict[str, Any]) -> None:
    """The certificates of fifty thousand revoked ones are as many places on the disk."""
    certificate_of(ask_for(world))

    plan = plan_of(tmp_path, lambda repository: list(repository.list_revoked(b"x", **times)))

    assert "USING COVERING INDEX ix_certificate_crl" in plan
    assert "SCAN" not in plan
    assert "TEMP B-TREE" not in plan


def test_old_refusals_are_found_among_many_that_were_issued(world: World, tmp_path: Path) -> None:
    """Anybody can have a thousand refused, and that is when they are looked for."""
    certificate_of(ask_for(world))

    plan = plan_of(tmp_path, lambda repository: repository._prune_refusals())

    assert "USING INDEX ix_request_refused" in plan or "USING COVERING INDEX ix_request_refused" in plan
    assert "TEMP B-TREE" not in plan


WAITING: dict[str, Find] = {
    "listed": lambda repository: list(repository.list_requests(NOW, "pending")),
    "counted for the queue's bound": lambda repository: repository.count_pending("default", "192.0.2.7", NOW),
    "timed out": lambda repository: take_timed_out(repository._connection, ContentKey(b"x" * 32), NOW),
}


@pytest.mark.parametrize("find", WAITING.values(), ids=WAITING.keys())
def test_what_waits_is_found_apart_from_what_was_decided(world: World, tmp_path: Path, find: Find) -> None:
    """Else each request that has to wait costs more with every one before it that a person decided on."""
    certificate_of(ask_for(world))

    plan = plan_of(tmp_path, find)

    assert "USING INDEX ix_request_pending (decide_by" in plan
    assert "SCAN" not in plan


def plan_of(folder: Path, find: Find, *, first: bool = False) -> str:
    """How SQLite means to do the one statement of *find*, or the *first*, with all indexes there may be."""
    engine = open_engine(f"sqlite:///{folder}/scepbox.db")
    statements: list[tuple[str, tuple[object, ...]]] = []

    def keep(_: object, __: object, statement: str, parameters: tuple[object, ...], *___: object) -> None:
        statements.append((statement, parameters))

    with engine.connect() as connection, connection.begin():
        assert "SCAN certificate" in _plan(connection, "SELECT * FROM certificate", ())
        SqlRepository(connection, StoreKeys.of_secret(b"")).index_certificates(by_key=True, by_subject=True)
        event.listen(connection, "before_cursor_execute", keep)
        find(SqlRepository(connection, StoreKeys.of_secret(b"")))
        found, *others = statements
        assert first or not others
        plan = _plan(connection, *found)
    engine.dispose()
    return plan


def _plan(connection: Connection, statement: str, parameters: tuple[object, ...]) -> str:
    rows = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)
    return "\n".join(str(row.detail) for row in rows)
