"""Starting, stopping and failing: the verbs as processes, their exit codes and their one line."""

import io
import json
import re
import socket
import stat
import subprocess
import sys
import venv
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.request import urlopen

import click
import pytest

from app.cli.context import print_table
from app.cli.main import DEBUG, main, top
from tests.command_line import CLEAN, command, did, run, serving
from tests.world import ROOT

# The interpreter outside of any virtual environment.
BASE_PYTHON = Path(getattr(sys, "_base_executable", sys.executable))
ANY_PORT = ("--listen", "127.0.0.1:0")
VERBS = (
    ("init",),
    ("serve",),
    ("challenge", "new"),
    ("challenge", "list"),
    ("challenge", "revoke"),
    ("request", "list"),
    ("request", "show"),
    ("request", "approve"),
    ("request", "reject"),
    ("cert", "list"),
    ("cert", "show"),
    ("cert", "export"),
    ("ca", "show"),
    ("ca", "export"),
    ("enroll",),
    ("version",),
)
LISTING = (
    ("challenge", "list"),
    ("request", "list"),
    ("request", "show"),
    ("cert", "list"),
    ("cert", "show"),
    ("ca", "show"),
    ("version",),
)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with a CA, which no test changes."""
    folder = tmp_path_factory.mktemp("home")
    did("init", "--data", folder / "data")
    return folder / "data"


@pytest.mark.proves("R-2.1.1-a", "R-2.2-f")
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


@pytest.mark.proves("S-05")
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
    """--listen may be repeated: ``ready`` names the first, for scripts, and people are told the others."""
    with serving("serve", "--data", home, *ANY_PORT * 3, log=tmp_path / "log") as service:
        others = re.findall(r"(?m)^also: (http://127\.0\.0\.1:\d+)/scep$", service.log)
        answers = [urlopen(f"{other}/healthz", timeout=10).read() for other in others]
        answers.append(service.get("/healthz")[1])

    assert answers == [b"ok\n"] * 3
    assert service.code == 0


def test_init_then_a_challenge_then_serve(tmp_path: Path) -> None:
    """A device can be prepared before anything listens."""
    did("init", "--data", tmp_path / "data")
    did("challenge", "new", "--data", tmp_path / "data")

    with serving("serve", "--data", tmp_path / "data", *ANY_PORT, log=tmp_path / "log") as service:
        assert service.get("/readyz")[1] == b"ready\n"

    assert "first start" not in service.log


SETTINGS = (
    '[server]\nworkers = -1\n[limits]\nconnections = "many"\n[profiles.default]\nekus = ["a"]\n[wrong]\n'
)


def test_every_mistake_in_the_settings_is_told_at_once(tmp_path: Path) -> None:
    """Nobody wants to start a service four times to find four mistakes; a line for each."""
    did("init", "--data", tmp_path / "data")
    (tmp_path / "data" / "scepbox.toml").write_text(SETTINGS)

    done = run("serve", "--data", tmp_path / "data", *ANY_PORT)

    places = ("server.workers", "limits.connections", "profiles.default.ekus", "wrong")
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
        found = command.get_command(click.Context(command), word)
        assert found
        command = found

    taken = {option for parameter in command.params for option in parameter.opts}

    assert {"--data", "--config", *(["--json"] if verb in LISTING else [])} - taken == set()
    assert command.help


def test_help_is_had_everywhere() -> None:
    """For the whole, for a group and for a verb."""
    for words in ((), ("challenge",), ("challenge", "new")):
        assert "Usage: run.py" in did(*words, "--help")


def test_each_verb_loads_by_itself_all_that_it_needs() -> None:
    """Python is started anew for each: in the copies that other tests make, all modules are there already."""

    def ask(verb: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(command(verb, "--help"), capture_output=True, text=True, env=CLEAN, check=False)

    with ThreadPoolExecutor(2) as pool:
        ended = list(pool.map(ask, top.list_commands(click.Context(top))))

    assert len(ended) > 15
    assert [one.stderr for one in ended if one.returncode or one.stderr] == []


def test_version_names_what_it_runs_on() -> None:
    """The first thing that is asked for in a report of a fault."""
    facts = json.loads(did("version", "--json"))

    assert set(facts) == {"scepbox", "python", "cryptography", "openssl"}


def test_a_secret_may_come_with_the_mark_of_windows(home: Path, tmp_path: Path) -> None:
    """Notepad and PowerShell put U+FEFF in front of UTF-8, which no device sends."""
    (tmp_path / "secret").write_bytes("\ufeffgrün\r\n".encode())

    made = did("challenge", "new", "--data", home, "--secret", tmp_path / "secret")

    assert made == "grün\n"


def test_the_ca_is_exported_whatever_stands_beside_it(tmp_path: Path) -> None:
    """``openssl x509 -text`` writes names into the file, in any encoding."""
    did("init", "--data", tmp_path / "data")
    before = did("ca", "export", "--data", tmp_path / "data")
    file = tmp_path / "data" / "ca" / "ca.pem"
    file.write_bytes("subject=CN = Gerätestelle\n".encode("latin-1") + file.read_bytes())

    assert did("ca", "export", "--data", tmp_path / "data") == before


class _Terminal(io.StringIO):
    """A screen."""

    def isatty(self) -> bool:
        return True


def test_a_name_is_no_markup(monkeypatch: pytest.MonkeyPatch) -> None:
    """A device chooses its name, and must not choose how the list is shown, or that it is not."""
    monkeypatch.setattr(sys, "stdout", screen := _Terminal())

    print_table(["subject"], [["CN=[/red]"], ["CN=[bold]x"], ["CN=:smile:"]])

    assert [line.strip() for line in screen.getvalue().splitlines()[1:]] == [
        "CN=[/red]",
        "CN=[bold]x",
        "CN=:smile:",
    ]


@pytest.fixture
def broken_verb(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A verb with a fault of ours, as the one that is called."""

    @top.command()
    def broken() -> None:
        raise ZeroDivisionError("a\nb")

    monkeypatch.setattr(sys, "argv", ["run.py", "broken"])
    yield
    del top.commands["broken"]


@pytest.mark.usefixtures("broken_verb")
def test_a_fault_of_ours_is_one_line_too(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """With how to see where it is."""
    monkeypatch.delenv(DEBUG, raising=False)

    with pytest.raises(SystemExit) as ended:
        main()

    said = capsys.readouterr().err
    assert ended.value.code == 2
    assert (
        said
        == "scepbox: internal error: ZeroDivisionError: a b (run with SCEPBOX_DEBUG=1 for the traceback)\n"
    )


@pytest.mark.usefixtures("broken_verb")
def test_who_asks_for_it_is_shown_the_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """For the report of a fault."""
    monkeypatch.setenv(DEBUG, "1")

    with pytest.raises(SystemExit):
        main()

    assert "in broken" in capsys.readouterr().err


INTERRUPTING = "import signal\nsignal.raise_signal(signal.SIGINT)\n"


def test_ctrl_c_while_it_loads_is_one_line(tmp_path: Path) -> None:
    """Half a second in which impatient people press it: the first package that is loaded does so here."""
    (tmp_path / "pydantic.py").write_text(INTERRUPTING)

    done = run("version", environment={"PYTHONPATH": str(tmp_path)})

    assert (done.code, done.out, done.err) == (2, "", "scepbox: interrupted\n")


def test_who_reads_no_further_gets_no_traceback(home: Path) -> None:
    """As in ``python run.py ca show | head -1``, with a reader that is gone at once."""
    with subprocess.Popen(
        [sys.executable, ROOT / "run.py", "ca", "show", "--data", home],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=CLEAN,
    ) as process:
        assert process.stdout
        assert process.stderr
        process.stdout.close()
        said = process.stderr.read()

    assert said == b""


@pytest.mark.skipif(sys.platform == "win32", reason="the interpreter that presses Ctrl-C is a shell script")
def test_ctrl_c_while_packages_are_installed_is_one_line(tmp_path: Path) -> None:
    """The longest wait there is; the next start goes on."""
    (tmp_path / "app").mkdir()
    for name in ("run.py", "app/__init__.py", "app/bootstrap.py"):
        (tmp_path / name).write_bytes((ROOT / name).read_bytes())
    (tmp_path / "requirements.txt").touch()
    python = tmp_path / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text("#!/bin/sh\nkill -INT $PPID\nsleep 5\n")
    python.chmod(0o755)

    done = subprocess.run(
        [BASE_PYTHON, tmp_path / "run.py"], capture_output=True, text=True, env=CLEAN, check=False
    )

    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.splitlines()[-1] == "scepbox: interrupted"
    assert "Traceback" not in done.stderr


def test_a_virtual_environment_without_pip_is_made_again(tmp_path: Path) -> None:
    """Who pressed Ctrl-C while it was made has one that nothing can be installed into."""
    home = tmp_path / ".venv"
    venv.create(home)
    (tmp_path / "requirements.txt").touch()
    program = "import sys; from pathlib import Path; from app.bootstrap import ensure_environment as ensure\n"
    program += "ensure(root := Path(sys.argv[1]), [root / 'requirements.txt']); print(sys.prefix)"
    environment = {**CLEAN, "PYTHONPATH": str(ROOT)}

    done = subprocess.run(
        [BASE_PYTHON, "-c", program, tmp_path], capture_output=True, text=True, env=environment, check=False
    )

    assert done.returncode == 0, done.stderr
    assert Path(done.stdout.strip()).resolve() == home.resolve()


def test_first_starts_at_once_make_one_virtual_environment(tmp_path: Path) -> None:
    """Two terminals, or a service manager and a person: one makes it, the others wait and use it."""
    (tmp_path / "requirements.txt").touch()
    program = "import sys; from pathlib import Path; from app.bootstrap import ensure_environment as ensure\n"
    program += "ensure(root := Path(sys.argv[1]), [root / 'requirements.txt']); print(sys.prefix)"
    starts = [
        subprocess.Popen(
            [BASE_PYTHON, "-c", program, tmp_path],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**CLEAN, "PYTHONPATH": str(ROOT)},
        )
        for _ in range(3)
    ]

    ended = [one.communicate(timeout=120) for one in starts]

    assert [one.returncode for one in starts] == [0] * 3, ended
    assert {Path(out.strip()).resolve() for out, _ in ended} == {(tmp_path / ".venv").resolve()}
    assert sum(said.count("making a virtual environment") for _, said in ended) == 1
