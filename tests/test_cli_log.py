"""``log``: what an auditor reads, and how he finds out whether it is still what was written."""

import json
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from app.cli.audit_log import verify
from tests.command_line import did, run, serving


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A CA with a dozen decisions on it, by the operator alone."""
    home = tmp_path_factory.mktemp("log")
    data = home / "data"
    did("init", "--data", data, "--subject", "CN=Audited CA")
    did("challenge", "new", "--data", data, "--subject", "CN=ipad-17", "--sid", "S-1-5-21-1-2-3-1104")
    did("challenge", "revoke", "1", "--data", data)
    did("ca", "rollover", "prepare", "--data", data)
    did("ca", "rollover", "abort", "--data", data)
    did("ca", "rollover", "prepare", "--data", data)
    did("ca", "rollover", "activate", "--data", data)
    did("crl", "publish", "--data", data)
    return home


@pytest.fixture
def data(home: Path, tmp_path: Path) -> Path:
    """A copy of its folder."""
    return Path(shutil.copytree(home / "data", tmp_path / "data"))


def _entries(data: Path, *options: object) -> list[dict[str, Any]]:
    listed: list[dict[str, Any]] = json.loads(did("log", "audit", "--json", "--data", data, *options))
    return listed


def _tamper(data: Path, statement: str) -> None:
    with closing(sqlite3.connect(data / "scepbox.db")) as database, database:
        for name in ("audit_not_updated", "audit_not_deleted"):
            database.execute(f"DROP TRIGGER {name}")
        database.execute(statement)


def test_every_decision_of_an_operator_is_listed(data: Path) -> None:
    """Whoever made them, and what; the newest stands last, where a terminal shows it."""
    entries = _entries(data)

    assert [(one["action"], one["outcome"]) for one in entries] == [
        ("init", "made"),
        ("challenge new", "made"),
        ("challenge revoke", "revoked"),
        ("rollover prepare", "done"),
        ("rollover abort", "done"),
        ("rollover prepare", "done"),
        ("rollover activate", "done"),
        *[("publish", "published")] * 3,
    ]
    assert [one["number"] for one in entries] == list(range(1, 11))
    assert all(one["actor"].startswith("operator") and one["rule"] == "operator" for one in entries)
    assert entries[0]["target"] == "CN=Audited CA"
    assert "subject=CN=ipad-17 sid=S-1-5-21-1-2-3-1104" in entries[1]["detail"]
    assert _entries(data, "--limit", 2) == entries[-2:]
    assert _entries(data, "--since", "1h", "--limit", 3) == entries[-3:]


def test_the_list_is_of_lines_for_a_pipe(data: Path) -> None:
    """So that grep and cut go on from there."""
    lines = did("log", "audit", "--data", data, "--since", "900000d").splitlines()

    assert len(lines) == 10
    assert lines[2].split("\t")[3:] == ["challenge revoke", "challenge 1", "revoked", "operator", ""]


def test_what_is_old_is_not_listed_as_new(data: Path) -> None:
    """--since is for who looks every day."""
    _tamper(data, "UPDATE audit SET at = at - 7200 WHERE number < 10")

    assert [one["number"] for one in _entries(data, "--since", "1h")] == [10]


def test_a_whole_log_prints_where_it_ends(data: Path) -> None:
    """The line is for keeping elsewhere, and fits when the log has grown."""
    head = did("log", "verify", "--data", data).strip()
    did("challenge", "new", "--data", data)

    done = run("log", "verify", "--data", data, "--head", head)

    assert head.startswith("10:")
    assert (done.code, done.out.split(":")[0]) == (0, "11")
    assert "whole: 11 entries" in done.err


def test_a_changed_entry_is_named(data: Path) -> None:
    """Exit code 1, so that a script that asks every night tells somebody."""
    _tamper(data, "UPDATE audit SET actor = 'operator mallory' WHERE number = 3")

    done = run("log", "verify", "--data", data)
    told = run("log", "verify", "--json", "--data", data)

    assert (done.code, done.out) == (1, "")
    assert "entry 3: changed" in done.err
    assert told.code == 1
    report = json.loads(told.out)
    assert (report["whole"], report["findings"][0]["flaw"]) == (False, "changed")


def test_an_end_that_was_cut_off_is_named_to_who_knows_it(data: Path) -> None:
    """Without the line that was kept nobody could tell."""
    head = did("log", "verify", "--data", data).strip()
    _tamper(data, "DELETE FROM audit WHERE number > 6")

    done = run("log", "verify", "--data", data, "--head", head)

    assert run("log", "verify", "--data", data).code == 0
    assert done.code == 1
    assert "entries 7 to 10: missing" in done.err


@pytest.mark.parametrize("head", ["9", "9:abc", "x:" + "0" * 64, "", "-1:" + "0" * 64, "9:" + "0" * 65])
def test_a_head_that_is_none_is_told(head: str) -> None:
    """Half of a line was copied."""
    done = CliRunner().invoke(verify, ["--head", head])

    assert done.exit_code == 2
    assert "NUMBER:HASH" in done.output


def test_text_that_is_none_is_told_in_words(data: Path) -> None:
    """SQLite keeps any octets as text for who asks it to: a change like any other, and not to be shown."""
    _tamper(data, "UPDATE audit SET actor = CAST(x'ff' AS TEXT) WHERE number = 3")

    verified, shown = (run("log", verb, "--data", data) for verb in ("verify", "audit"))

    assert (verified.code, shown.code) == (1, 2)
    assert "entry 3: changed" in verified.err
    assert "scepbox.db cannot be used" in shown.err
    assert "Traceback" not in verified.err + shown.err


def test_a_lost_secret_ends_what_can_be_checked_and_begins_anew(data: Path) -> None:
    """It says so each time, and what came later is checked."""
    (data / "secrets.key").unlink()
    made = run("init", "--make-missing", "--data", data)

    done = run("log", "verify", "--data", data)

    assert "audit log" in made.err
    assert _entries(data)[-1]["target"] == "secrets.key"
    assert done.code == 0
    assert "entries 1 to 10 cannot be checked" in done.err
    _tamper(data, "UPDATE audit SET rule = '' WHERE number = 11")
    assert run("log", "verify", "--data", data).code == 1


def test_the_server_tells_its_log_where_the_audit_log_ends(data: Path, tmp_path: Path) -> None:
    """At its start and at its end: a copy elsewhere, for who has the logs collected."""
    head = did("log", "verify", "--data", data).strip()
    with serving("--data", data, "--listen", "127.0.0.1:0", log=tmp_path / "log") as service:
        did("challenge", "new", "--data", data)
    after = did("log", "verify", "--data", data).strip()

    told = [line.partition("audit_head=")[2] for line in service.log.splitlines() if "audit_head=" in line]
    assert service.code == 0
    assert told == [head, after]


def test_refusals_that_were_left_out_are_told_at_the_end(tmp_path: Path) -> None:
    """A process that ends takes its counts along; each worker has its own."""
    data = tmp_path / "data"
    did("init", "--data", data)
    with serving(
        "--data", data, "--listen", "127.0.0.1:0", "--workers", "1", log=tmp_path / "log",
        environment={"SCEPBOX_CHALLENGE__GUESSES_PER_MINUTE": "1"},
    ) as service:  # fmt: skip
        for number in range(3):
            options = ("--subject", "CN=guesser", "--out", tmp_path / str(number), "--challenge", "-")
            assert run("enroll", service.url, *options, stdin="guess\n").code == 1

    told = [(one["outcome"], one["rule"], one["detail"][:20]) for one in _entries(data)[1:]]
    assert [one[:2] for one in told] == [("refused", "ChallengeRejected"), ("refused", "RefusalTally")]
    assert told[1][2].startswith("2 further refusals")
    assert run("log", "verify", "--data", data).code == 0


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE TRIGGER quiet AFTER INSERT ON audit BEGIN DELETE FROM audit WHERE number = new.number; END",
        "DELETE FROM audit",
    ],
    ids=["deleted as they come", "emptied"],
)
def test_certificates_without_an_entry_are_told(data: Path, statement: str) -> None:
    """A log without entries is whole in itself, and says nothing of what was issued."""
    emptied = statement.startswith("DELETE")
    if not emptied:
        _tamper(data, statement)
    where = ("--listen", "127.0.0.1:0", "--admin-listen", "off")
    with serving("--data", data, *where, log=data.parent / "server.log") as service:
        secret = did("challenge", "new", "--data", data)
        to = ("--challenge", "-", "--out", data.parent / "device")
        did("enroll", service.url, "--subject", "CN=unseen", *to, stdin=secret)
    if emptied:
        _tamper(data, statement)

    done = run("log", "verify", "--data", data)

    assert done.code == 1
    assert "1 certificate was issued, and no entry says so" in done.err
