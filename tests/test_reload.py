"""Settings that are taken in while the server runs: in every process, or in none."""

import json
import os
import re
import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection
from pathlib import Path
from shutil import copytree
from threading import Event
from urllib.parse import urlsplit

import pytest

try:
    import pty
except ImportError:  # Windows
    pty = None  # type: ignore[assignment]

from app.config import Config, ConfigError, load_config
from app.data_folder import DataFolder
from app.settings import AT_THE_START, ReloadMark, Settings, check_and_mark
from ca.scep.codec import decode_ca_certificates
from ca.x509.certificate import Certificate
from tests.admin_site import JSON, login, set_password
from tests.command_line import CLEAN, Service, command, did, run, serving
from tests.forging import Answer
from tests.processes import children
from tests.test_http import answer_of
from tests.world import SECRET, Device, certificate_of, rsa_key

POSIX = pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="this system has no hangups")
DEVICES = 4


@pytest.fixture
def data(made_ca: Path, tmp_path: Path) -> Path:
    """A CA with one challenge password without limit, and an administrator."""
    data = tmp_path / "data"
    copytree(made_ca, data)
    forever = ("--uses", "unlimited", "--valid", "forever")
    did("challenge", "new", "--data", data, "--secret", "-", *forever, stdin=SECRET)
    set_password(data)
    return data


@contextmanager
def running(data: Path, workers: int) -> Iterator[Service]:
    """A server of so many processes, with an administrator's site on a port that is free."""
    log = data.parent / "log"
    where = ("--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0", "--workers", workers)
    with serving("--data", data, *where, log=log) as service:
        await_(lambda: workers == 1 or len(children(service.process.pid)) == workers)
        yield service


@pytest.fixture(params=[1, 3], ids=["one process", "three workers"])
def service(data: Path, request: pytest.FixtureRequest) -> Iterator[Service]:
    """A server, alone or with workers."""
    with running(data, request.param) as service:
        yield service


def await_(condition: Callable[[], object]) -> None:
    """Wait until it holds."""
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline, "it did not come to that"
        time.sleep(0.05)


def ask(url: str, method: str, path: str, body: bytes | None = None, **headers: str) -> Answer:
    """One request on a connection of its own."""
    with closing(HTTPConnection(urlsplit(url).netloc, timeout=30)) as connection:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request(method, path, body, named)
        return answer_of(connection.getresponse())


def admin_url(service: Service) -> str:
    """Where the service says that the administrator comes to."""
    (url,) = re.findall(r"(?m)^admin: (http://127\.0\.0\.1:\d+/)$", service.log)
    return str(url)


def post_reload(service: Service) -> Answer:
    """Reload from the administrator's side."""
    return ask(admin_url(service), "POST", "/api/v1/reload", b"{}", **login(), **JSON)


def answers(service: Service, profile: str) -> set[int]:
    """The statuses of a profile's address in many connections, so that every process is asked."""
    statuses = set()
    for _ in range(12):
        statuses.add(ask(service.url, "GET", f"/scep/{profile}?operation=GetCACert").status)
    return statuses


def write(data: Path, text: str) -> None:
    """Write the settings file."""
    (data / "scepbox.toml").write_text(text, "utf-8")


@dataclass
class Fleet:
    """Devices that enrol without a pause, each on one connection that is never to be closed."""

    url: str
    ca: Certificate
    stopped: Event = field(default_factory=Event)
    running: list[Future[int]] = field(default_factory=list)

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """Enrol meanwhile; what fails is raised at the end."""
        with ThreadPoolExecutor(DEVICES) as pool:
            self.running = [pool.submit(self._enrol, number) for number in range(DEVICES)]
            try:
                yield
            finally:
                self.stopped.set()

    def enrolled(self) -> list[int]:
        """How many certificates each has got."""
        return [one.result() for one in self.running]

    def _enrol(self, number: int) -> int:
        count = 0
        with closing(HTTPConnection(urlsplit(self.url).netloc, timeout=30)) as connection:
            connection.connect()
            # A connection that was lost is not made anew in silence.
            connection.auto_open = 0
            while not self.stopped.is_set():
                device = Device(f"device-{number}-{count}", rsa_key(number), signing_time=None)
                message = device.message(self.ca, transaction_id=device.common_name)
                connection.request("POST", "/scep?operation=PKIOperation", message)
                with connection.getresponse() as response:
                    assert response.status == 200
                    body = response.read()
                certificate_of(device.read(body, self.ca, device.common_name))
                count += 1
        return count


def test_devices_enrol_while_settings_are_reloaded_ten_times(data: Path, service: Service) -> None:
    """Not one request fails and no connection is lost; each new profile answers at once, everywhere."""
    (ca,) = decode_ca_certificates(service.get("/scep?operation=GetCACert")[1])
    fleet = Fleet(service.url, ca)
    with fleet.at_work():
        for number in range(10):
            assert answers(service, f"wifi-{number}") == {404}
            write(data, "".join(f"[profiles.wifi-{made}]\n" for made in range(number + 1)))

            answer = post_reload(service)

            assert (answer.status, json.loads(answer.body)["changed"]) == (200, [f"profiles.wifi-{number}"])
            assert answers(service, f"wifi-{number}") == {200}

    assert min(fleet.enrolled()) > 10
    listed = json.loads(did("cert", "list", "--json", "--data", data))
    assert len(listed) == sum(fleet.enrolled())
    assert "Traceback" not in service.log


def by_signal(service: Service, _data: Path) -> None:
    """As a service manager does; the first process is the one that it knows."""
    service.process.send_signal(signal.SIGHUP)


def by_verb(_service: Service, data: Path) -> None:
    """As anybody can do, on Windows too."""
    did("reload", "--data", data)


def by_admin(service: Service, _data: Path) -> None:
    """From the administrator's side."""
    assert post_reload(service).status == 200


WAYS = [pytest.param(by_signal, marks=POSIX), by_verb, by_admin]


@pytest.mark.parametrize("way", WAYS)
def test_each_way_has_every_process_take_in_what_is_new(
    data: Path, service: Service, way: Callable[[Service, Path], None]
) -> None:
    """The log names what has changed in one line, and what waits for the next start, and no value."""
    write(data, '[profiles.vpn]\n[server]\nworkers = 7\nbase_url = "http://user:s3cret@x.example"\n')

    way(service, data)

    await_(lambda: answers(service, "vpn") == {200})
    await_(lambda: "the settings were taken in" in service.log)
    (line,) = re.findall(r".*the settings were taken in.*", service.log)
    assert "changed=profiles.vpn,server.base_url,server.workers" in line
    assert "at_the_next_start=server.workers" in line
    assert "s3cret" not in service.log
    assert service.process.poll() is None


@pytest.mark.parametrize("way", [pytest.param(by_signal, marks=POSIX), "verb", "admin"])
def test_a_wrong_file_changes_nothing_and_every_mistake_is_told(
    data: Path, service: Service, way: Callable[[Service, Path], None] | str
) -> None:
    """What is served goes on, with the settings that were in order."""
    write(data, "[profiles.vpn]\n")
    assert post_reload(service).status == 200
    write(data, '[profiles.wifi]\n[limits]\nconnections = "many"\n[lgo]\nlevel = "info"\n')

    match way:
        case "verb":
            done = run("reload", "--data", data)
            assert done.code == 2
            told = done.err
        case "admin":
            answer = post_reload(service)
            assert answer.status == 422
            told = "\n".join(json.loads(answer.body)["problems"])
        case _:
            service.process.send_signal(signal.SIGHUP)
            await_(lambda: service.log.count("the settings were not taken in") == 2)
            told = service.log

    assert f"{data}/scepbox.toml:3: limits.connections: has to be a whole number" in told
    assert f"{data}/scepbox.toml:4: lgo: is not a setting of this version; did you mean log?" in told
    assert answers(service, "vpn") == {200}
    assert answers(service, "wifi") == {404}


def test_what_was_found_in_order_is_taken_in_and_not_what_the_file_says_later(
    data: Path, service: Service
) -> None:
    """Somebody edits on; a worker that looks later, or replaces one that died, must not see half of it."""
    write(data, "[profiles.vpn]\n")
    did("reload", "--data", data)
    write(data, "[profiles.wifi]\n")

    assert answers(service, "vpn") == {200}
    assert answers(service, "wifi") == {404}
    for pid in children(service.process.pid):
        os.kill(pid, signal.SIGKILL)
    await_(lambda: service.process.poll() is None and answers(service, "vpn") == {200})
    assert answers(service, "wifi") == {404}


WEBHOOK = '[validator.mdm]\ntype = "webhook"\nurl = "https://mdm.example.org/"\n'
SECRET_FILE = 'secret_file = "mdm.secret"\n'


def test_the_verb_finds_what_the_server_would_stumble_over(data: Path, service: Service) -> None:
    """A file of a validator that is missing: the settings are in order and cannot be taken in."""
    write(data, f"[profiles.vpn]\n{WEBHOOK}{SECRET_FILE}")

    done = run("reload", "--data", data)

    assert (done.code, done.err.count("\n")) == (2, 1)
    assert f"validator.mdm.secret_file: there is no file {data / 'mdm.secret'}" in done.err
    assert answers(service, "vpn") == {404}


def test_the_verb_tells_what_can_hardly_be_meant(data: Path) -> None:
    """As the start does, and where the person looks who changed it."""
    write(data, "[profiles.vpn]\nvalid_until = 2020-01-01")

    done = run("reload", "--data", data)

    assert done.code == 0
    assert "warning: profiles.vpn.valid_until: 2020-01-01 is over" in done.err


def kill_workers(service: Service) -> None:
    """Have every worker replaced."""
    before = set(children(service.process.pid))
    for pid in before:
        os.kill(pid, signal.SIGKILL)
    await_(lambda: len(set(children(service.process.pid)) - before) == len(before))


@POSIX
def test_a_new_worker_serves_with_what_was_in_force_where_it_cannot_take_in_the_last(data: Path) -> None:
    """What the verb cannot see, a secret in the server's environment, must not end every new worker."""
    with running(data, 2) as service:
        write(data, "[profiles.vpn]\n")
        did("reload", "--data", data)
        assert answers(service, "vpn") == {200}
        write(data, f"[profiles.wifi]\n{WEBHOOK}")
        done = run("reload", "--data", data)
        assert (done.code, "SCEPBOX_VALIDATOR__MDM__SECRET" in done.err) == (0, True)

        kill_workers(service)

        assert answers(service, "vpn") == {200}
        assert answers(service, "wifi") == {404}
        assert 'reason="the settings cannot be taken in" detail="validator.mdm.secret_file' in service.log
        assert "a worker failed" not in service.log


@POSIX
def test_a_new_worker_serves_though_a_file_is_gone_that_was_there(data: Path) -> None:
    """Nobody else is to be without certificates for a validator's secret that was moved."""
    secret = data / "mdm.secret"
    secret.write_text("0123456789abcdef")
    secret.chmod(0o600)
    with running(data, 2) as service:
        write(data, WEBHOOK + SECRET_FILE)
        did("reload", "--data", data)
        assert answers(service, "default") == {200}
        secret.unlink()

        kill_workers(service)

        assert answers(service, "default") == {200}
        assert "a worker failed" not in service.log


def test_the_verb_refuses_to_have_another_file_taken_in(data: Path) -> None:
    """Without ``--config`` it looked at none, and all that the server's file says would be gone."""
    elsewhere = data.parent / "e.toml"
    elsewhere.write_text("[profiles.vpn]\n")
    where = ("--listen", "127.0.0.1:0", "--admin-listen", "off", "--workers", 1, "--config", elsewhere)
    with serving("--data", data, *where, log=data.parent / "log") as service:
        done = run("reload", "--data", data)

        assert (done.code, done.err.count("\n")) == (2, 1)
        assert f"--config {elsewhere}" in done.err
        assert str(data / "scepbox.toml") in done.err
        assert answers(service, "vpn") == {200}
        elsewhere.write_text("[profiles.vpn]\n[profiles.wifi]\nvalidity_days = 30\n")
        did("reload", "--data", data, "--config", elsewhere)
        assert answers(service, "wifi") == {200}
    entries = json.loads(did("log", "audit", "--json", "--data", data))
    (detail,) = [one["detail"] for one in entries if one["action"] == "reload"]
    assert detail.startswith("changed=profiles.wifi file=")


def test_the_next_start_reads_the_file_itself(data: Path) -> None:
    """What was reloaded once is no second place for settings."""
    write(data, "[profiles.vpn]\n")
    did("reload", "--data", data)
    write(data, "[profiles.wifi]\n")

    with running(data, 1) as service:
        assert answers(service, "wifi") == {200}
        assert answers(service, "vpn") == {404}


def test_the_level_of_the_log_can_be_changed(data: Path) -> None:
    """To look at one device's trouble without a restart."""
    with running(data, 1) as service:
        write(data, '[log]\nlevel = "error"\n')
        by_admin(service, data)
        before = service.log
        assert answers(service, "nowhere") == {404}

        assert service.log == before


def test_a_changed_base_url_is_taken_in_unless_the_command_line_has_one(data: Path) -> None:
    """What was typed counts more than what is written."""
    with running(data, 1) as service:
        write(data, '[server]\nbase_url = "http://new.example"\n')
        by_admin(service, data)

        assert b"http://new.example/scep" in service.get("/")[1]
    log = data.parent / "log"
    where = ("--listen", "127.0.0.1:0", "--admin-listen", "off", "--base-url", "http://typed.example")
    with serving("--data", data, *where, log=log) as service:
        did("reload", "--data", data)

        assert b"http://typed.example/scep" in service.get("/")[1]


@POSIX
def test_a_server_whose_terminal_is_closed_ends(data: Path) -> None:
    """A hangup means that too, and nobody wants a server that goes on where nobody sees it."""
    for workers in (1, 2):
        pid, terminal = pty.fork()
        if not pid:
            where = ("--listen", "127.0.0.1:0", "--admin-listen", "off", "--workers", str(workers))
            _become("--data", data, *where)
        _read_until(terminal, b"ready: ")
        below = children(pid)
        os.kill(pid, signal.SIGHUP)
        _read_until(terminal, b"the settings were taken in")

        os.close(terminal)

        ended: list[int] = []
        await_(lambda: _has_ended(pid, ended))  # noqa: B023 - called before the next round
        if not ended:
            os.kill(pid, signal.SIGKILL)
        assert ended == [0]
        await_(lambda: not any(_is_there(one) for one in below))  # noqa: B023


def _has_ended(pid: int, ended: list[int]) -> bool:
    found, status = os.waitpid(pid, os.WNOHANG)
    ended += [status] if found else []
    return bool(found)


def _become(*arguments: object) -> None:
    program = command(*arguments)
    os.execve(program[0], program, CLEAN)


def _read_until(terminal: int, text: bytes) -> None:
    seen = b""
    while text not in seen:
        seen += os.read(terminal, 1000)


def _is_there(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_without_a_folder_there_is_nothing_to_reload(tmp_path: Path) -> None:
    """One line with the next step."""
    done = run("reload", "--data", tmp_path / "none")

    assert (done.code, done.err.count("\n")) == (2, 1)


@pytest.fixture
def folder(tmp_path: Path) -> DataFolder:
    """A data folder without a server."""
    return DataFolder(tmp_path)


def settings_of(folder: DataFolder, config: Config | None = None) -> Settings:
    """As ``serve`` makes them."""
    mark = ReloadMark(folder)
    return Settings(lambda: folder.settings, config or Config(), mark, mark.look())


def test_what_waits_for_the_next_start_is_named_until_then(folder: DataFolder) -> None:
    """A second reload does not make a changed port open."""
    settings = settings_of(folder)
    folder.settings.write_text('[server]\nlisten = ["127.0.0.1:1"]\n[limits]\nconnections = 50\n')
    first = settings.reload(lambda _: None)
    folder.settings.write_text(
        '[server]\nlisten = ["127.0.0.1:1"]\n[limits]\nconnections = 50\npending_days = 3\n'
    )

    second = settings.reload(lambda _: None)

    waiting = ("limits.connections", "server.listen")
    assert (first.names, first.waiting) == (waiting, waiting)
    assert (second.names, second.waiting) == (("limits.pending_days",), waiting)
    assert settings.current().limits.pending_days == 3


def test_what_cannot_be_built_from_is_not_taken_in(folder: DataFolder) -> None:
    """The settings may be in order and a file that they name may be missing."""
    settings = settings_of(folder)
    folder.settings.write_text("[profiles.vpn]\n")

    def check(_: Config) -> None:
        raise FileNotFoundError(2, "No such file or directory", "hook.secret")

    with pytest.raises(ConfigError, match=r"^hook\.secret: No such file or directory$"):
        settings.reload(check)

    assert settings.version() == 0
    assert "vpn" not in settings.current().profiles


def test_a_process_whose_environment_is_at_odds_keeps_what_it_has(
    folder: DataFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The verb runs in another environment than the service."""
    settings = settings_of(folder)
    folder.settings.write_text("[profiles.vpn]\n")
    check_and_mark(folder.settings, ReloadMark(folder))
    monkeypatch.setenv("SCEPBOX_LIMITS__CONNECTIONS", "many")

    with pytest.raises(ConfigError, match="SCEPBOX_LIMITS__CONNECTIONS"):
        settings.current()

    monkeypatch.delenv("SCEPBOX_LIMITS__CONNECTIONS")
    assert "vpn" in settings.current().profiles


def test_two_reloads_within_a_moment_are_two(folder: DataFolder) -> None:
    """The times of files are too coarse for that, on some systems by seconds."""
    mark, seen = ReloadMark(folder), []
    for number in range(5):
        mark.leave(f"[profiles.p{number}]\n")
        seen.append((mark.look(), *mark.parse(mark.read()).profiles))

    assert len(set(seen)) == 5
    assert seen[-1][1] == "p4"
    if os.name != "nt":
        assert folder.reloaded_settings.stat().st_mode & 0o077 == 0
        assert folder.reload_mark.stat().st_mode & 0o077 == 0


def test_what_counts_at_the_start_alone_is_a_setting() -> None:
    """A name that is gone would never be told."""
    there = Config().model_dump()
    for name in AT_THE_START:
        section, _, key = name.partition(".")
        assert not key or key in there[section]
        assert section in there


def test_what_the_settings_say_is_what_a_file_says(folder: DataFolder) -> None:
    """Taken in or read at the start: the same."""
    folder.settings.write_text('[log]\nlevel = "debug"\n[profiles.vpn]\n')
    settings = settings_of(folder)

    settings.reload(lambda _: None)

    assert settings.current() == load_config(folder.settings)
