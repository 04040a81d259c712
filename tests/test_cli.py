"""Starting, stopping and failing: the verbs as processes, their exit codes and their one line."""

import json
import re
import socket
import stat
from pathlib import Path

import click
import pytest

from app.cli.main import top
from tests.command_line import did, run, serving

ANY_PORT = ("--listen", "127.0.0.1:0")
VERBS = (
    ("init",),
    ("serve",),
    ("challenge", "new"),
    ("challenge", "list"),
    ("challenge", "revoke"),
    ("cert", "list"),
    ("cert", "show"),
    ("cert", "export"),
    ("ca", "show"),
    ("ca", "export"),
    ("enroll",),
    ("version",),
)
LISTING = (("challenge", "list"), ("cert", "list"), ("cert", "show"), ("ca", "show"), ("version",))


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with a CA, which no test changes."""
    folder = tmp_path_factory.mktemp("home")
    did("init", "--data", folder / "data")
    return folder / "data"


def test_the_first_start_makes_everything_and_the_second_finds_it_again(tmp_path: Path) -> None:
    """Without a verb it serves; the CA a device trusts must not change by a restart (RFC 8894 2.2)."""
    data, fingerprints, codes = tmp_path / "data", [], []

    for number in (1, 2):
        with serving("--data", data, *ANY_PORT, log=tmp_path / f"{number}.log") as service:
            assert re.fullmatch(r"ready: http://127\.0\.0\.1:\d+/scep\n", service.ready)
            assert service.get("/healthz")[1] == b"ok\n"
        fingerprints += re.findall(r"SHA-256 fingerprint: ([0-9a-f]{64})\n", service.log)
        codes.append(service.code)

    first, second = (tmp_path / f"{number}.log" for number in (1, 2))
    assert codes == [0, 0]
    assert len(fingerprints) == 2
    assert len(set(fingerprints)) == 1
    assert "first start" in first.read_text()
    assert "first start" not in second.read_text()
    assert "challenge new" in first.read_text()
    assert {path.name for path in data.iterdir()} >= {"ca", "scepbox.db", "secrets.key"}


def test_what_is_secret_is_its_owner_s_alone(home: Path) -> None:
    """Whoever reads the CA key is the CA."""
    modes = {
        path: stat.S_IMODE(path.stat().st_mode) for path in (home / "ca" / "ca.key", home / "secrets.key")
    }

    assert set(modes.values()) == {0o600}
    assert stat.S_IMODE(home.stat().st_mode) == 0o700


def test_settings_come_from_file_environment_and_flag(tmp_path: Path) -> None:
    """The flag wins over the environment, which wins over the file."""
    settings = tmp_path / "my.toml"
    settings.write_text('[server]\nlisten = ["256.0.0.1:1"]\nbase_url = "http://file"\n')
    environment = {
        "SCEPBOX_DATA": str(tmp_path / "data"),
        "SCEPBOX_SERVER__BASE_URL": "http://environment",
        "SCEPBOX_SERVER__LISTEN": "256.0.0.1:2",
    }

    with serving(
        "serve", "--config", settings, *ANY_PORT, log=tmp_path / "log", environment=environment
    ) as service:
        page = service.get("/")[1].decode()

    assert "http://environment/scep" in page
    assert (tmp_path / "data" / "ca" / "ca.pem").exists()


def test_admin_listen_off_is_understood(home: Path, tmp_path: Path) -> None:
    """Scripts that switch the administrator's site off start on this version too."""
    arguments = ("serve", "--data", home, *ANY_PORT, "--admin-listen", "off")

    with serving(*arguments, log=tmp_path / "log") as service:
        assert service.get("/readyz")[0] == "text/plain"


def test_it_listens_on_several_addresses(home: Path, tmp_path: Path) -> None:
    """--listen may be repeated."""
    with serving("serve", "--data", home, *ANY_PORT, *ANY_PORT, log=tmp_path / "log") as service:
        assert service.get("/healthz")[1] == b"ok\n"

    assert service.code == 0


SETTINGS = (
    '[server]\nthreads = 0\n[limits]\nconnections = "many"\n[profiles.default]\nekus = ["a"]\n[wrong]\n'
)


def test_every_mistake_in_the_settings_is_told_at_once(tmp_path: Path) -> None:
    """Nobody wants to start a service four times to find four mistakes; a line for each."""
    did("init", "--data", tmp_path / "data")
    (tmp_path / "data" / "scepbox.toml").write_text(SETTINGS)

    done = run("serve", "--data", tmp_path / "data", *ANY_PORT)

    places = ("server.threads", "limits.connections", "profiles.default.ekus", "wrong")
    assert done.code == 2
    assert len(done.err.splitlines()) == len(places)
    assert [place for place in places if place not in done.err] == []


def test_a_taken_port_is_said_and_leaves_nothing_behind(tmp_path: Path) -> None:
    """Half a first start would be found again by the second."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = run("serve", "--data", tmp_path / "data", "--listen", f"127.0.0.1:{port}")

    assert done.code == 2
    assert f"cannot listen on 127.0.0.1:{port}" in done.err
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (("cert", "show", "abcd"), "there is no certificate abcd"),
        (("cert", "show", "not hexadecimal"), "there is no certificate"),
        (("cert", "export", "00:0A"), "there is no certificate 00:0A"),
        (("challenge", "revoke", "7"), "there is no challenge 7"),
    ],
)
def test_what_is_refused_exits_with_1(home: Path, arguments: tuple[str, ...], why: str) -> None:
    """It ran, and the answer is no: scripts tell that from a mistake of their own."""
    done = run(*arguments, "--data", home)

    assert (done.code, done.out) == (1, "")
    assert why in done.err
    assert len(done.err.splitlines()) == 1


@pytest.mark.parametrize("verb", VERBS, ids=" ".join)
def test_every_verb_takes_the_same_options(verb: tuple[str, ...]) -> None:
    """Wrappers put --data and --config behind any verb; --json is for what lists or shows."""
    command: click.Command = top
    for word in verb:
        assert isinstance(command, click.Group)
        command = command.commands[word]

    taken = {option for parameter in command.params for option in parameter.opts}

    assert {"--data", "--config", *(["--json"] if verb in LISTING else [])} - taken == set()
    assert command.help


def test_help_is_had_everywhere() -> None:
    """For the whole, for a group and for a verb."""
    for words in ((), ("challenge",), ("challenge", "new")):
        assert "Usage: run.py" in did(*words, "--help")


def test_version_names_what_it_runs_on() -> None:
    """The first thing that is asked for in a report of a fault."""
    facts = json.loads(did("version", "--json"))

    assert set(facts) == {"scepbox", "python", "cryptography", "openssl"}
