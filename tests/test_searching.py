"""Searching for a part of a name: what is found is the same with the index for it and without."""

import os
import re
import sqlite3
import stat
import threading
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import event, select, text

from app.store import SqlRepository, Wanted, listing, open_store, search_file, search_trgm, searching
from app.store.searching import narrow
from app.store.structure_check import check_file
from ca.errors import StoreUnavailable
from ca.ports import StoredCertificate
from tests.databases import SQLITE, looking_into, new_database, server
from tests.test_revocation import issue
from tests.world import NOW, World

SUBJECTS = [
    "CN=ipad-1,O=Example",
    "CN=IPAD-10,O=Example",
    "CN=100%_sure",
    "CN=a_b%c",
    "CN=say \"now\" or 'never'",
    "CN=back\\slash\\+",
    "CN=Jörg",
    "CN=JÖRG",
    "CN=İstanbul",
    "CN=ΣΊΣΥΦΟΣ σίσυφος",
    "CN=\u212aelvin",
    "CN=東京都の電話",
    "CN=\U0001f4f1\U0001f4f1 phone",
    "CN=AND OR NOT NEAR(a b)*",
    "O=xyz",
    "",
]
SANS = [(), ("dns:host.example",), ("dns:Jörg.example", "ip:10.0.0.1"), ('upn:"quoted"@example',)]
LETTERS = "aAbBcCiIjJnN öÖİßΣσς\u212a東京\U0001f4f1%_\"'\\-=*+(),.[]:/"


@pytest.fixture
def url(monkeypatch: pytest.MonkeyPatch) -> str:
    """A database whose index is wanted from the first certificate on, and grows by a few at a time."""
    monkeypatch.setattr(searching, "AT_ONCE", 3)
    monkeypatch.setattr(search_trgm, "LEAST_CERTIFICATES", 1)
    return new_database(shared=True)


@pytest.fixture
def world(url: str) -> Iterator[World]:
    """A certificate of each name, with and without alternative names, of several ends, some revoked."""
    world = World(url)
    fill(world, SUBJECTS)
    yield world
    world.store.close()


def fill(world: World, subjects: list[str]) -> None:
    """Keep a certificate of each of the *subjects*."""
    known = world.issued()
    template = known[0] if known else issue(world)
    key = world.responder.authority.issuer_key

    def add(repository: SqlRepository) -> None:
        for number, subject in enumerate(subjects, len(known)):
            one = replace(
                template,
                serial=f"b{number:04x}",
                subject=subject,
                subject_alt_names=SANS[number % len(SANS)],
                name=subject.lower(),
                not_after=NOW + timedelta(days=(number * 7) % 5 - 1),
            )
            repository.add_certificate(one)
            if number % 4 == 0:
                repository.revoke_certificate(one.serial, NOW, "superseded", key)

    world.store.transact(add)


def index(world: World) -> None:
    """Bring the index as far as it goes."""
    while world.store.index_names():
        pass


def found(world: World, wanted: Wanted) -> list[StoredCertificate]:
    return world.store.read(lambda repository: list(repository.list_certificates(NOW, wanted)))


def found_without(world: World, wanted: Wanted) -> list[StoredCertificate]:
    """The same, by looking at all."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(listing, "narrow", lambda *_: None)
        return found(world, wanted)


def is_narrowed(world: World, part: str) -> bool:
    """Whether it is known that few have it, and which."""

    def work(repository: SqlRepository) -> bool:
        narrowed = narrow(repository._connection, part)
        return narrowed is not None and narrowed.is_few

    return world.store.read(work)


def parts() -> st.SearchStrategy[str]:
    """Some that are there, in another case perhaps, and some that look like them."""
    whole = st.sampled_from(SUBJECTS)
    start, size = st.integers(0, 12), st.integers(1, 9)
    pieces = st.builds(lambda text, at, length: text[at : at + length], whole, start, size)
    changed = st.one_of(pieces, pieces.map(str.upper), pieces.map(str.lower), pieces.map(str.swapcase))
    return st.one_of(changed, st.text(LETTERS, max_size=6), whole)


@pytest.mark.databases
def test_the_index_changes_nothing_in_what_is_found(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever is asked for: signs that mean something to the databases, letters of any script."""
    index(world)
    # What is not in the file yet is found beside it, and read in pages.
    fill(world, ["CN=ipad-99", "CN=jÖrg 2"])
    monkeypatch.setattr(listing, "ROWS_AT_ONCE", 2)

    @settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
    @given(
        part=parts(),
        status=st.sampled_from(["all", "all", "valid", "expired", "revoked"]),
        name=st.sampled_from(["", "", "", "cn=i"]),
        after=st.sampled_from(["", "", "b0003"]),
        limit=st.sampled_from([0, 0, 1, 3]),
    )
    def same(part: str, status: str, name: str, after: str, limit: int) -> None:
        wanted = Wanted(status, name=name, subject=part, after=after, limit=limit)
        assert found(world, wanted) == found_without(world, wanted)
        # The trigrams of PostgreSQL know letters alone, and in this locale those of ASCII.
        if len(part) < 3 or re.search("[A-Za-z0-9]{3}", part):
            assert is_narrowed(world, part) == bool(part)

    same()
    assert {one.subject for one in found(world, Wanted(subject="IPAD-"))} == {
        "CN=ipad-1,O=Example",
        "CN=IPAD-10,O=Example",
        "CN=ipad-99",
        *(one.subject for one in world.issued() if one.subject.startswith("CN=ipad-17")),
    }


@pytest.mark.databases
@pytest.mark.parametrize("indexed", [True, False])
def test_a_name_is_found_as_it_is_written(world: World, indexed: bool) -> None:
    """Whatever letters are in it: folded here, those that the database leaves as they are would be missed."""
    if indexed:
        index(world)

    for subject in filter(None, SUBJECTS):
        assert subject in {one.subject for one in found(world, Wanted(subject=subject))}
    for part in ("s:Jörg.ex", "ö", "rg", "g.", '"]'):
        names = {names for one in found(world, Wanted(subject=part)) for names in one.subject_alt_names}
        assert "dns:Jörg.example" in names


@pytest.mark.databases
def test_what_many_have_is_looked_for_in_the_order_of_the_list(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a page of a hundred would have all of a million put in order."""
    index(world)
    monkeypatch.setattr(searching, "MOST_FOUND", 3)

    assert is_narrowed(world, "slash")
    assert not is_narrowed(world, "cn=")
    # So many that are not in the file yet, and some of them are like those that are.
    fill(world, ["CN=later"] * 4 + ["CN=Jörg"])
    for part in ("cn=", "jörg", "later", "nobody"):
        assert found(world, Wanted(subject=part)) == found_without(world, Wanted(subject=part))


@pytest.mark.databases
def test_the_index_grows_while_devices_enrol(world: World) -> None:
    """Servers on one database bring it on at once, none in another's way, and nothing is missed."""
    over = threading.Event()
    faults: list[Exception] = []

    def grow() -> None:
        store = open_store(world.store._engine.url)
        try:
            while not over.is_set():
                store.index_names()
        except Exception as error:
            faults.append(error)
        finally:
            store.close()

    threads = [threading.Thread(target=grow) for _ in range(3)]
    for one in threads:
        one.start()
    try:
        for number in range(40):
            fill(world, [f"CN=printer-{number}-{place}" for place in range(3)])
            assert len(found(world, Wanted(subject=f"PRINTER-{number}-"))) == 3
    finally:
        over.set()
        for one in threads:
            one.join()
    index(world)

    assert not faults
    assert is_narrowed(world, "printer")
    assert len(found(world, Wanted(subject="printer-"))) == 120


def file_of(url: str) -> Path:
    path = Path(url.removeprefix("sqlite:///"))
    return path.with_name(f"{path.stem}-search.db")


def faults(world: World) -> list[str]:
    """What ``db check`` says of the database's files."""
    return world.store.read(lambda repository: list(check_file(repository._connection)))


WHY = "file is not a database"


@pytest.mark.databases(SQLITE)
def test_the_file_is_its_owner_s_alone_and_may_be_lost(world: World, url: str) -> None:
    """It tells who has a certificate. It is made anew where it is gone, damaged, or of another database."""
    index(world)
    file = file_of(url)
    modes = [stat.S_IMODE(one.stat().st_mode) for one in file.parent.glob(f"{file.name}*")]
    if os.name == "posix":
        assert set(modes) == {0o600}

    file.unlink()
    gone = is_narrowed(world, "ipad")
    index(world)
    again = is_narrowed(world, "ipad")
    in_order = faults(world)
    file.write_bytes(b"\xa5" * 20_000)
    told = faults(world)
    damaged = found(world, Wanted(subject="ipad-10"))
    with pytest.raises(StoreUnavailable, match="not a database"):
        index(world)
    index(world)
    mended = is_narrowed(world, "ipad")
    with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as database:
        database.execute("VACUUM")
    assert is_narrowed(world, "ipad")
    assert found(world, Wanted(subject="ipad")) == found_without(world, Wanted(subject="ipad"))
    # As if another database had been put in the place of this one.
    with looking_into(url) as other_database:
        last = other_database.scalar(text("SELECT max(rowid) FROM certificate"))
        other_database.execute(text("UPDATE certificate SET rowid = rowid + 1000000"))
        other_database.execute(text("UPDATE certificate SET rowid = :last + 1000001 - rowid"), {"last": last})
    other = is_narrowed(world, "ipad")
    index(world)

    assert not in_order
    assert told == [
        f"the index for searching is damaged; remove it, and a server makes it anew: {file}: {WHY}"
    ]
    assert (gone, again, mended, other) == (False, True, True, False)
    assert [one.subject for one in damaged] == ["CN=IPAD-10,O=Example"]
    assert is_narrowed(world, "ipad")
    assert found(world, Wanted(subject="ipad")) == found_without(world, Wanted(subject="ipad"))


@pytest.mark.databases(SQLITE)
def test_without_trigrams_all_are_looked_at(world: World, monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    """SQLite before 3.34, or built without FTS5, in a folder where another version made the file as well."""
    index(world)
    for module in (searching, search_file):
        monkeypatch.setattr(module, "can_search", lambda: False)

    assert not is_narrowed(world, "ipad")
    assert not world.store.index_names()
    assert found(world, Wanted(subject="ipad-10"))


@pytest.mark.databases(SQLITE)
def test_few_are_read_by_their_numbers(world: World, url: str) -> None:
    """However many others there are (EXPLAIN QUERY PLAN)."""
    index(world)

    def plan(repository: SqlRepository) -> str:
        few = narrow(repository._connection, "ipad")
        assert few
        statement = select(listing._cert.c.serial).where(few.condition, listing._cert.c.not_after > 5)
        compiled = statement.order_by(listing._cert.c.not_after).compile(
            repository._connection, compile_kwargs={"literal_binds": True}
        )
        rows = repository._connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {compiled}")
        return "\n".join(str(row.detail) for row in rows)

    assert "SEARCH certificate USING INTEGER PRIMARY KEY (rowid=?)" in world.store.read(plan)


@pytest.mark.databases("postgresql")
def test_postgresql_finds_by_its_index(world: World) -> None:
    """What is asked is what the index was made of, to the letter (EXPLAIN)."""
    index(world)
    asked: list[Any] = []

    def plan(repository: SqlRepository) -> str:
        connection = repository._connection
        event.listen(
            connection, "before_cursor_execute", lambda _, __, *statement: asked.append(statement[:2])
        )
        assert narrow(connection, "IPAD")
        statement, parameters = next(one for one in asked if "LIKE" in one[0])
        # Of so few it would look at all.
        connection.exec_driver_sql("SET LOCAL enable_seqscan = off")
        return "\n".join(connection.exec_driver_sql(f"EXPLAIN {statement}", parameters).scalars())

    assert "Index Scan on ix_certificate_names" in world.store.read(plan)


@pytest.mark.databases("postgresql")
def test_postgresql_without_the_extension_looks_at_all(url: str, world: World) -> None:
    """Not every user may have it made: that is told, nothing else fails, and it is made once he may."""
    user, name = f"poor_{os.getpid()}", url.rpartition("/")[2]
    server().do(f"CREATE ROLE {user} LOGIN")
    server().do(f"ALTER TABLE certificate OWNER TO {user}", name)
    server().do(f"GRANT ALL ON ALL TABLES IN SCHEMA public TO {user}", name)
    poor = open_store(server().url(name, user))
    with pytest.raises(StoreUnavailable, match="permission denied"):
        poor.index_names()
    before = is_narrowed(world, "ipad")
    server().do(f"GRANT CREATE ON DATABASE {name} TO {user}")
    server().do(f"GRANT CREATE ON SCHEMA public TO {user}", name)
    poor.index_names()
    poor.close()

    assert not before
    assert is_narrowed(world, "ipad")
