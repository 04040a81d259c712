"""Data folders that are not whole: starts that race or are killed, and folders of which a part is lost."""

import os
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from shutil import copytree, rmtree
from threading import Barrier

import pytest

from app.store import open_store
from tests.command_line import Done, did, run, serving

POSIX = pytest.mark.skipif(os.name == "nt", reason="Windows' rights are another matter")
ANY_PORT = ("--listen", "127.0.0.1:0")
LOST = ("secrets.key", "scepbox.db")


@pytest.fixture(scope="module")
def used(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with a CA and a challenge password, to be copied and broken."""
    data = tmp_path_factory.mktemp("used") / "data"
    did("init", "--data", data)
    did("challenge", "new", "--data", data)
    return data


@pytest.fixture
def data(used: Path, tmp_path: Path) -> Path:
    """A copy of it."""
    return Path(copytree(used, tmp_path / "data"))


def ca_of(data: Path, log: Path, environment: dict[str, str] | None = None) -> bytes:
    """The CA certificate that a service on this folder hands out."""
    with serving("serve", "--data", data, *ANY_PORT, log=log, environment=environment) as service:
        return service.get("/ca.cer")[1]


def said(done: Done) -> str:
    """The one line in which a verb said why it could not run."""
    assert done.code == 2, done.err
    (line,) = done.err.splitlines()
    return line


def test_two_first_starts_at_once_serve_one_ca(tmp_path: Path) -> None:
    """A device that was given the fingerprint of the one must not meet the other."""
    barrier = Barrier(3)

    def start(number: int) -> bytes:
        with serving("--data", tmp_path / "data", *ANY_PORT, log=tmp_path / f"{number}.log") as service:
            barrier.wait(30)
            return service.get("/ca.cer")[1]

    with ThreadPoolExecutor(3) as pool:
        served = set(pool.map(start, range(3)))

    assert len(served) == 1
    made = {"ca", "scepbox.db", "secrets.key", "settings.in-force.json"}
    # SQLite leaves these where several close it at the same moment; whoever opens it next tidies up.
    left = {"scepbox.db-wal", "scepbox.db-shm"}
    assert {path.name for path in (tmp_path / "data").iterdir()} - left == made


@pytest.mark.parametrize("left", ["an empty secret", "an empty database", "tables", "half a CA"])
def test_a_first_start_that_was_killed_is_made_up_for(tmp_path: Path, left: str) -> None:
    """Nothing was kept yet, so nothing can be lost."""
    data = tmp_path / "data"
    data.mkdir()
    match left:
        case "an empty secret":
            (data / "secrets.key").touch()
        case "an empty database":
            (data / "scepbox.db").touch()
        case "tables":
            (data / "secrets.key").write_text("junk")
            open_store(f"sqlite:///{(data / 'scepbox.db').as_posix()}").close()
        case "half a CA":
            (data / "ca.new-abc").mkdir()
            (data / "ca.new-abc" / "ca.key").write_text("half a k")

    first, second = ca_of(data, tmp_path / "1"), ca_of(data, tmp_path / "2")

    assert first == second
    assert "challenge 1" in run("challenge", "new", "--data", data).err


@pytest.mark.parametrize("lost", LOST)
@pytest.mark.parametrize("verb", ["serve", "challenge new"])
def test_what_was_lost_is_not_made_anew_in_silence(data: Path, lost: str, verb: str) -> None:
    """Every device would be refused from then on, and nobody told why."""
    (data / lost).unlink()

    line = said(run(*verb.split(), *(ANY_PORT if verb == "serve" else ()), "--data", data))

    assert str(data / lost) in line
    assert "backup" in line
    assert "init --make-missing" in line
    assert not (data / lost).exists()


def test_a_database_without_tables_is_lost_too(data: Path) -> None:
    """A copy that stopped half way leaves a file of no octets."""
    (data / "scepbox.db").write_bytes(b"")

    line = said(run("cert", "list", "--data", data))

    assert "scepbox.db is missing or empty" in line
    assert (data / "scepbox.db").read_bytes() == b""


@pytest.mark.parametrize("lost", LOST)
def test_make_missing_goes_on_with_what_is_left(data: Path, lost: str, tmp_path: Path) -> None:
    """On the administrator's word, with the same CA, and saying what is lost."""
    before = (data / "ca" / "ca.pem").read_bytes()
    (data / lost).unlink()

    done = run("init", "--make-missing", "--data", data)

    assert done.code == 0, done.err
    assert f"made {data / lost}" in done.err
    assert (data / "ca" / "ca.pem").read_bytes() == before
    assert did("challenge", "new", "--data", data)
    assert ca_of(data, tmp_path / "log")


def test_make_missing_touches_nothing_that_is_there(data: Path) -> None:
    """Run twice or by mistake it does no harm."""
    before = {path: path.read_bytes() for path in (data / "secrets.key", data / "ca" / "ca.key")}

    done = run("init", "--make-missing", "--data", data)

    assert done.code == 0
    assert "made" not in done.err
    assert {path: path.read_bytes() for path in before} == before
    assert len(did("challenge", "list", "--data", data).splitlines()) == 1


def test_a_damaged_secret_is_not_overwritten(data: Path) -> None:
    """Perhaps it can be mended; who knows that it cannot removes it himself."""
    (data / "secrets.key").write_text("junk")

    line = said(run("init", "--make-missing", "--data", data))

    assert "remove it" in line
    assert (data / "secrets.key").read_text() == "junk"


@pytest.mark.parametrize("verb", ["serve", "init"])
def test_a_lost_ca_is_not_replaced_by_another(data: Path, verb: str) -> None:
    """The devices trust the old one alone."""
    rmtree(data / "ca")

    line = said(run(verb, *(ANY_PORT if verb == "serve" else ()), "--data", data))

    assert "backup" in line
    assert "init --make-missing" in line
    assert not (data / "ca").exists()


def test_a_lost_ca_can_be_brought_along_again(data: Path, tmp_path: Path) -> None:
    """Its two files lay in a safe; the database is still that of this CA."""
    (data / "ca").rename(tmp_path / "safe")
    files = ("--import-cert", tmp_path / "safe" / "ca.pem", "--import-key", tmp_path / "safe" / "ca.key")

    did("init", "--data", data, "--make-missing", *files)

    assert (data / "ca" / "ca.pem").read_bytes() == (tmp_path / "safe" / "ca.pem").read_bytes()
    assert len(did("challenge", "list", "--data", data).splitlines()) == 1


def test_the_database_may_be_elsewhere(tmp_path: Path) -> None:
    """From the first command on, and its loss is noticed there too."""
    data, database = tmp_path / "data", tmp_path / "elsewhere.db"
    environment = {"SCEPBOX_DATABASE__URL": f"sqlite:///{database.as_posix()}"}
    run("init", "--data", data, environment=environment)

    made = run("challenge", "new", "--data", data, environment=environment)
    served = ca_of(data, tmp_path / "log", environment)
    there = database.exists()
    database.unlink()
    line = said(run("serve", *ANY_PORT, "--data", data, environment=environment))

    assert made.code == 0, made.err
    assert served
    assert there
    assert str(database) in line
    assert not (data / "scepbox.db").exists()


@POSIX
def test_the_database_is_its_owner_s_alone(tmp_path: Path) -> None:
    """It tells who has which certificate; SQLite's two other files are as private."""
    data = tmp_path / "data"

    with serving("--data", data, *ANY_PORT, log=tmp_path / "log") as service:
        assert service.get("/readyz")
        modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in data.glob("scepbox.db*")}

    assert modes == dict.fromkeys(("scepbox.db", "scepbox.db-wal", "scepbox.db-shm"), 0o600)
    assert "warning" not in service.log


@POSIX
@pytest.mark.parametrize("name", ["ca/ca.key", "secrets.key", "scepbox.db"])
def test_a_secret_that_others_can_read_is_warned_of(data: Path, tmp_path: Path, name: str) -> None:
    """A copy made by hand rarely keeps the rights."""
    (data / name).chmod(0o640)

    with serving("--data", data, *ANY_PORT, log=tmp_path / "log") as service:
        pass

    warnings = [line for line in service.log.splitlines() if line.startswith("warning: ")]
    assert warnings == [f"warning: {data / name} can be read by others: chmod 600 {data / name}"]


def test_a_stolen_ra_is_replaced(tmp_path: Path) -> None:
    """Nobody can revoke it, for what opens messages is in no list; without --ra there would be none."""
    data = tmp_path / "data"
    did("init", "--data", data, "--ra")
    before = (data / "ca" / "ra-1.pem").read_bytes()
    for path in (data / "ca").glob("ra-*"):
        path.unlink()

    done = run("init", "--ra", "--make-missing", "--data", data)
    again = run("init", "--ra", "--make-missing", "--data", data)

    assert (done.code, again.code) == (0, 0)
    assert done.err.startswith("made ")
    assert not again.err.startswith("made ")
    assert (data / "ca" / "ra-1.pem").read_bytes() != before
    assert "RA: CN=" in done.err
