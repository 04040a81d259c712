"""The command line on PostgreSQL: the first start, passwords, and a database that is away."""

import os
import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest

from ca.scep.codec import decode_ca_certificates
from tests.command_line import Done, Service, run, serving
from tests.databases import PostgresServer, new_database, server, start_server
from tests.processes import children
from tests.world import Device, certificate_of

pytestmark = pytest.mark.databases("postgresql")
PASSWORD = "correct horse"
ANY_PORT = ("--listen", "127.0.0.1:0", "--workers", 1)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A folder that is not there yet."""
    return tmp_path / "data"


@pytest.fixture
def guarded() -> str:
    """A database of a user with a password, and without the password in its address."""
    name = new_database().rpartition("/")[2]
    with suppress(Exception):
        server().do(f"CREATE ROLE guarded LOGIN PASSWORD '{PASSWORD}'")
    server().do("GRANT ALL ON ALL TABLES IN SCHEMA public TO guarded", name)
    server().do("GRANT ALL ON ALL SEQUENCES IN SCHEMA public TO guarded", name)
    return server().url(name, "guarded")


def _settings(data: Path, url: str, more: str = "") -> None:
    data.mkdir()
    (data / "scepbox.toml").write_text(f'[database]\nurl = "{url}"\n{more}', "utf-8")


def _one_line(done: Done) -> str:
    assert done.code == 2, done.err
    (line,) = done.err.splitlines()
    return line


def _enrol(service: Service, challenge: str) -> None:
    ca = decode_ca_certificates(service.get("/scep?operation=GetCACert")[1])[0]
    device = Device(signing_time=None)
    message = device.message(ca, device.csr(challenge))
    with urlopen(Request(f"{service.url}?operation=PKIOperation", message), timeout=30) as answer:
        certificate_of(device.read(answer.read(), ca))


def _enrol_in_the_end(service: Service, challenge: str) -> None:
    """A database that was away is left alone for a moment."""
    end = time.monotonic() + 30
    while True:
        try:
            _enrol(service, challenge)
        except HTTPError as error:
            error.close()
            if time.monotonic() > end:
                raise
            time.sleep(0.1)
        else:
            return


def test_the_first_start_makes_all_that_is_missing(data: Path, tmp_path: Path) -> None:
    """An empty database is made like the file that it stands for, and none of that is made as well."""
    name = f"empty_{new_database().rpartition('/')[2]}"
    server().do(f"CREATE DATABASE {name} TEMPLATE template0 ENCODING 'UTF8'")
    _settings(data, server().url(name))

    with serving("--data", data, *ANY_PORT, log=tmp_path / "log") as service:
        challenge = run("challenge", "new", "--data", data)
        _enrol(service, challenge.out.strip())

    assert challenge.code == 0, challenge.err
    assert "first start" in service.log
    assert len(run("cert", "list", "--data", data).out.splitlines()) == 1
    assert not (data / "scepbox.db").exists()


def test_a_database_in_use_gets_no_other_ca(data: Path, tmp_path: Path) -> None:
    """A second server that was given the database and not the folder would answer as a stranger."""
    url = new_database()
    _settings(data, url)
    assert run("init", "--data", data).code == 0
    assert run("challenge", "new", "--data", data).code == 0
    other = tmp_path / "other"
    _settings(other, url)

    line = _one_line(run("init", "--data", other))

    assert "holds what one issued" in line
    assert "the PostgreSQL database" in line
    assert not (other / "ca").exists()


def test_a_database_that_is_not_there_is_told_in_one_line(data: Path) -> None:
    """Which one, why, and where to look; and nothing is made meanwhile."""
    _settings(data, f"postgresql+psycopg://scepbox:{PASSWORD.split()[0]}@127.0.0.1:9/nowhere")

    line = _one_line(run("serve", *ANY_PORT, "--data", data))

    assert "the PostgreSQL database nowhere at 127.0.0.1:9" in line
    assert "refused" in line
    assert "[database]" in line
    assert PASSWORD.split()[0] not in line
    assert not (data / "ca").exists()


def test_the_password_comes_from_a_file(data: Path, tmp_path: Path, guarded: str) -> None:
    """So that the settings can be shown to anybody."""
    secret = tmp_path / "password"
    secret.write_text(f"{PASSWORD}\r\n", "utf-8-sig")
    secret.chmod(0o600)
    _settings(data, guarded, f'password_file = "{secret.as_posix()}"\n')

    done = run("init", "--data", data)

    assert done.code == 0, done.err
    assert PASSWORD not in done.err


def test_the_password_comes_from_where_libpq_keeps_it(data: Path, tmp_path: Path, guarded: str) -> None:
    """As for every other program that speaks to PostgreSQL on this machine."""
    passwords = tmp_path / "pgpass"
    passwords.write_text(f"*:*:*:guarded:{PASSWORD}\n")
    passwords.chmod(0o600)
    _settings(data, guarded)

    done = run("init", "--data", data, environment={"PGPASSFILE": str(passwords)})

    assert done.code == 0, done.err


@pytest.mark.parametrize("wrong", ["wrong horse", "", "two\nlines"])
def test_a_password_that_is_none_is_told_and_not_shown(
    data: Path, tmp_path: Path, guarded: str, wrong: str
) -> None:
    """It may be the right one of something else."""
    secret = tmp_path / "password"
    secret.write_text(wrong)
    _settings(data, guarded, f'password_file = "{secret.as_posix()}"\n')

    line = _one_line(run("init", "--data", data))

    assert "password" in line
    assert "horse" not in line


def test_a_password_that_was_changed_is_read_again(data: Path, tmp_path: Path, guarded: str) -> None:
    """It is changed every so often, and nobody restarts a server for it."""
    secret, database = tmp_path / "password", guarded.rpartition("/")[2]
    secret.write_text(PASSWORD)
    secret.chmod(0o600)
    _settings(data, guarded, f'password_file = "{secret.as_posix()}"\n')
    disconnect = f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{database}'"
    with serving("--data", data, *ANY_PORT, log=tmp_path / "log") as service:
        challenge = run("challenge", "new", "--data", data).out.strip()
        try:
            server().do("ALTER ROLE guarded PASSWORD 'another horse'")
            server().do(disconnect)
            with pytest.raises(HTTPError) as refused:
                _enrol(service, challenge)
            verb = run("challenge", "list", "--data", data)
            secret.write_text("another horse\n")
            _enrol_in_the_end(service, challenge)
        finally:
            server().do(f"ALTER ROLE guarded PASSWORD '{PASSWORD}'")

    refused.value.close()
    assert refused.value.code == 503
    for told in (_one_line(verb), service.log):
        assert "see that password_file" in told
        assert "horse" not in told


def test_a_password_file_that_is_gone_is_told(data: Path, tmp_path: Path, guarded: str) -> None:
    """By its name, for it is not in the data folder."""
    _settings(data, guarded, f'password_file = "{(tmp_path / "gone").as_posix()}"\n')

    assert "gone: No such file" in _one_line(run("init", "--data", data))


@pytest.fixture
def own_server() -> Iterator[PostgresServer]:
    """A server that a test may stop and start again."""
    started = start_server()
    started.do("CREATE DATABASE scepbox TEMPLATE template0 ENCODING 'UTF8'")
    yield started
    if started.process.poll() is None:
        started.stop()
    started.remove()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
def test_what_needs_no_database_goes_on_while_it_is_away(
    data: Path, tmp_path: Path, own_server: PostgresServer
) -> None:
    """Issue 5: devices get the CA certificate and the CRL, and hear 503 where something would be kept."""
    _settings(data, own_server.url("scepbox"))
    listen = ("--listen", "127.0.0.1:0", "--workers", 2)
    with serving("--data", data, *listen, log=tmp_path / "log") as service:
        challenge = run("challenge", "new", "--data", data).out.strip()
        # Each worker knows the CRL once it was asked.
        for _ in range(20):
            crl = service.get("/crl")
        ca = service.get("/scep?operation=GetCACert")
        own_server.stop()

        away = [service.get(path) for path in ("/scep?operation=GetCACert", "/crl")]
        with pytest.raises(HTTPError) as refused:
            _enrol(service, challenge)
        with pytest.raises(HTTPError) as not_ready:
            service.get("/readyz")
        os.kill(children(service.process.pid)[0], signal.SIGKILL)
        time.sleep(2)
        caps = [service.get("/scep?operation=GetCACaps") for _ in range(8)][-1]
        workers = len(children(service.process.pid))
        again = start_server(own_server.folder, own_server.port)
        try:
            _enrol(service, challenge)
        finally:
            again.stop()

    assert away == [ca, crl]
    assert refused.value.code == 503
    assert refused.value.headers["Retry-After"]
    assert not_ready.value.code == 503
    assert b"Renewal" in caps[1]
    assert workers == 2
    assert service.log.count("a worker ended by itself") == 1
    for error in (refused.value, not_ready.value):
        error.close()
