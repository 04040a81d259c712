"""Where the administrator's site listens, as ``serve`` is told or as it finds the machine."""

import os
import re
import signal
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from shutil import copytree
from urllib.parse import urlsplit

import pytest

from app.cli.admin_site import bind_admin
from app.cli.context import Refusal
from app.config.sections import ServerSection
from app.http.server import bind
from tests.admin_site import login, set_password
from tests.command_line import run, serving
from tests.processes import children
from tests.test_reload import ask, await_

DEFAULT_PORT = 8081


@pytest.fixture
def data(made_ca: Path, tmp_path: Path) -> Path:
    """A data folder with a CA."""
    copytree(made_ca, tmp_path / "data")
    return tmp_path / "data"


@pytest.fixture
def taken() -> Iterator[str]:
    """An address at which somebody else listens."""
    with closing(bind("127.0.0.1", 0)) as other:
        yield f"127.0.0.1:{other.getsockname()[1]}"


@contextmanager
def _default_port_taken() -> Iterator[None]:
    """By us, or by whoever has it already."""
    try:
        other = bind("127.0.0.1", DEFAULT_PORT)
    except OSError:
        yield
        return
    with closing(other):
        yield


def test_a_second_server_on_one_machine_starts_without_a_site(data: Path, tmp_path: Path) -> None:
    """Nobody has asked for the port, and devices are to be answered; one line says what is missing."""
    with (
        _default_port_taken(),
        serving("--data", data, "--listen", "127.0.0.1:0", log=tmp_path / "log") as service,
    ):
        (line,) = re.findall(r".*no administrator's site.*", service.log)
        assert "127.0.0.1:8081" in line
        assert "--admin-listen" in line
        assert "admin: " not in service.log
        assert service.get("/healthz")[1]


def test_a_start_that_is_refused_says_why_and_nothing_of_the_site(tmp_path: Path) -> None:
    """One line, whatever else the machine has."""
    (tmp_path / "ca").mkdir()

    with _default_port_taken():
        done = run("serve", "--data", tmp_path, "--listen", "127.0.0.1:0")

    assert (done.code, done.err.count("\n")) == (2, 1)


def test_an_address_that_was_asked_for_and_is_taken_is_refused(taken: str) -> None:
    """On the command line or in the settings: whoever asks for it wants it."""
    with pytest.raises(Refusal, match=re.escape(taken)):
        bind_admin(taken, ServerSection())
    with pytest.raises(Refusal, match="--admin-listen, or off"):
        bind_admin(None, ServerSection(admin_listen=taken))


def test_off_is_off_wherever_it_is_said() -> None:
    """The command line counts more than the settings."""
    assert bind_admin("off", ServerSection()) == (None, "")
    assert bind_admin(None, ServerSection(admin_listen="off")) == (None, "")


@pytest.mark.parametrize(
    ("address", "warned"), [("127.0.0.1:0", False), ("localhost:0", False), ("0.0.0.0:0", True)]
)
def test_the_network_is_warned_of(address: str, *, warned: bool) -> None:
    """The password would cross it in clear (RFC 7617 4)."""
    listener, said = bind_admin(address, ServerSection())

    assert listener
    with closing(listener):
        assert ("TLS" in said) == warned


@pytest.mark.parametrize("address", ["nowhere", "on", "8081", "127.0.0.1:99999", ""])
def test_what_is_no_address_is_wrong_use(data: Path, address: str) -> None:
    """One line with exit code 2, before anything listens."""
    done = run("serve", "--data", data, "--listen", "127.0.0.1:0", "--admin-listen", address)

    assert (done.code, done.err.count("\n")) == (2, 1)
    assert "nor off" in done.err


def test_the_site_is_another_listener_and_outlives_its_worker(data: Path, tmp_path: Path) -> None:
    """What one listener has the other has not; the worker that serves it is replaced when it dies."""
    set_password(data)
    where = ("--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0", "--workers", 2)
    with serving("--data", data, *where, log=tmp_path / "log") as service:
        (admin,) = re.findall(r"(?m)^admin: (http://127\.0\.0\.1:\d+)/$", service.log)
        assert urlsplit(admin).port != urlsplit(service.url).port
        assert ask(admin, "GET", "/", None, **login()).status == 200
        assert ask(admin, "GET", "/scep?operation=GetCACert", None, **login()).status == 404
        assert ask(service.url, "GET", "/certsrv/mscep_admin/", None, **login()).status == 404
        assert ask(service.url, "POST", "/api/v1/reload", b"{}", **login()).status == 404
        before = children(service.process.pid)
        for pid in before:
            os.kill(pid, signal.SIGKILL)
        await_(lambda: len(set(children(service.process.pid)) - set(before)) == 2)

        assert ask(admin, "GET", "/", None, **login()).status == 200


def test_without_a_password_the_start_says_how_to_set_one(data: Path, tmp_path: Path) -> None:
    """The site is closed until then."""
    where = ("--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0")
    with serving("--data", data, *where, log=tmp_path / "log") as service:
        assert f"run.py admin password --data {data}" in service.log
