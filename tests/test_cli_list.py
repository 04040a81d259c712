"""``cert list`` among many certificates: as many as a person reads, and all of them for a machine."""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from app.cli.cert import SHOWN
from app.config import Config
from app.configured_store import open_configured_store
from app.data_folder import DataFolder
from app.store import SqlRepository
from tests.command_line import CLEAN, command, did, run
from tests.test_revocation import issue
from tests.world import World

COUNT = SHOWN + 5


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A CA with more certificates than are shown at once."""
    folder = tmp_path_factory.mktemp("list") / "data"
    did("init", "--data", folder)
    world, store = World("sqlite://"), open_configured_store(DataFolder(folder), Config())
    template, now = issue(world), datetime.now(UTC).replace(microsecond=0)

    def fill(repository: SqlRepository) -> None:
        for number in range(COUNT):
            name, ends = f"ipad-{number:03}", now + timedelta(days=1 + number)
            one = replace(template, serial=f"a{number:03}", subject=f"CN={name}", name=name, not_after=ends)
            repository.add_certificate(one)

    store.transact(fill)
    store.close()
    world.store.close()
    return folder


def listed(data: Path, *options: str) -> list[str]:
    return [one["serial"] for one in json.loads(did("cert", "list", "--json", *options, "--data", data))]


def test_a_machine_gets_all(data: Path) -> None:
    """Neither JSON nor a pipe ends where a person would have enough."""
    serials = [f"a{number:03}" for number in range(COUNT)]

    lines = did("cert", "list", "--data", data).splitlines()

    assert listed(data) == serials
    assert [line.split("\t")[0] for line in lines] == serials


def test_a_list_of_none_is_a_list(data: Path) -> None:
    """``jq`` reads it."""
    assert did("cert", "list", "--json", "--status", "revoked", "--data", data) == "[]\n"


def test_a_page_says_how_it_goes_on(data: Path) -> None:
    """Nobody takes the first for all, and the last says nothing."""
    first = run("cert", "list", "--limit", "2", "--data", data)
    last = run("cert", "list", "--limit", "2", "--after", f"A{COUNT - 3:03}", "--data", data)

    assert [line.split("\t")[0] for line in first.out.splitlines()] == ["a000", "a001"]
    assert first.err.startswith("there are more: go on with --after a001, ")
    assert [line.split("\t")[0] for line in last.out.splitlines()] == [f"a{COUNT - 2:03}", f"a{COUNT - 1:03}"]
    assert last.err == ""


def test_names_by_their_beginning(data: Path) -> None:
    """In any case of the letters, in the order of the names, and with the other filters."""
    assert listed(data, "--name", "IPAD-01") == [f"a01{number}" for number in range(10)]
    assert listed(data, "--name", "ipad-01", "--expiring", "12d", "--after", "a010") == ["a011"]
    assert listed(data, "--name", "pad") == []
    unknown = run("cert", "list", "--json", "--profile", "lan", "--data", data)
    assert (json.loads(unknown.out), unknown.code) == ([], 0)
    assert "there is no profile 'lan' in the settings; there are: default" in unknown.err
    assert listed(data, "--profile", "default", "--limit", "1") == ["a000"]


def test_whom_the_list_is_to_go_on_after_has_to_be_there(data: Path) -> None:
    """A serial number that was mistyped would begin anew."""
    done = run("cert", "list", "--after", "ffff", "--data", data)

    assert done.code == 1
    assert "no certificate ffff" in done.err


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no terminal that a program can be given")
def test_a_person_is_shown_what_he_can_read(data: Path) -> None:
    """A million lines would push everything else off the terminal."""
    shown = _on_a_terminal(command("cert", "list", "--data", data))

    assert sum("ipad-" in line for line in shown) == SHOWN
    assert any(f"--after a{SHOWN - 1:03}" in line for line in shown)


def _on_a_terminal(words: Sequence[str]) -> list[str]:
    """The lines that a command writes to a terminal of its own."""
    import pty

    terminal, theirs = pty.openpty()
    process = subprocess.Popen(
        words, stdin=theirs, stdout=theirs, stderr=theirs, env={**CLEAN, "COLUMNS": "200"}
    )
    os.close(theirs)
    octets = b""
    try:
        while some := os.read(terminal, 4096):
            octets += some
    except OSError:
        # That is how Linux says that the other end was closed.
        pass
    os.close(terminal)
    assert process.wait(30) == 0
    return octets.decode().splitlines()
