"""Backups that are damaged, forged or cut, and restores that are interrupted: nothing comes of them."""

import json
import os
import shutil
import signal
import time
import zipfile
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine, text

from app.store.locks import _number_of
from tests.backing_up import ANY_PORT, assert_refused, did_here, here, make_ca, settings, sqlite_of
from tests.command_line import run, start
from tests.databases import server

_Parts = dict[str, bytes]


@pytest.fixture(scope="module")
def backup(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A backup of a CA with two challenge passwords."""
    home = tmp_path_factory.mktemp("made")
    make_ca(home / "data")
    did_here("backup", home / "b.zip", "--data", home / "data")
    return home / "b.zip"


def _parts(path: Path) -> _Parts:
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def _written(path: Path, parts: _Parts) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    return path


def _forge(parts: _Parts, name: str, content: bytes | None) -> None:
    """Put *content* in, or take a member out, with a manifest that knows of it."""
    manifest = json.loads(parts["manifest.json"])
    parts.pop(name, None)
    manifest["members"].pop(name, None)
    if content is not None:
        parts[name] = content
        manifest["members"][name] = {"octets": len(content), "sha256": sha256(content).hexdigest()}
    parts["manifest.json"] = json.dumps(manifest).encode()


def _manifest(parts: _Parts, **changes: Any) -> None:
    parts["manifest.json"] = json.dumps({**json.loads(parts["manifest.json"]), **changes}).encode()


def _row(parts: _Parts, old: bytes, new: bytes) -> None:
    name = "database/challenge.jsonl"
    _forge(parts, name, parts[name].replace(old, new, 1))


FORGERIES: dict[str, tuple[Callable[[_Parts], object], str]] = {
    "a file that climbs out": (lambda parts: _forge(parts, "folder/../evil", b"x"), "no name of a file"),
    "a file from the root": (lambda parts: _forge(parts, "folder//etc/evil", b"x"), "no name of a file"),
    "a drive of Windows": (lambda parts: _forge(parts, "folder/C:evil", b"x"), "no name of a file"),
    "a database as a file": (lambda parts: _forge(parts, "folder/scepbox.db", b"x"), "no name of a file"),
    "a member nobody named": (lambda parts: parts.update(more=b"x"), "not what its manifest names"),
    "a member that is gone": (lambda parts: parts.pop("folder/secrets.key"), "not what its manifest names"),
    "no secret": (lambda parts: _forge(parts, "folder/secrets.key", None), "no secrets.key"),
    "no manifest": (lambda parts: parts.pop("manifest.json"), "no manifest.json"),
    "a manifest that is none": (
        lambda parts: parts.update({"manifest.json": b"{}"}),
        "manifest.json is damaged",
    ),
    "of a later format": (lambda parts: _manifest(parts, version=2), "use a newer one"),
    "of a later schema": (
        lambda parts: _manifest(parts, schema_revision="0999"),
        "newer than this program's",
    ),
    "another secret": (lambda parts: parts.update({"folder/secrets.key": b"0" * 65}), "SHA-256 is another"),
    "a file of a gibibyte": (lambda parts: _forge(parts, "folder/big", b"\0" * (1 << 21)), "larger than"),
    "a row too few": (lambda parts: _forge(parts, "database/challenge.jsonl", b""), "has 0 rows, and not 2"),
    "a row that is none": (lambda parts: _row(parts, b"[1,", b"[1,1,"), "row 1 of challenge"),
    "a number that is none": (lambda parts: _row(parts, b"[1,", b"[true,"), "id is no number"),
    "octets that are none": (lambda parts: _row(parts, b'[1,"', b'[1,"*'), "mac is not base64"),
    "two rows of one number": (lambda parts: _row(parts, b"[2,", b"[1,"), "UNIQUE"),
    "another end of the log": (
        lambda parts: _manifest(parts, audit_head={"number": 3, "chain": "0" * 64}),
        "does not end as the backup says",
    ),
}


@pytest.mark.parametrize("what", FORGERIES)
def test_what_is_forged_is_told_and_nothing_is_written(backup: Path, tmp_path: Path, what: str) -> None:
    """A backup came by ways that nobody watched; each of these is found out before a server could start."""
    forge, words = FORGERIES[what]
    parts = _parts(backup)
    forge(parts)
    file = _written(tmp_path / "forged.zip", parts)

    done = here("restore", file, "--data", tmp_path / "data")

    assert_refused(done, words)
    assert {one.name for one in tmp_path.iterdir()} == {"forged.zip"}


@pytest.mark.databases("postgresql")
def test_postgresql_is_left_as_empty_as_it_was(backup: Path, tmp_path: Path) -> None:
    """Its tables are made in the very transaction that fills them."""
    data, url = tmp_path / "data", server().new_database("template0")
    data.mkdir()
    (data / "scepbox.toml").write_text(settings(url), "utf-8")
    for what in ("a number that is none", "two rows of one number", "another end of the log"):
        parts = _parts(backup)
        FORGERIES[what][0](parts)

        done = here("restore", _written(tmp_path / "forged.zip", parts), "--data", data)

        assert done.code == 2, done.err
        assert len(done.err.splitlines()) == 1
    assert [one.name for one in data.iterdir()] == ["scepbox.toml"]
    did_here("restore", backup, "--data", data)
    did_here("db", "check", "--data", data)


@pytest.mark.parametrize("what", ["cut", "an octet changed", "empty", "something else"])
def test_a_damaged_file_is_found_out_by_check_and_by_restore(backup: Path, tmp_path: Path, what: str) -> None:
    """Of what a disk or a transfer does to files; ``db check --backup`` tells before it is needed."""
    octets = bytearray(backup.read_bytes())
    match what:
        case "cut":
            del octets[len(octets) // 2 :]
        case "an octet changed":
            # In the content of the first member, the settings.
            octets[100] ^= 1
        case "empty":
            octets.clear()
        case "something else":
            octets[:] = b"SQLite format 3\0" * 100
    file = tmp_path / "b.zip"
    file.write_bytes(octets)

    checked = here("db", "check", "--backup", file)
    restored = here("restore", file, "--data", tmp_path / "data")

    assert_refused(checked, "b.zip", code=1)
    assert_refused(restored, "b.zip", "nothing was restored")
    assert not (tmp_path / "data").exists()


def test_a_good_backup_is_found_in_order(backup: Path) -> None:
    """Without a place to restore it to."""
    report = json.loads(did_here("db", "check", "--backup", backup, "--json"))

    assert report == {"whole": True, "faults": []}


def test_a_backup_of_an_earlier_schema_is_brought_along(backup: Path, tmp_path: Path) -> None:
    """The rows are put into the tables that they are from, and those migrated; revision 0005 had no log."""
    parts = _parts(backup)
    manifest = json.loads(parts["manifest.json"])
    for name in ("audit", "authority", "notification"):
        _forge(parts, f"database/{name}.jsonl", None)
        del manifest["tables"][name]
    added = {"challenge": ("sid", "guessable", "used_at", "used_by"), "held": ("grants", "validator")}
    added |= {"certificate": ("key_id", "subject_key", "issuer_key", "name"), "crl": ("rebuilt_at",)}
    for name, gone in added.items():
        columns = manifest["tables"][name]["columns"]
        kept = [place for place, column in enumerate(columns) if column not in gone]
        lines = [json.loads(line) for line in parts[f"database/{name}.jsonl"].splitlines()]
        rows = [json.dumps([row[place] for place in kept]).encode() + b"\n" for row in lines]
        _forge(parts, f"database/{name}.jsonl", b"".join(rows))
        manifest["tables"][name]["columns"] = {one: columns[one] for one in columns if one not in gone}
    head = {"number": 0, "chain": "0" * 64}
    _manifest(parts, tables=manifest["tables"], schema_revision="0005", audit_head=head)
    file = _written(tmp_path / "old.zip", parts)

    did_here("restore", file, "--data", tmp_path / "data")

    assert len(did_here("challenge", "list", "--data", tmp_path / "data").splitlines()) == 2
    did_here("db", "check", "--data", tmp_path / "data")


def test_a_backup_of_a_newer_scepbox_is_told_before_it_is_needed(backup: Path, tmp_path: Path) -> None:
    """An earlier one cannot bring it back, however whole it is."""
    parts = _parts(backup)
    _manifest(parts, schema_revision="0999")

    checked = here("db", "check", "--backup", _written(tmp_path / "newer.zip", parts))

    assert_refused(checked, "schema 0999", "install the newer scepbox", code=1)


@pytest.mark.databases("postgresql")
@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGKILL")
def test_a_restore_that_was_killed_leaves_nothing_to_start_on(backup: Path, tmp_path: Path) -> None:
    """A half CA would make itself a new one at the next start, and no device would know it."""
    data, url = tmp_path / "data", server().new_database("template0")
    data.mkdir()
    (data / "scepbox.toml").write_text(settings(url), "utf-8")
    engine = create_engine(url)
    with engine.begin() as connection:
        # Who makes tables waits for this, and the restore has gathered its files by then.
        connection.execute(text(f"SELECT pg_advisory_xact_lock({_number_of(b'migration')})"))
        restoring = start("restore", backup, "--data", data)
        waiting = text("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted")
        end = time.monotonic() + 50
        while not connection.scalar(waiting):
            assert time.monotonic() < end
            time.sleep(0.05)
        restoring.send_signal(signal.SIGKILL)
        restoring.wait()
    engine.dispose()

    assert_refused(run("serve", *ANY_PORT, "--data", data), "was not finished")
    assert_refused(here("restore", backup, "--data", data), "restore.new-")
    assert not (data / "ca").exists()
    for path in data.glob("restore.new-*"):
        shutil.rmtree(path)
    did_here("restore", backup, "--data", data)
    did_here("db", "check", "--data", data)


def test_a_log_with_a_gap_is_restored_with_it(tmp_path: Path) -> None:
    """It is evidence, and what is beside it is needed all the same."""
    data, other = tmp_path / "data", tmp_path / "other"
    make_ca(data)
    engine = create_engine(sqlite_of(data))
    with engine.begin() as connection:
        connection.execute(text("DROP TRIGGER audit_not_deleted"))
        connection.execute(text("DELETE FROM audit WHERE number = 2"))
    engine.dispose()
    did_here("backup", tmp_path / "b.zip", "--data", data)

    did_here("restore", tmp_path / "b.zip", "--data", other)

    verified = here("log", "verify", "--data", other)
    assert verified.code == 1
    assert "entry 2: missing" in verified.err
