"""What tests of backups need: a CA with something of everything in it, and all rows of a database."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from urllib.request import Request, urlopen

from click.testing import CliRunner
from sqlalchemy import select, text

from app.cli.main import top
from app.store import tables
from ca.scep.codec import decode_ca_certificates
from ca.scep.messages import Outcome
from tests.command_line import Done, Service, serving
from tests.databases import looking_into
from tests.world import Device, rsa_key

ANY_PORT = ("--listen", "127.0.0.1:0", "--admin-listen", "off", "--workers", 1)
SECRET = "always the same"
SETTINGS = """
[profiles.slow]
approval = "manual"
challenge = "none"
"""


def settings(url: str = "") -> str:
    """A settings file for the database at *url*, empty for SQLite in the folder."""
    return f'[database]\nurl = "{url}"\n{SETTINGS}'


def make_ca(data: Path, url: str = "") -> None:
    """A CA with one challenge password without end, ``SECRET``, and one that is good once."""
    data.mkdir()
    (data / "scepbox.toml").write_text(settings(url), "utf-8")
    did_here("init", "--data", data)
    static = ("--uses", "unlimited", "--valid", "forever", "--secret", "-")
    did_here("challenge", "new", "--data", data, *static, stdin=SECRET)
    did_here("challenge", "new", "--data", data, "--note", "ünïcödé \U0001f4f1")


def enrol(service: Service, name: str, profile: str = "", challenge: str | None = SECRET) -> Outcome:
    """Enrol a device, and read the answer as it would."""
    ca = decode_ca_certificates(service.get("/scep?operation=GetCACert")[1])[0]
    device = Device(name, key=rsa_key(2), signing_time=None)
    message = device.message(ca, device.csr(challenge), transaction_id=name)
    url = f"{service.url}{f'/{profile}' if profile else ''}?operation=PKIOperation"
    with urlopen(Request(url, message), timeout=30) as answer:
        return device.read(answer.read(), ca, name)


def here(*arguments: object, stdin: str = "", environment: dict[str, str] | None = None) -> Done:
    """Run a verb to its end in this process, which saves the second that a new one takes to begin."""
    done = CliRunner().invoke(top, list(map(str, arguments)), input=stdin, env=environment)
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return Done(done.exit_code, done.stdout, done.stderr)


def did_here(*arguments: object, stdin: str = "") -> str:
    """The same for one that must succeed: its standard output."""
    done = here(*arguments, stdin=stdin)
    assert done.code == 0, done.err
    return done.out


def assert_refused(done: Done, *words: str, code: int = 2) -> None:
    """Assert that a verb said in one line why it could not run, with *words* in it."""
    assert done.code == code, done.err
    line = done.err.splitlines()[0] if code == 1 else done.err
    assert len(line.splitlines()) == 1, done.err
    for word in words:
        assert word in line


@contextmanager
def server_of(data: Path, *options: object) -> Iterator[Service]:
    """A server on the folder."""
    with serving("serve", "--data", data, *ANY_PORT, *options, log=data.parent / f"{data.name}.log") as one:
        yield one


def rows_of(url: str) -> dict[str, Sequence[tuple[object, ...]]]:
    """Every row of every table, in the order of its key."""
    with looking_into(url) as database:
        return {
            table.name: sorted(tuple(row) for row in database.execute(select(table)))
            for table in tables.metadata.sorted_tables
        }


def sqlite_of(data: Path) -> str:
    """The address of the database in a folder."""
    return f"sqlite:///{(data / 'scepbox.db').as_posix()}"


def run_sql(url: str, *statements: str) -> None:
    """Have the database do what the program would not."""
    with looking_into(url) as database:
        for one in statements:
            database.execute(text(one))
