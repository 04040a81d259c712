"""What cannot be done is said in one line, with exit code 2: each case in a process of its own."""

import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeAlias

import pytest

from ca.issuing.key_store import encode_private_key
from tests.command_line import Done, run
from tests.world import ROOT, rsa_key

ANY_PORT = ("--listen", "127.0.0.1:0")
TWICE = ("--listen", "127.0.0.1:8080") * 2
# How Python shows an octet that is not UTF-8.
NO_TEXT = "caf\udce9"
# What a case types on standard input.
STDIN = {"a secret that is no text": f"{NO_TEXT}\n"}


@pytest.fixture(scope="module")
def home(made_ca: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with a CA, to be copied and broken."""
    folder = tmp_path_factory.mktemp("home")
    shutil.copytree(made_ca, folder / "data")
    return folder / "data"


Spoil: TypeAlias = Callable[[Path], object]


def whole(_: Path) -> None:
    """Leave the CA as it is."""


def absent(data: Path) -> None:
    """Leave no data folder at all."""
    shutil.rmtree(data)


def writing(name: str, content: str | bytes) -> Spoil:
    """Overwrite a file of the data folder."""
    octets = content.encode() if isinstance(content, str) else content
    return lambda data: (data / name).write_bytes(octets)


def folder_in_place_of_database(data: Path) -> None:
    """SQLite cannot open that."""
    (data / "scepbox.db").unlink()
    (data / "scepbox.db").mkdir()


# What is wrong: the folder, the verb, and what its one line must say.
CASES: dict[str, tuple[Spoil, tuple[str, ...], str]] = {
    "no CA: challenge": (absent, ("challenge", "new"), "run.py init"),
    "no CA: ca": (absent, ("ca", "show"), "run.py init"),
    "address": (absent, ("serve", "--listen", "nowhere"), "HOST:PORT"),
    "CA name": (absent, ("init", "--subject", "Example"), "CN="),
    "key type": (absent, ("init", "--key-type", "dsa"), "rsa:2048"),
    "unknown verb": (absent, ("serv",), "No such command"),
    "a name for one that has its own": (
        absent,
        ("init", "--import-cert", __file__, "--import-key", __file__, "--subject", "CN=Wanted"),
        "leave out --subject",
    ),
    "half an import": (absent, ("init", "--import-cert", __file__), "belong together"),
    "corrupt CA key": (writing("ca/ca.key", "junk"), ("serve", *ANY_PORT), "private key"),
    "CA key gone": (lambda data: (data / "ca/ca.key").unlink(), ("serve", *ANY_PORT), "ca.key"),
    "empty CA key": (writing("ca/ca.key", ""), ("serve", *ANY_PORT), "ca/ca.key: "),
    "key of another CA": (
        writing("ca/ca.key", encode_private_key(rsa_key(12))),
        ("serve", *ANY_PORT),
        "ca/ca.pem: the private key does not belong",
    ),
    "corrupt CA certificate": (writing("ca/ca.pem", "junk"), ("serve", *ANY_PORT), "ca/ca.pem: "),
    "empty CA certificate": (writing("ca/ca.pem", ""), ("serve", *ANY_PORT), "ca/ca.pem: "),
    "empty CA certificate: export": (writing("ca/ca.pem", ""), ("ca", "export"), "ca/ca.pem: "),
    "corrupt chain": (writing("ca/chain.pem", "junk"), ("serve", *ANY_PORT), "ca/chain.pem: "),
    "corrupt chain: export": (writing("ca/chain.pem", "junk"), ("ca", "export", "--chain"), "ca/chain.pem: "),
    "no certificate to import": (
        absent,
        ("init", "--import-cert", __file__, "--import-key", str(ROOT / "run.py")),
        "run.py: ",
    ),
    "corrupt secret": (
        writing("secrets.key", "junk"),
        ("challenge", "new"),
        "secrets.key",
    ),
    "secret of a wrong length": (
        writing("secrets.key", "00ff"),
        ("challenge", "new"),
        "secrets.key",
    ),
    "corrupt database": (
        writing("scepbox.db", b"no database at all " * 99),
        ("cert", "list"),
        "scepbox.db cannot be used",
    ),
    "database is a folder": (
        folder_in_place_of_database,
        ("cert", "list"),
        "scepbox.db cannot be used",
    ),
    "no TOML": (writing("scepbox.toml", "= 1"), ("serve",), "not TOML"),
    "database address": (
        writing("scepbox.toml", '[database]\nurl = "nonsense"\n'),
        ("cert", "list"),
        "database",
    ),
    "a folder in a file": (absent, ("init", "--data", f"{__file__}/data"), "test_cli_errors.py"),
    "validity": (whole, ("challenge", "new", "--valid", "soon"), "90m, 12h"),
    "challenge profile": (whole, ("challenge", "new", "--profile", "x"), "no profile"),
    "challenge subject": (whole, ("challenge", "new", "--subject", "x"), "CN="),
    "empty challenge": (whole, ("challenge", "new", "--secret", "-"), "1 to 255"),
    "challenge without a subject": (whole, ("challenge", "new", "--subject", ""), "--subject is empty"),
    "too many uses": (whole, ("challenge", "new", "--uses", "9" * 23), "from 1 to 999999999"),
    "uses in superscript": (whole, ("challenge", "new", "--uses", "²"), "from 1 to 999999999"),
    "no uses": (whole, ("challenge", "new", "--uses", "0"), "from 1 to 999999999"),
    "validity without end": (whole, ("challenge", "new", "--valid", "999999y"), "use forever"),
    "validity in superscript": (whole, ("challenge", "new", "--valid", "²h"), "90m, 12h"),
    "a note that is no text": (whole, ("challenge", "new", "--note", NO_TEXT), "is not text"),
    "a name that is no text": (whole, ("challenge", "new", "--san", NO_TEXT), "is not text"),
    "a secret that is no text": (whole, ("challenge", "new", "--secret", "-"), "not UTF-8"),
    "no secret at all": (whole, ("challenge", "new", "--secret", ""), "Is a directory"),
    "a number beyond the database's": (whole, ("challenge", "revoke", "9" * 23), "not in the range"),
    "expiring after the calendar": (whole, ("cert", "list", "--expiring", "999999y"), "year 9999"),
    "subject that is no text": (whole, ("cert", "list", "--subject", NO_TEXT), "is not text"),
    "serial that is no text": (whole, ("cert", "show", NO_TEXT), "is not text"),
    "port in superscript": (whole, ("serve", "--listen", ":²"), "HOST:PORT"),
    "port of another script": (whole, ("serve", "--listen", "127.0.0.1:٣"), "HOST:PORT"),
    "port too high": (whole, ("serve", "--listen", "127.0.0.1:65536"), "HOST:PORT"),
    "one address twice": (whole, ("serve", *TWICE), "--listen 127.0.0.1:8080 is given twice"),
    "init again": (whole, ("init",), "--data"),
}


@pytest.fixture(scope="module")
def failed(home: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Done]:
    """Every case, run side by side because each start takes half a second."""
    folder = tmp_path_factory.mktemp("failed")

    def fail(case: str) -> Done:
        spoil, (*arguments,), _ = CASES[case]
        data = folder / case
        shutil.copytree(home, data)
        spoil(data)
        place = () if "--data" in arguments else ("--data", data)
        return run(*arguments, *place, stdin=STDIN.get(case, ""))

    with ThreadPoolExecutor(8) as pool:
        return dict(zip(CASES, pool.map(fail, CASES), strict=True))


@pytest.mark.parametrize("case", CASES)
def test_what_cannot_run_says_why_and_exits_with_2(failed: dict[str, Done], case: str) -> None:
    """A person who mistyped something is told what, and never shown a traceback."""
    done = failed[case]

    assert done.code == 2, done.err
    assert "Traceback" not in done.err
    assert CASES[case][2] in done.err
    assert done.out == ""


@pytest.mark.parametrize("case", CASES)
def test_it_says_so_in_one_line(failed: dict[str, Done], case: str) -> None:
    """A log or a service manager shows one line."""
    said = [line for line in failed[case].err.splitlines() if not line.startswith("scepbox: warning")]

    assert len(said) == 1, failed[case].err
