"""``backup`` and ``restore``: the CA in one file while it serves, and back again on either database."""

import json
import os
import stat
import threading
from collections.abc import Sequence
from pathlib import Path

import pytest

from ca.scep.messages import Pending
from tests.backing_up import (
    assert_refused,
    did_here,
    enrol,
    here,
    make_ca,
    rows_of,
    server_of,
    settings,
    sqlite_of,
)
from tests.command_line import did
from tests.databases import server
from tests.world import certificate_of

pytestmark = pytest.mark.databases("postgresql")
_Rows = dict[str, Sequence[tuple[object, ...]]]


def _same(before: _Rows, after: _Rows, more_entries: int) -> None:
    """Assert that all rows are the same, but for the entries of the audit log at the end of *after*."""
    assert len(after["audit"]) - len(before["audit"]) == more_entries
    assert {**after, "audit": after["audit"][: len(before["audit"])]} == before


def test_a_ca_moves_to_postgresql_and_back_while_it_serves(tmp_path: Path) -> None:
    """Nothing is lost on the way; numbers, challenges, the audit log and the CRL go on where they were."""
    first, second, third = (tmp_path / name for name in ("first", "second", "third"))
    make_ca(first)
    with server_of(first) as service:
        certificates = [certificate_of(enrol(service, f"device-{number}")) for number in range(3)]
        assert enrol(service, "waits", "slow", None) == Pending()
        did_here("cert", "revoke", f"{certificates[0].serial_number:x}", "--data", first)
        before = rows_of(sqlite_of(first))
        head = json.loads(did("backup", tmp_path / "one.zip", "--json", "--data", first))["audit_head"]
    second.mkdir()
    url = server().new_database("template0")
    (second / "scepbox.toml").write_text(settings(url), "utf-8")

    did("restore", tmp_path / "one.zip", "--data", second)
    moved = rows_of(url)
    with server_of(second) as service:
        certificate_of(enrol(service, "device-9"))
        did_here("challenge", "new", "--data", second)
        did_here("request", "approve", "4", "--data", second)
        did_here("crl", "publish", "--data", second)
        certificate_of(enrol(service, "waits", "slow", None))
        at_second = rows_of(url)
        did("backup", tmp_path / "two.zip", "--data", second)
    third.mkdir()
    (third / "scepbox.toml").write_text(settings(), "utf-8")
    did("restore", tmp_path / "two.zip", "--data", third)
    back = rows_of(sqlite_of(third))

    _same(before, moved, 1)
    _same(at_second, back, 1)
    assert int(str(at_second["crl"][0][0])) > int(str(before["crl"][0][0]))
    assert [row[0] for row in at_second["challenge"]] == [1, 2, 3]
    assert (third / "ca" / "ca.key").read_bytes() == (first / "ca" / "ca.key").read_bytes()
    for data in (second, third):
        did_here("db", "check", "--data", data)
        did_here("log", "verify", "--head", head, "--data", data)
    with server_of(third) as service:
        certificate_of(enrol(service, "device-10"))
    did_here("db", "check", "--data", third)


def test_a_backup_says_itself_which_database_it_is_of(tmp_path: Path) -> None:
    """That is there still where the folder alone was lost; who reads it is told how to have another."""
    data, password = tmp_path / "data", tmp_path / "password"
    data.mkdir()
    password.write_text("needless here")
    password.chmod(0o644)
    url = f'url = "{server().new_database("template0")}"\npassword_file = "{password.as_posix()}"\n'
    (data / "scepbox.toml").write_text(f"[database]\n{url}", "utf-8")
    made = here("init", "--data", data)
    did_here("backup", tmp_path / "b.zip", "--data", data)
    sqlite = {"SCEPBOX_DATABASE__URL": ""}

    refused = here("restore", tmp_path / "b.zip", "--data", tmp_path / "new")
    restored = here("restore", tmp_path / "b.zip", "--data", tmp_path / "new", environment=sqlite)

    if os.name != "nt":
        assert f"warning: {password} can be read by others" in made.err
    assert_refused(refused, "the settings in the backup", "SCEPBOX_DATABASE__URL set to nothing")
    assert restored.code == 0, restored.err
    assert "alone names another database" in restored.err
    assert here("challenge", "new", "--data", tmp_path / "new", environment=sqlite).code == 0


def test_what_is_enrolled_meanwhile_is_there_whole_or_not_at_all(tmp_path: Path) -> None:
    """A backup is one moment of the database, however long it takes."""
    data, other = tmp_path / "data", tmp_path / "other"
    make_ca(data)
    over = threading.Event()
    with server_of(data) as service:
        enrol(service, "device")

        def go_on() -> None:
            number = 0
            while not over.is_set():
                number += 1
                enrol(service, f"device-{number}")

        thread = threading.Thread(target=go_on)
        thread.start()
        try:
            done = json.loads(did_here("backup", tmp_path / "b.zip", "--json", "--data", data))
        finally:
            over.set()
            thread.join()

    did_here("restore", tmp_path / "b.zip", "--data", other)

    did_here("db", "check", "--data", other)
    found = rows_of(sqlite_of(other))
    issued = [row for row in found["audit"] if row[5] == "issued"]
    assert len(found["certificate"]) == len(found["request"]) == len(issued) == done["rows"]["certificate"]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a CA in ``data`` and its backup in ``b.zip``."""
    home = tmp_path_factory.mktemp("made")
    make_ca(home / "data")
    (home / "data" / "hook.secret").write_text("s3cret")
    did_here("ca", "rollover", "prepare", "--data", home / "data")
    did_here("ca", "rollover", "activate", "--data", home / "data")
    did_here("backup", home / "b.zip", "--data", home / "data")
    return home


def test_all_of_the_folder_comes_back_as_it_was(made: Path, tmp_path: Path) -> None:
    """Keys, former CAs, settings and what validators need, for their owner alone, and their times."""
    did_here("restore", made / "b.zip", "--data", tmp_path / "data")

    def files(top: Path) -> dict[str, tuple[bytes, int]]:
        return {
            path.relative_to(top).as_posix(): (path.read_bytes(), int(path.stat().st_mtime))
            for path in top.rglob("*")
            if path.is_file() and not path.name.startswith("scepbox.")
        }

    restored = files(tmp_path / "data")
    assert restored == files(made / "data")
    assert {"ca/2/ca.key", "ca/2/activated", "secrets.key", "hook.secret"} < restored.keys()
    assert {one.name for one in (tmp_path / "data").iterdir()} == {
        one.name for one in (made / "data").iterdir()
    }
    if os.name != "nt":
        modes = [path.stat().st_mode for path in (tmp_path / "data").rglob("*") if path.is_file()]
        assert {stat.S_IMODE(mode) for mode in modes} == {0o600}
        assert stat.S_IMODE((made / "b.zip").stat().st_mode) == 0o600


def test_nothing_is_overwritten(made: Path, tmp_path: Path) -> None:
    """Neither a backup that is there, unless it is said, nor a folder, nor a database."""
    file = tmp_path / "b.zip"
    file.write_bytes(b"an earlier one")
    (tmp_path / "used").mkdir()
    (tmp_path / "used" / "note.txt").write_text("mine")
    elsewhere = tmp_path / "elsewhere.db"
    elsewhere.write_bytes(b"")
    named = {"SCEPBOX_DATABASE__URL": f"sqlite:///{elsewhere.as_posix()}"}

    assert_refused(here("backup", file, "--data", made / "data"), "--force")
    assert_refused(here("restore", made / "b.zip", "--data", tmp_path / "used"), "not empty")
    assert_refused(
        here("restore", made / "b.zip", "--data", tmp_path / "new", environment=named), "elsewhere.db"
    )
    in_use = {"SCEPBOX_DATABASE__URL": server().new_database()}
    assert_refused(
        here("restore", made / "b.zip", "--data", tmp_path / "new", environment=in_use), "PostgreSQL"
    )

    assert file.read_bytes() == b"an earlier one"
    assert [one.name for one in (tmp_path / "used").iterdir()] == ["note.txt"]
    assert elsewhere.read_bytes() == b""
    assert not (tmp_path / "new").exists()
    did_here("backup", file, "--force", "--data", made / "data")
    assert file.stat().st_size > 1000


def test_the_audit_log_says_who_had_the_keys(made: Path, tmp_path: Path) -> None:
    """A backup is a copy of the CA's key, and a restore takes decisions back."""
    did_here("restore", made / "b.zip", "--data", tmp_path / "data")

    entries = json.loads(did_here("log", "audit", "--json", "--data", made / "data"))
    restored = json.loads(did_here("log", "audit", "--json", "--data", tmp_path / "data"))

    assert ("backup", "b.zip", "made") in {(one["action"], one["target"], one["outcome"]) for one in entries}
    assert [(one["action"], one["target"]) for one in restored][-1] == ("restore", "b.zip")


@pytest.mark.databases
def test_no_challenge_gets_the_number_of_one_that_is_gone(tmp_path: Path, database_kind: str) -> None:
    """The audit log that is restored with it names that one."""
    made, back = tmp_path / "made", tmp_path / "back"
    make_ca(made)
    did_here("challenge", "new", "--data", made)
    did_here("challenge", "revoke", "3", "--data", made)
    did_here("backup", tmp_path / "b.zip", "--data", made)
    back.mkdir()
    url = server().new_database("template0") if database_kind == "postgresql" else ""
    (back / "scepbox.toml").write_text(settings(url), "utf-8")

    did_here("restore", tmp_path / "b.zip", "--data", back)

    assert "challenge 4: " in here("challenge", "new", "--data", back).err
