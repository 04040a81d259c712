"""The files of the data folder: whole or not there at all, whoever is killed and whoever else writes."""

import os
import stat
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from app.data_folder import (
    LEFTOVER_SECONDS,
    SECRET_OCTETS,
    DataFolder,
    DataFolderError,
    touch_private,
    write_private,
)
from tests.world import ROOT

POSIX = pytest.mark.skipif(os.name == "nt", reason="Windows has other rights and limits")
# The file system takes no more, as on a full disk, after the file was made and before it was written.
ON_A_FULL_DISK = """
import resource, sys
from pathlib import Path
from app.data_folder import write_private
resource.setrlimit(resource.RLIMIT_FSIZE, (16, 16))
try:
    write_private(Path(sys.argv[1]), b"x" * 65)
except OSError:
    sys.exit(3)
"""


@pytest.fixture
def folder(tmp_path: Path) -> DataFolder:
    """An empty data folder."""
    folder = DataFolder(tmp_path / "data")
    folder.make()
    return folder


def names(folder: DataFolder) -> list[str]:
    """What lies in the folder."""
    return sorted(path.name for path in folder.path.iterdir())


def age(path: Path) -> None:
    """Make it look as if it were left behind long ago."""
    past = time.time() - LEFTOVER_SECONDS - 60
    os.utime(path, (past, past))


@POSIX
def test_a_full_disk_leaves_no_half_a_file(folder: DataFolder) -> None:
    """A secret of no octets would be found by every later start, and refused."""
    arguments = [sys.executable, "-c", ON_A_FULL_DISK, str(folder.secret)]

    done = subprocess.run(arguments, cwd=ROOT, check=False)

    assert done.returncode == 3
    assert names(folder) == []


def test_of_many_writers_one_wins_and_the_file_is_his(folder: DataFolder) -> None:
    """The others are told, under the name that they wanted."""
    contents = [bytes([65 + number]) * 100_000 for number in range(8)]

    def write(content: bytes) -> str:
        try:
            write_private(folder.secret, content)
        except FileExistsError as error:
            return str(error.filename)
        return ""

    with ThreadPoolExecutor(8) as pool:
        lost = list(pool.map(write, contents))

    assert sorted(lost) == ["", *[str(folder.secret)] * 7]
    assert folder.secret.read_bytes() == contents[lost.index("")]
    assert names(folder) == ["secrets.key"]


@POSIX
def test_what_is_private_is_so_from_its_first_octet(folder: DataFolder) -> None:
    """Whatever the umask; a file that is there keeps what it has."""
    write_private(folder.secret, b"x")
    touch_private(folder.path / "scepbox.db")

    modes = {stat.S_IMODE(path.stat().st_mode) for path in folder.path.iterdir()}
    touch_private(folder.secret)

    assert modes == {0o600}
    assert folder.secret.read_bytes() == b"x"


def test_the_secret_of_the_first_is_the_secret_of_all(folder: DataFolder) -> None:
    """Two starts with two secrets would each know half of the challenge passwords."""
    with ThreadPoolExecutor(8) as pool:
        pool.map(lambda _: folder.make_secret(), range(8))

    secret = folder.load_secret()
    folder.make_secret()

    assert len(secret) == SECRET_OCTETS
    assert folder.load_secret() == secret


@pytest.mark.parametrize("content", [None, b"", b"junk", b"00ff", b"\xff" * 64])
def test_loading_never_makes_a_secret(folder: DataFolder, content: bytes | None) -> None:
    """The text names the file and both ways on."""
    if content is not None:
        folder.secret.write_bytes(content)

    with pytest.raises(DataFolderError, match=r"secrets\.key is .*backup.*init --make-missing"):
        folder.load_secret()

    assert folder.secret.exists() == (content is not None)


def test_a_ca_is_put_in_place_once(folder: DataFolder) -> None:
    """Of two first starts the slower finds the faster one's CA, whole, and leaves nothing behind."""
    folder.put_ca({"ca.key": b"first", "ca.pem": b"first"})

    with pytest.raises(FileExistsError):
        folder.put_ca({"ca.key": b"second", "ca.pem": b"second", "chain.pem": b"second"})

    assert names(folder) == ["ca"]
    assert {path.name: path.read_bytes() for path in folder.ca.iterdir()} == {
        "ca.key": b"first",
        "ca.pem": b"first",
    }


def test_leftovers_go_after_an_hour_and_nothing_else_does(folder: DataFolder) -> None:
    """A younger one may be another start's at work; other files are not ours."""
    gone = ("ca.new", "ca.new-abc")
    for name in (*gone, "ca.new-young", "ca.old"):
        (folder.path / name).mkdir()
        (folder.path / name / "ca.key").write_text("x")
    for name in ("secrets.key.new-abc", "scepbox.toml.new-1"):
        (folder.path / name).write_text("x")
    for path in folder.path.iterdir():
        if path.name != "ca.new-young":
            age(path)

    folder.remove_leftovers()

    assert names(folder) == ["ca.new-young", "ca.old", "scepbox.toml.new-1"]


def test_half_a_key_goes_too(folder: DataFolder) -> None:
    """A process that was killed while it wrote one left it behind, under a name that nobody reads."""
    folder.ca.mkdir()
    for name in ("ra-1.key", "ra-2.key.new-abc", "ra-2.pem.new-abc", "ocsp.pem.new-abc"):
        (folder.ca / name).write_text("x")
        age(folder.ca / name)

    folder.remove_leftovers()

    assert [path.name for path in folder.ca.iterdir()] == ["ra-1.key"]
