"""Databases of earlier versions: brought along with all that is in them."""

import json
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from functools import partial
from pathlib import Path
from threading import Barrier

import pytest
from alembic.autogenerate import compare_metadata
from alembic.command import upgrade
from alembic.config import Config
from alembic.migration import MigrationContext
from sqlalchemy import text

from app.data_folder import DataFolder
from app.store import SqlRepository, Wanted, open_store, tables
from app.store.database_file import make_file
from app.store.engine import named_file, open_engine
from app.store.migrate import HEAD, MIGRATIONS
from ca.errors import StoreUnavailable
from ca.issuing.key_store import encode_private_key
from ca.issuing.root import encode_pem
from ca.ports import StoredCertificate
from ca.scep.messages import Pending, Success
from tests.backing_up import assert_refused, did_here, here, settings
from tests.databases import POSTGRESQL, looking_into, server
from tests.test_revocation import do_revoke, issue, publish, serials
from tests.waiting import by_hand, desk, requests
from tests.world import NOW, Device, World, certificate_of


@pytest.fixture
def url(tmp_path: Path, database_kind: str) -> str:
    """A database without a table."""
    return server().new_database("template0") if database_kind == POSTGRESQL else _file(tmp_path)


@pytest.mark.databases
def test_a_database_of_the_first_version_is_brought_along(url: str, device: Device) -> None:
    """What was issued before requests could wait is answered again after."""
    _make_at("0001", url)
    with looking_into(url) as database:
        database.execute(
            text(
                "INSERT INTO request (received_at, remote, client, transaction_id, message_type, profile,"
                " status, subject, reason, deviations)"
                " VALUES (1, 'r', 'c', 't0', 'PKCSReq', 'default', 'refused', 's', '', '')"
            )
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
    issued = desk(upgraded).approve(1).certificate

    assert upgraded.enrol(device) == Success(issued.der)
    upgraded.store.close()


def test_what_was_revoked_before_the_upgrade_stays_so(url: str, tmp_path: Path) -> None:
    """Revision 0006 kept neither whose CRL it is on, nor what a certificate is looked up by."""
    world = World(url)
    old, other = issue(world, "iPad-17").serial, issue(world, "ipad-18").serial
    do_revoke(world, old)
    world.store.close()
    former = f"sqlite:///{tmp_path}/former.db"
    _make_at("0006", former)
    _copy(url, former)

    upgraded = World(former)
    do_revoke(upgraded, other)
    wanted = Wanted(name="IPAD-17")
    found = upgraded.store.read(lambda repository: list(repository.list_certificates(NOW, wanted)))

    assert serials(publish(upgraded)) == {old, other}
    assert [one.serial for one in found] == [old]
    upgraded.store.close()


@pytest.mark.databases
def test_the_migrations_make_the_tables_that_the_program_knows(url: str) -> None:
    """Nothing is missing from either, indexes included."""
    open_store(url).close()
    engine = open_engine(url)
    with engine.connect() as connection:
        differences = compare_metadata(MigrationContext.configure(connection), tables.metadata)
    engine.dispose()

    assert differences == []


@pytest.mark.databases
def test_two_that_start_at_once_make_the_tables_once(url: str) -> None:
    """Of two servers with an empty database between them the second finds it made."""
    start = Barrier(4)

    def make(_: int) -> None:
        start.wait()
        open_store(url).close()

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(make, range(4)))

    with looking_into(url) as database:
        assert database.scalars(text("SELECT version_num FROM alembic_version")).all() == [HEAD]


@pytest.mark.databases("postgresql")
def test_a_database_that_cannot_keep_every_text_is_refused() -> None:
    """A name in Japanese has to fit, and is told at the start, not at the first such device."""
    made = f"odd_{server().new_database().rpartition('/')[2]}"
    server().do(f"CREATE DATABASE {made} TEMPLATE template0 ENCODING 'LATIN1'")

    with pytest.raises(StoreUnavailable, match="encoding is LATIN1"):
        open_store(server().url(made))


@pytest.mark.databases
@pytest.mark.parametrize("revision", ["0001", "0002", "0003", "0004", "0005"])
def test_db_migrate_goes_forward_from_every_schema(url: str, tmp_path: Path, revision: str) -> None:
    """Whoever skipped some versions brings all along: what was issued is found as it was, by its key too."""
    data = tmp_path / "data"
    data.mkdir()
    (data / "scepbox.toml").write_text(settings(url), "utf-8")
    _make_at(revision, url)
    world = World("sqlite://")
    certificate_of(world.enrol(Device()))
    (issued,) = world.issued()
    world.store.close()
    make_ca_around(data, world)
    names = [
        "serial",
        "der",
        "subject",
        "subject_alt_names",
        "profile",
        "not_before",
        "not_after",
        "transaction_id",
    ]
    row = {name: getattr(issued, name) for name in names}
    times = {name: int(row[name].timestamp()) for name in ("not_before", "not_after")}
    places = ", ".join(f":{name}" for name in names)
    with looking_into(url) as database:
        statement = text(f"INSERT INTO certificate ({', '.join(names)}) VALUES ({places})")
        database.execute(statement, {**row, **times, "subject_alt_names": "[]"})

    found = here("db", "check", "--data", data)
    migrated = json.loads(did_here("db", "migrate", "--json", "--data", data))
    again = here("db", "migrate", "--data", data)

    assert_refused(found, f"it has schema {revision}", "db migrate", code=1)
    assert migrated == {"before": revision, "after": HEAD}
    assert f"has schema {HEAD} already" in again.err
    did_here("db", "check", "--data", data)
    assert json.loads(did_here("cert", "list", "--json", "--data", data))[0]["serial"] == issued.serial
    with looking_into(url) as database:
        assert database.scalars(text("SELECT key_id FROM certificate")).all() == [issued.key_id]


def make_ca_around(data: Path, world: World) -> None:
    """Make the folder of the CA in *world*."""
    folder = DataFolder(data)
    folder.make_secret()
    pem = encode_pem(world.ca)
    folder.put_ca({"ca.pem": pem, "ca.key": encode_private_key(world.key)})


@pytest.mark.databases
def test_a_schema_of_a_newer_program_is_left_alone(url: str, tmp_path: Path) -> None:
    """An earlier program would not know what it writes to."""
    data = tmp_path / "data"
    data.mkdir()
    (data / "scepbox.toml").write_text(settings(url), "utf-8")
    did_here("init", "--data", data)
    with looking_into(url) as database:
        database.execute(text("UPDATE alembic_version SET version_num = '0999'"))

    assert_refused(here("db", "migrate", "--data", data), "schema 0999", "install the newer scepbox\n")
    checked = here("db", "check", "--data", data)
    assert_refused(checked, "schema 0999", "install the newer scepbox", code=1)
    assert "db migrate" not in checked.err


def _file(folder: Path) -> str:
    return f"sqlite:///{folder}/scepbox.db"


def _make_at(revision: str, url: str) -> None:
    """A database as an earlier version left it."""
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    file = named_file(url)
    if file:
        make_file(file)
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


@pytest.mark.databases
def test_letters_beyond_ascii_in_an_alternative_name_are_found_after(url: str) -> None:
    """Revision 0010 kept them as escapes of JSON, in which nobody looks for them."""
    _make_at("0010", url)
    names = json.dumps(["dns:Jörg.example", 'upn:"東京"@example'])
    with looking_into(url) as database:
        database.execute(
            text(
                "INSERT INTO certificate (serial, der, subject, subject_alt_names, profile, not_before,"
                " not_after, transaction_id) VALUES ('1f', :der, 's', :names, 'default', 1, 2, 't')"
            ),
            {"der": b"", "names": names},
        )

    world = World(url)
    found = [
        world.store.read(partial(list_wanted, wanted=Wanted(subject=part)))
        for part in ("jörg", "東京", "nobody")
    ]
    world.store.close()

    assert [len(some) for some in found] == [1, 1, 0]
    assert found[0][0].subject_alt_names == ("dns:Jörg.example", 'upn:"東京"@example')


def list_wanted(repository: SqlRepository, wanted: Wanted) -> list[StoredCertificate]:
    return list(repository.list_certificates(NOW, wanted))
