"""Disks that are full or read-only: told in one line with what to do, nothing lost, nothing overwritten."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.error import HTTPError

import pytest

from tests.backing_up import (
    ANY_PORT,
    SECRET,
    assert_refused,
    did_here,
    enrol,
    here,
    make_ca,
    rows_of,
    sqlite_of,
)
from tests.command_line import Service, run, serving
from tests.test_reload import await_
from tests.world import certificate_of

MIBIBYTES = 3


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A small disk of its own, which only root on Linux can have."""
    if sys.platform != "linux" or os.geteuid() != 0:
        pytest.skip("only root on Linux can mount a small disk")
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={MIBIBYTES}m", "scepbox-test", str(place)]
    mounted = subprocess.run(mount, capture_output=True, text=True, check=False)
    if mounted.returncode:
        pytest.skip(f"no disk can be mounted here: {mounted.stderr.strip()}")
    yield place
    subprocess.run(["umount", "--lazy", str(place)], check=True)


@contextmanager
def _full(disk: Path) -> Iterator[None]:
    filler = disk / "filler"
    with filler.open("wb", buffering=0) as file:
        for size in (1 << 16, 1 << 12, 1):
            try:
                while True:
                    file.write(b"\0" * size)
            except OSError:
                continue
    yield
    filler.unlink()


@contextmanager
def _read_only(disk: Path) -> Iterator[None]:
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
    try:
        yield
    finally:
        subprocess.run(["mount", "-o", "remount,rw", str(disk)], check=True)


def test_a_server_goes_on_by_itself_once_there_is_room_again(disk: Path, tmp_path: Path) -> None:
    """RFC 8894 7.4: meanwhile devices hear 503, and neither a password nor a certificate is lost."""
    data = disk / "data"
    make_ca(data)
    once = did_here("challenge", "new", "--data", data).strip()
    with serving("serve", "--data", data, *ANY_PORT, log=tmp_path / "log") as service:
        certificate_of(enrol(service, "before"))
        with _full(disk):
            refused = []
            # What is left of the last pages of its file may still be enough for some.
            for number in range(200):
                try:
                    enrol(service, f"meanwhile-{number}")
                except HTTPError as error:
                    refused.append(error.code)
                    error.close()
                    if len(refused) == 3:
                        break
            with pytest.raises(HTTPError) as last:
                enrol(service, "once", challenge=once)
            ca = service.get("/scep?operation=GetCACert")
            full = _status(service, "/readyz")
        # It is looked for once a second.
        await_(lambda: _status(service, "/readyz") == 200)
        certificate_of(enrol(service, "once", challenge=once))
        after = service.get("/scep?operation=GetCACert")

    assert refused == [503] * 3
    assert full == 503
    assert last.value.code == 503
    assert last.value.headers["Retry-After"]
    last.value.close()
    assert ca == after
    assert "make room on its disk" in service.log
    assert "Traceback" not in service.log
    assert service.code == 0
    did_here("db", "check", "--data", data)


def test_verbs_on_a_full_disk_say_so_and_leave_nothing(disk: Path, tmp_path: Path) -> None:
    """Half a CA or half a backup would be taken for a whole one."""
    data, other = disk / "data", tmp_path / "other"
    make_ca(other)
    did_here("backup", tmp_path / "b.zip", "--data", other)
    with _full(disk):
        made = here("init", "--data", data)
        backed_up = here("backup", disk / "b.zip", "--data", other)
        restored = here("restore", tmp_path / "b.zip", "--data", data)
        left = {path.name for path in disk.rglob("*")}

    for done in (made, backed_up, restored):
        assert_refused(done, str(disk), "make room")
        # That is said of a server that runs.
        assert ", and it goes on" not in done.err
    assert " 0 KiB free" in restored.err
    assert left <= {"filler", "data"}
    # What is there now is no hindrance.
    did_here("restore", tmp_path / "b.zip", "--data", data)
    before = rows_of(sqlite_of(data))
    with _full(disk):
        challenged = here("challenge", "new", "--data", data)
        served = run("serve", *ANY_PORT, "--data", data)
    assert_refused(challenged, "scepbox.db cannot be used", "room")
    assert_refused(served, "scepbox.db cannot be used", "room")
    assert rows_of(sqlite_of(data)) == before
    did_here("db", "check", "--data", data)


def test_what_fits_no_disk_is_told_before_it_is_tried(disk: Path, tmp_path: Path) -> None:
    """A restore that fills the disk would take the room from all others."""
    data = tmp_path / "data"
    make_ca(data)
    # Notes do not count for a file of the CA's, but for what a restore takes.
    for number in range(4):
        (data / f"note-{number}").write_bytes(os.urandom(1 << 20))
    did_here("backup", tmp_path / "b.zip", "--data", data)

    done = here("restore", tmp_path / "b.zip", "--data", disk / "data")

    assert_refused(done, "KiB free", "KiB long", "make room", "nothing was restored")
    assert list(disk.iterdir()) == []


def test_a_disk_that_became_read_only_can_still_be_backed_up(disk: Path, tmp_path: Path) -> None:
    """Systems remount a disk so when it begins to fail: what is on it is wanted elsewhere then."""
    data = disk / "data"
    make_ca(data)
    with serving("serve", "--data", data, *ANY_PORT, log=tmp_path / "log") as service:
        certificate_of(enrol(service, "device"))
        # As it stands then, with what is not in the database's own file yet.
        service.process.kill()
        service.process.wait()
    with _read_only(disk):
        challenged = here("challenge", "new", "--data", data)
        kept = here("backup", tmp_path / "b.zip", "--data", data)
        nowhere = here("backup", disk / "b.zip", "--data", data)

    assert_refused(challenged, "scepbox.db cannot be used", "not mounted read-only")
    assert_refused(nowhere, "b.zip", "mounted read-only")
    assert kept.code == 0, kept.err
    assert "the audit log has no word of this backup" in kept.err
    did_here("restore", tmp_path / "b.zip", "--data", tmp_path / "data")
    did_here("db", "check", "--data", tmp_path / "data")
    assert len(rows_of(sqlite_of(tmp_path / "data"))["certificate"]) == 1


def test_nothing_begins_on_a_read_only_disk(disk: Path) -> None:
    """Neither a CA nor a server, whose first device would find out."""
    data = disk / "data"
    make_ca(data)
    with _read_only(disk):
        made = here("init", "--data", disk / "other")
        served = run("serve", *ANY_PORT, "--data", data)
        first = run("serve", *ANY_PORT, "--data", disk / "other")

    assert_refused(served, "scepbox.db cannot be used", "not mounted read-only")
    for done in (made, first):
        assert_refused(done, "mounted read-only")


@pytest.mark.skipif(os.name == "nt", reason="there nobody can take away a file that is open")
def test_a_database_that_is_taken_away_is_not_made_anew(tmp_path: Path) -> None:
    """What is committed to a file without a name is gone with the server; nobody may hear of success."""
    data = tmp_path / "data"
    make_ca(data)
    database, away = data / "scepbox.db", data / "away"
    once = did_here("challenge", "new", "--data", data).strip()
    with serving("serve", "--data", data, *ANY_PORT, "--workers", 2, log=tmp_path / "log") as service:
        certificate_of(enrol(service, "before"))
        database.rename(away)
        ca = service.get("/scep?operation=GetCACert")
        missing = [_refused(service, once), _refused(service), _status(service, "/readyz")]
        verbs = [
            here(*words, "--data", data)
            for words in (
                ("challenge", "new"),
                ("cert", "list"),
                ("backup", tmp_path / "b.zip"),
                ("db", "check"),
                ("crl", "publish"),
            )
        ]
        left = database.exists()
        # Another file is not what the server knows, even one that has all of it.
        shutil.copy(away, database)
        replaced = [_refused(service, once), _status(service, "/readyz")]
        away.rename(database)
        certificate_of(enrol(service, "once", challenge=once))
        await_(lambda: _status(service, "/readyz") == 200)
        assert service.get("/scep?operation=GetCACert") == ca

    assert missing == [503] * 3
    assert replaced == [503] * 2
    for done in verbs:
        assert_refused(done, "scepbox.db is missing")
    assert not left
    assert "removed or replaced while it was in use; put that very file back" in service.log
    assert "Traceback" not in service.log
    did_here("db", "check", "--data", data)
    assert len(rows_of(sqlite_of(data))["certificate"]) == 2


def _refused(service: Service, challenge: str = SECRET) -> int:
    """The status that a device hears that must get no certificate."""
    with pytest.raises(HTTPError) as refused:
        enrol(service, "once", challenge=challenge)
    refused.value.close()
    return refused.value.code


def _status(service: Service, path: str) -> int:
    try:
        service.get(path)
    except HTTPError as error:
        error.close()
        return error.code
    return 200


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can be somebody else")
def test_a_folder_of_somebody_else_is_told(tmp_path: Path) -> None:
    """Whose the file is, is what to look at."""
    data = tmp_path / "data"
    make_ca(data)
    as_nobody = ("setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups")

    done = run("challenge", "new", "--data", data, inside=as_nobody, cwd=Path("/"))

    assert_refused(done, "Permission denied", "see whose")
