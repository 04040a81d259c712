"""Databases of earlier versions: brought along with all that is in them."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.command import upgrade
from alembic.config import Config
from alembic.migration import MigrationContext

from app.store import open_store, tables
from app.store.engine import open_engine
from app.store.migrate import MIGRATIONS
from ca.scep.messages import Pending, Success
from tests.waiting import by_hand, desk, requests
from tests.world import Device, World


@pytest.fixture
def url(tmp_path: Path) -> str:
    """A database in a file."""
    return f"sqlite:///{tmp_path}/scepbox.db"


def test_a_database_of_the_first_version_is_brought_along(url: str, device: Device) -> None:
    """What was issued before requests could wait is answered again after."""
    _make_at("0001", url)
    with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as database, database:
        database.execute(
            "INSERT INTO request (received_at, remote, client, transaction_id, message_type, profile,"
            " status, subject, reason, deviations)"
            " VALUES (1, 'r', 'c', 't0', 'PKCSReq', 'default', 'refused', 's', '', '')"
        )

    world = by_hand(World(url))

    assert world.enrol(device) == Pending()
    assert [one.status for one in requests(world)] == ["refused", "pending"]
    world.store.close()


def test_what_waited_before_the_upgrade_is_approved_after(url: str, tmp_path: Path, device: Device) -> None:
    """Revision 0003 kept neither which CA was asked nor where the status of the certificate is told."""
    world = by_hand(World(url))
    world.enrol(device)
    world.store.close()
    former = f"sqlite:///{tmp_path}/former.db"
    _make_at("0003", former)
    _copy(url, former)

    upgraded = by_hand(World(former))
    issued = desk(upgraded).approve(1)

    assert upgraded.enrol(device) == Success(issued.der)
    upgraded.store.close()


def test_the_migrations_make_the_tables_that_the_program_knows(url: str) -> None:
    """Nothing is missing from either, indexes included."""
    open_store(url).close()
    engine = open_engine(url)
    with engine.connect() as connection:
        differences = compare_metadata(MigrationContext.configure(connection), tables.metadata)
    engine.dispose()

    assert differences == []


def _make_at(revision: str, url: str) -> None:
    """A database as an earlier version left it."""
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    engine = open_engine(url)
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        upgrade(config, revision)
    engine.dispose()


def _copy(source: str, target: str) -> None:
    """Give an earlier version's database what it has columns for."""
    path = source.removeprefix("sqlite:///")
    with closing(sqlite3.connect(target.removeprefix("sqlite:///"))) as database, database:
        database.execute("ATTACH ? AS source", [path])
        tables = "SELECT name FROM main.sqlite_master WHERE type = 'table' AND name <> 'alembic_version'"
        for (table,) in database.execute(tables).fetchall():
            columns = ", ".join(row[1] for row in database.execute(f"PRAGMA main.table_info({table})"))
            rows = f"SELECT {columns} FROM source.{table}"
            database.execute(f"INSERT OR REPLACE INTO main.{table} ({columns}) {rows}")
