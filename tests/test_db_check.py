"""``db check``: what is found out about a database, row by row, and that nothing is said of one in order."""

import json
import random
import shutil
from pathlib import Path

import pytest

from tests.backing_up import (
    ANY_PORT,
    assert_refused,
    did_here,
    enrol,
    here,
    make_ca,
    rows_of,
    run_sql,
    server_of,
    settings,
    sqlite_of,
)
from tests.command_line import run
from tests.databases import server
from tests.world import certificate_of


@pytest.fixture(scope="module")
def used(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A CA that issued two certificates, revoked one, and has a request waiting; with its backup."""
    home = tmp_path_factory.mktemp("used")
    make_ca(home / "data")
    with server_of(home / "data") as service:
        serials = [certificate_of(enrol(service, name)).serial_number for name in ("one", "two")]
        enrol(service, "waits", "slow", None)
    did_here("cert", "revoke", f"{serials[0]:x}", "--data", home / "data")
    did_here("backup", home / "b.zip", "--data", home / "data")
    return home


@pytest.fixture
def data(used: Path, tmp_path: Path) -> Path:
    """A copy of it, to be broken."""
    return Path(shutil.copytree(used / "data", tmp_path / "data"))


def test_a_database_in_order_is_told_so(data: Path) -> None:
    """And nothing is written, so that it can be looked at wherever it lies."""
    before = rows_of(sqlite_of(data))

    report = json.loads(did_here("db", "check", "--json", "--data", data))

    assert report == {"whole": True, "faults": []}
    assert rows_of(sqlite_of(data)) == before


IN_THE_MIDDLE = 8192
FAULTS = {
    "UPDATE certificate SET subject = 'CN=other' WHERE reason IS NULL": "its subject is not that of its row",
    "UPDATE certificate SET not_after = not_after + 1": "its not_after is not that of its row",
    "UPDATE certificate SET key_id = x'00'": "its key_id is not that of its row",
    "UPDATE certificate SET name = 'zzz' WHERE reason IS NULL": "its name is not that of its row",
    "UPDATE certificate SET issuer_key = x'00' WHERE reason IS NOT NULL": "its issuer_key is not that",
    "UPDATE certificate SET reason = 'nix' WHERE reason IS NOT NULL": "its reason is none",
    "UPDATE certificate SET revoked_at = NULL, reason = NULL, issuer_key = NULL": "OCSP calls it good",
    "UPDATE certificate SET der = x'3000'": "it cannot be read",
    "UPDATE crl SET number = number + 1": "its number is not that of its row",
    "UPDATE crl SET next_update = next_update + 1": "its times are not those of its row",
    "UPDATE crl SET issuer = 'x'": "it is of no CA in the folder",
    "UPDATE crl SET der = x'3000'": "it cannot be read",
    "UPDATE held SET request_id = (SELECT min(id) FROM request)": "kept under another secrets.key",
    "UPDATE request SET serial = 'beef' WHERE id = 1": "refers to what is not in certificate",
    "DROP TRIGGER audit_in_order": "the trigger audit_in_order is missing",
    "DROP INDEX ix_crl_issuer": "the index ix_crl_issuer is missing",
    "ALTER TABLE held DROP COLUMN grants": "held has no column grants",
    "DROP TABLE notification": "the table notification is missing",
    "UPDATE alembic_version SET version_num = '0005'": "it has schema 0005",
}


@pytest.mark.parametrize("statement", FAULTS)
def test_what_somebody_changed_is_found(data: Path, statement: str) -> None:
    """With the row that it is wrong with; exit code 1 is for scripts that watch over it."""
    run_sql(sqlite_of(data), statement)

    done = here("db", "check", "--data", data)

    assert_refused(done, FAULTS[statement], code=1)
    assert "is not in order (1 found)" in done.err


def test_a_certificate_that_its_row_alone_calls_revoked_is_found(data: Path) -> None:
    """Whoever goes by the CRL takes it for good."""
    one, other = (f"serial = (SELECT {which}(serial) FROM certificate)" for which in ("min", "max"))
    mark = (
        "UPDATE certificate SET revoked_at = (SELECT max(revoked_at) FROM certificate),"
        " reason = 'superseded', issuer_key = (SELECT max(issuer_key) FROM certificate) WHERE "
    )
    for serial in (one, other):
        run_sql(sqlite_of(data), mark + serial)

    done = here("db", "check", "--data", data)

    assert_refused(done, "it is revoked, and the last CRL does not list it", code=1)
    assert "is not in order (1 found)" in done.err


def test_a_certificate_that_the_crl_alone_knows_is_found(data: Path) -> None:
    """Somebody has deleted it: OCSP does not know it any more."""
    run_sql(sqlite_of(data), "UPDATE request SET serial = NULL")
    run_sql(sqlite_of(data), "DELETE FROM certificate WHERE reason IS NOT NULL")
    run_sql(sqlite_of(data), "UPDATE certificate SET serial = 'no number'")

    done = here("db", "check", "--data", data)

    assert done.code == 1
    assert ": the last CRL lists it, and it is not here" in done.err
    assert "certificate no number: its serial is not that of its row" in done.err


def test_certificates_of_a_stranger_are_found(data: Path, tmp_path: Path) -> None:
    """A database beside the CA of somebody else can revoke nothing and answers nobody."""
    make_ca(tmp_path / "other")
    for name in ("ca.pem", "ca.key"):
        (data / "ca" / name).write_bytes((tmp_path / "other" / "ca" / name).read_bytes())

    (fault,) = json.loads(here("db", "check", "--json", "--data", data).out)["faults"]
    shutil.rmtree(data / "ca")
    did_here("init", "--make-missing", "--data", data)
    faults = json.loads(here("db", "check", "--json", "--data", data).out)["faults"]

    assert "it does not belong to this folder: it is of CN=" in fault["what"]
    # All CAs are called alike, so that the signature alone tells.
    assert {(one["what"], one["count"]) for one in faults} == {
        ("its signature is not that of a CA in the folder", 2),
        ("it is of no CA in the folder", 1),
    }


def test_another_secret_is_found(data: Path) -> None:
    """Neither the audit log nor what waits is of any use with it."""
    (data / "secrets.key").write_text("0" * 64)

    (fault,) = json.loads(here("db", "check", "--json", "--data", data).out)["faults"]
    (data / "secrets.key").unlink()
    did_here("init", "--make-missing", "--data", data)
    (sealed,) = json.loads(here("db", "check", "--json", "--data", data).out)["faults"]

    assert "it does not belong to this folder: it was used under another secrets.key" in fault["what"]
    assert sealed["what"] == "it was kept under another secrets.key"


@pytest.mark.parametrize("where", [16, IN_THE_MIDDLE, "all"])
def test_a_damaged_file_is_told_and_left_as_it_is(data: Path, where: int | str) -> None:
    """In plain words by whatever verb meets it; what may yet be mended is overwritten by none."""
    database = data / "scepbox.db"
    octets = bytearray(database.read_bytes())
    start = 0 if where == "all" else int(where)
    octets[start : start + 12_000] = b"\xa5" * 12_000
    database.write_bytes(octets)

    checked = here("db", "check", "--data", data)
    others = []
    if where != IN_THE_MIDDLE:
        # Of what is in the middle they hear when they come to it.
        others = [
            here("challenge", "new", "--data", data),
            here("backup", data.parent / "b.zip", "--data", data),
        ]
        others.append(run("serve", *ANY_PORT, "--data", data))

    assert_refused(checked, "damaged", code=1)
    for done in others:
        assert_refused(done, "scepbox.db cannot be used", "damaged", "restore")
    assert database.read_bytes() == octets
    assert not (data.parent / "b.zip").exists()


def test_octets_that_flipped_are_told_row_by_row(data: Path) -> None:
    """What can be read is looked at all the same, and a machine hears of it as of anything else."""
    garbled = "CAST(x'434e3dff' AS TEXT)"
    run_sql(
        sqlite_of(data),
        f"UPDATE certificate SET subject = {garbled} WHERE reason IS NULL",
        f"UPDATE challenge SET note = {garbled} WHERE id = 2",
        "UPDATE request SET received_at = 'never' WHERE id = 1",
        "UPDATE crl SET der = x'3000'",
        "DROP TRIGGER audit_not_updated",
        f"UPDATE audit SET detail = {garbled} WHERE number = 2",
    )

    done = here("db", "check", "--json", "--data", data)

    faults = {one["what"]: one["examples"] for one in json.loads(done.out)["faults"]}
    ((certificate,), *_) = [named for what, named in faults.items() if what == "its subject is not UTF-8"]
    assert certificate.startswith("certificate ")
    assert faults["its note is not UTF-8"] == ["challenge 2"]
    assert faults["its received_at holds what is no number"] == ["request 1"]
    assert any(what.startswith("it cannot be read") for what in faults)
    assert any("audit_not_updated" in what for what in faults)
    assert any("see: log verify" in what for what in faults)
    assert len(faults) == 6
    assert done.code == 1
    assert "is not in order (6 found)" in done.err
    assert_refused(here("log", "verify", "--data", data), "entry 2: changed", code=1)
    assert_refused(here("cert", "list", "--data", data), "the file is damaged")


@pytest.mark.parametrize("seed", range(4))
def test_wherever_octets_flipped_the_check_goes_through(data: Path, seed: int) -> None:
    """Forty of them, as a disk or a memory that fails leaves them; the file is left as it is."""
    database, chance = data / "scepbox.db", random.Random(seed)
    octets = bytearray(database.read_bytes())
    pages = [at for at in range(len(octets)) if octets[at]]
    for at in chance.sample(pages, 40):
        octets[at] ^= 1 << chance.randrange(8)
    database.write_bytes(octets)

    done = here("db", "check", "--json", "--data", data)

    assert done.code == 1, done.err
    assert json.loads(done.out)["faults"]
    assert database.read_bytes() == octets


@pytest.mark.databases("postgresql")
def test_postgresql_is_checked_alike(used: Path, tmp_path: Path) -> None:
    """What is not the file's, which PostgreSQL looks after, is the same."""
    data, url = tmp_path / "data", server().new_database("template0")
    data.mkdir()
    (data / "scepbox.toml").write_text(settings(url), "utf-8")
    did_here("restore", used / "b.zip", "--data", data)
    in_order = here("db", "check", "--data", data)

    run_sql(url, "UPDATE certificate SET subject = 'CN=other'")
    changed = here("db", "check", "--data", data)
    run_sql(url, "DROP TRIGGER audit_not_changed ON audit")
    dropped = here("db", "check", "--data", data)

    assert in_order.code == 0, in_order.err
    assert_refused(changed, "its subject is not that of its row", code=1)
    assert_refused(dropped, "the trigger audit_not_changed is missing", code=1)
