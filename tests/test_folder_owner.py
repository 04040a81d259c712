"""A server that runs as a user of its own, and an administrator who types verbs as root."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.data_folder import DataFolder
from app.rollover import put_next
from tests.command_line import did, run, serving
from tests.world import ROOT

# nobody, on every Debian.
USER = 65534
AS_USER = ("setpriv", f"--reuid={USER}", f"--regid={USER}", "--clear-groups")


def _missing() -> str:
    """Why it cannot be tried here, empty where it can."""
    if not hasattr(os, "geteuid") or os.geteuid() != 0:
        return "only root can be another user"
    if shutil.which("setpriv") is None:
        return "there is no setpriv"
    probe = [*AS_USER, sys.executable, str(ROOT / "run.py"), "version"]
    done = subprocess.run(probe, capture_output=True, check=False, cwd="/")
    return "" if done.returncode == 0 else "another user cannot run this Python"


pytestmark = pytest.mark.skipif(bool(_missing()), reason=_missing() or "it can")


@pytest.fixture
def data() -> Iterator[Path]:
    """A folder of that user with a CA behind an RA, as the server's own first start makes it."""
    with tempfile.TemporaryDirectory(prefix="scepbox-owner-") as name:
        home = Path(name)
        os.chown(home, USER, USER)
        done = run("init", "--ra", "--data", home / "data", inside=AS_USER)
        assert done.code == 0, done.err
        yield home / "data"


def _strangers(data: Path) -> list[str]:
    """What does not belong to the user."""
    owned = ((path, path.lstat()) for path in (data, *data.rglob("*")))
    return [str(path) for path, found in owned if (found.st_uid, found.st_gid) != (USER, USER)]


def test_what_root_types_is_the_server_s_to_read(data: Path) -> None:
    """It goes on through the change and its next start, and root's verbs leave it nothing to trip over."""
    options = ("--data", data, "--listen", "127.0.0.1:0", "--workers", 1)
    with serving(*options, log=data.parent / "log", inside=AS_USER) as service:
        secret = did("challenge", "new", "--data", data)
        did("ca", "rollover", "prepare", "--data", data)
        announced = service.get("/scep?operation=GetNextCACert")[0]
        did("ca", "rollover", "activate", "--data", data)
        out = data.parent / "device"
        did("enroll", service.url, "--subject", "CN=one", "--challenge", "-", "--out", out, stdin=secret)
        did("crl", "publish", "--data", data)
        (serial,) = [line.split("\t")[0] for line in did("cert", "list", "--data", data).splitlines()]
        did("cert", "revoke", serial, "--data", data)
        did("ca", "rollover", "prepare", "--data", data)
        did("ca", "rollover", "abort", "--data", data)
        left = _strangers(data)

    assert announced == "application/x-x509-next-ca-cert"
    assert (left, _strangers(data)) == ([], [])
    assert "warning" not in service.log
    with serving(*options, log=data.parent / "again", inside=AS_USER) as service:
        assert service.get("/crl")[0] == "application/pkix-crl"
    assert "warning" not in service.log


def test_what_root_makes_anew_is_the_user_s(data: Path) -> None:
    """A database or a secret that only root can read would end the next start."""
    (data / "scepbox.db").unlink()
    (data / "secrets.key").unlink()
    for path in (data / "ca").glob("ra-*"):
        path.unlink()

    did("init", "--make-missing", "--ra", "--data", data)

    assert (data / "ca" / "ra-1.key").exists()
    assert _strangers(data) == []


def test_a_next_ca_that_another_user_left_is_given_over_when_it_is_activated(data: Path) -> None:
    """Root can read it, and the server could not; until then it is left out and told."""
    folder = DataFolder(data)
    files = {path.name: path.read_bytes() for path in folder.ca.iterdir() if path.name != "ocsp.pem"}
    put_next(folder, files)
    for path in (folder.cas.next.path, *folder.cas.next.path.iterdir()):
        os.chown(path, 0, 0)
    options = ("--data", data, "--listen", "127.0.0.1:0", "--workers", 1)

    with serving(*options, log=data.parent / "log", inside=AS_USER) as service:
        before = service.log
        did("ca", "rollover", "activate", "--data", data)
        served = service.get("/ca.pem")[1]

    assert "ca/next/ca.pem: Permission denied; the next CA is left out" in before
    assert served == folder.current_ca.certificate.read_bytes()
    assert folder.current_ca.path.name == "2"
    assert _strangers(data) == []
