"""``challenge import``: many at once, all or none, and every mistake of the file in one go."""

import csv
import io
import json
import os
import shutil
import stat
import time
from pathlib import Path

import pytest

from app.challenge_file import MOST_ROWS, ChallengeFile
from app.challenge_terms import Terms
from app.config import Config
from tests.command_line import Done, did, run, serving
from tests.world import NOW


@pytest.fixture(scope="module")
def home(made_ca: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A CA with one challenge password of its operator's own."""
    home = tmp_path_factory.mktemp("import")
    shutil.copytree(made_ca, home / "data")
    (home / "data" / "scepbox.toml").write_text("[profiles.wifi]\n")
    secret = ("--secret", "-", "--uses", "unlimited", "--valid", "forever")
    run("challenge", "new", "--data", home / "data", *secret, stdin="taken\n")
    return home


@pytest.fixture
def data(home: Path, tmp_path: Path) -> Path:
    """A copy of its folder."""
    return Path(shutil.copytree(home / "data", tmp_path / "data"))


def _import(data: Path, text: str | bytes, *options: object) -> Done:
    file = data.parent / "in.csv"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    return run("challenge", "import", file, "--data", data, *options)


def _rows(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def _problems(done: Done) -> list[str]:
    assert (done.code, done.out) == (2, ""), done.err
    return [line.partition("in.csv:")[2] for line in done.err.splitlines()]


def _count(data: Path) -> int:
    return len(json.loads(did("challenge", "list", "--json", "--data", data)))


def test_each_row_becomes_a_challenge_password(data: Path) -> None:
    """With all that a single one may have, and the secrets to hand out on stdout."""
    done = _import(
        data,
        "profile,subject,san,san,uses,valid,sid,note\n"
        'wifi,"CN=a,O=Example",dns:a.example|dns:b.example,ip:192.0.2.1,3,30d,S-1-5-21-1-2-3-4,for Ann\n'
        "\n"
        ",,,,unlimited,forever,,\n"
        "wifi,,,,,,,\n",
    )

    assert done.code == 0, done.err
    assert done.err.endswith("3 challenge passwords made\n")
    first, second, third = _rows(done.out)
    assert first["id"] == "2"
    assert first["subject"] == "CN=a,O=Example"
    assert first["san"] == "dns:a.example|dns:b.example|ip:192.0.2.1"
    assert (first["uses"], first["sid"], first["note"]) == ("3", "S-1-5-21-1-2-3-4", "for Ann")
    assert (second["profile"], second["uses"], second["expires"]) == ("default", "unlimited", "forever")
    assert (third["profile"], third["uses"], third["subject"]) == ("wifi", "1", "")
    assert len({one["secret"] for one in (first, second, third)}) == 3
    assert all(len(one["secret"]) == 24 for one in (first, second, third))
    assert [
        (one["id"], one["subject"]) for one in json.loads(did("challenge", "list", "--json", "--data", data))
    ][1:] == [(2, "CN=a,O=Example"), (3, None), (4, None)]


def test_secrets_of_ones_own_are_taken_as_they_are(data: Path) -> None:
    """Their spaces count, and guesses at them are counted, for a person chose them."""
    done = _import(data, "secret;note\n open sesame ;mine\n;made\n")

    first, second = _rows(done.out)
    assert first["secret"] == " open sesame "
    assert len(second["secret"]) == 24


def _read(text: str | bytes) -> tuple[list[Terms], list[str]]:
    """The rows of a file, and what is wrong with it."""
    reader = ChallengeFile(Config().build_profiles(), NOW)
    rows = reader.read(text if isinstance(text, bytes) else text.encode())
    return [one.terms for one in rows], [f"{line}: {what}" for line, what in reader.problems]


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_files_of_spreadsheets_are_read(mark: bytes, end: str) -> None:
    """With the mark and the line ends of Windows, and capitals in the first line."""
    text = end.join(["Subject, Note", '"CN=a,O=Größe","two, words"', ""])

    rows, problems = _read(mark + text.encode())

    assert problems == []
    assert [(one.subject, one.note) for one in rows] == [("CN=a,O=Größe", "two, words")]


def test_every_mistake_is_told_at_once_and_nothing_is_made(data: Path) -> None:
    """Who mends a file of ten thousand rows mends it once."""
    done = _import(
        data,
        "profile,subject,uses,valid,sid,san\n"
        "none,CN=a,1,1h,,\n"
        ",CN=fine,1,1h,,\n"
        ",a,0,soon,S-1-5-32-544,x:y\n"
        ",CN=a,O=Example,1,1h,,\n"
        ",,,999999y,,\n",
    )

    problems = _problems(done)
    assert [line.split(":")[0] for line in problems] == ["2", "4", "4", "4", "4", "4", "5", "6"]
    assert "no profile 'none'" in problems[0]
    assert "7 fields for 6 columns" in problems[6]
    assert "use forever" in problems[7]
    for column in ("subject", "uses", "valid", "sid", "san"):
        assert any(line.startswith(f"4: {column}: ") for line in problems)
    assert _count(data) == 1


def test_secrets_that_are_taken_are_told_and_never_shown(data: Path) -> None:
    """In this file, or already in the database; also where they stand in the wrong column."""
    done = _import(data, "uses,secret\n1,mine\n1,taken\n1,mine\n5e5ame,5e5ame\n")

    problems = _problems(done)
    assert [line.partition(": ")[2] for line in problems] == [
        "secret: there is a challenge with it already",
        "secret: the same as in line 2",
        "uses: this is neither a number from 1 to 999999999 nor unlimited",
    ]
    assert "5e5ame" not in done.err
    assert _count(data) == 1


HEADS = {
    "unknown": ("subject,notes\nCN=a,b\n", "1: 'notes' is no column; did you mean note?"),
    "far off": ("subject,colour\nCN=a,b\n", "1: 'colour' is no column; there are profile, subject,"),
    "twice": ("note,note\na,b\n", "1: the column note is there 2 times"),
    "empty": ("", "1: no columns"),
    "Latin-1": ("note\nGröße\n".encode("latin-1"), "1: not UTF-8"),
    "UTF-16": ("note\na\n".encode("utf-16"), "1: not UTF-8"),
    "quotes": ('note\n"a\n', "3: not CSV"),
    "a field without end": ("note\n" + "x" * 200_000, "2: not CSV"),
    "two lines": ('note\n"a\nb"\n', "2: note: not one line"),
    "a long secret": ("secret\n" + "x" * 256, "2: secret: a challenge password has 1 to 255"),
}


@pytest.mark.parametrize(("text", "told"), HEADS.values(), ids=HEADS.keys())
def test_a_file_that_is_none_is_told(text: str | bytes, told: str) -> None:
    """Each in one line, with the place."""
    rows, problems = _read(text)

    assert rows == []
    assert problems[0].startswith(told), problems


def test_a_row_that_lost_its_end_is_refused(data: Path) -> None:
    """A copy that was cut makes a password that is bound to nobody, where a name was to stand."""
    done = _import(data, "profile,subject,san\ndefault,CN=a,dns:a.example\ndefault\n")

    (problem,) = _problems(done)
    assert "3: 1 fields for 3 columns; an empty field has its comma too" in problem
    assert _count(data) == 1


@pytest.mark.parametrize("character", ["\u2028", "\u2029", "\x85", "\x0b", "\x0c", "\x1c"])
def test_only_a_line_end_ends_a_row(character: str) -> None:
    """What other programs take for one leads to no second row, bound to nobody."""
    _, problems = _read(f"note,subject\nAnn{character}Lee,CN=a\n")

    assert problems == ["2: note: not one line of text"]


def test_what_is_odd_is_told_and_made(data: Path) -> None:
    """A host name that was meant for a mailbox, and a password that the first guess finds."""
    done = _import(data, "san,uses,secret\nann,unlimited,1\n")

    assert done.code == 0
    assert ":2: san: a name without a kind is taken for a host name" in done.err
    assert ":2: secret: fewer than 12 characters can be guessed" in done.err
    typed = run("challenge", "new", "--data", data, "--secret", "-", "--san", "ann", stdin="2")
    assert "fewer than 12 characters can be guessed" in typed.err
    assert "taken for dns:ann" in typed.err


def test_a_file_without_rows_is_told(data: Path) -> None:
    """Nothing was made, and somebody thinks it was."""
    done = _import(data, "subject\n\n")

    assert done.code == 2
    assert "no rows" in done.err


def test_the_number_of_rows_is_bounded() -> None:
    """One transaction makes them all, and others wait for it."""
    reader = ChallengeFile(Config().build_profiles(), NOW)

    assert len(reader.read(b"note\n" + b"x\n" * (MOST_ROWS + 5))) == MOST_ROWS
    assert reader.problems == [(MOST_ROWS + 2, f"more than {MOST_ROWS} rows; make it several files")]


def test_a_file_of_secrets_is_its_owners_alone_and_never_overwritten(data: Path, tmp_path: Path) -> None:
    """The second run would otherwise take the first one's secrets away."""
    out = tmp_path / "out.csv"

    first = _import(data, "note\na\n", "--out", out)
    content = out.read_text()
    second = _import(data, "note\nb\n", "--out", out)

    assert (first.code, first.out) == (0, "")
    assert [one["note"] for one in _rows(content)] == ["a"]
    if os.name != "nt":
        assert stat.S_IMODE(out.stat().st_mode) == 0o600
    assert second.code == 2
    assert "is there already" in second.err
    assert out.read_text() == content
    assert _count(data) == 2


def test_without_a_place_for_the_secrets_nothing_is_made(data: Path, tmp_path: Path) -> None:
    """Challenge passwords that nobody knows are good for nothing."""
    done = _import(data, "note\na\n", "--out", tmp_path / "no such folder" / "out.csv")

    assert done.code == 2
    assert _count(data) == 1


def test_ten_thousand_take_seconds(data: Path, tmp_path: Path) -> None:
    """A whole fleet is one file, and one entry of the audit log."""
    lines = [f'"CN=phone-{one},O=Example",dns:phone-{one}.example,30d' for one in range(10_000)]
    started = time.monotonic()

    done = _import(data, "subject,san,valid\n" + "\n".join(lines), "--out", tmp_path / "out.csv")

    assert done.code == 0, done.err
    assert time.monotonic() - started < 30
    assert len(_rows((tmp_path / "out.csv").read_text())) == 10_000
    last = json.loads(did("log", "audit", "--json", "--limit", 1, "--data", data))[0]
    assert (last["action"], last["target"]) == ("challenge import", "challenges 2 to 10001")
    assert last["detail"] == "10000 from in.csv"


def test_standard_input_is_read_and_what_was_made_works(data: Path, tmp_path: Path) -> None:
    """From one program into the next; the list tells who used it."""
    made = run("challenge", "import", "-", "--data", data, stdin="subject\nCN=ipad-17\n")
    secret = _rows(made.out)[0]["secret"]

    with serving("--data", data, "--listen", "127.0.0.1:0", log=tmp_path / "log") as service:
        options = ("--subject", "CN=ipad-17", "--out", tmp_path / "device", "--challenge", "-")
        did("enroll", service.url, *options, stdin=secret + "\n")

    line = did("challenge", "list", "--data", data).splitlines()[-1]
    assert line.endswith("by CN=ipad-17")
    assert secret not in service.log


def test_no_password_is_made_where_none_is_accepted(data: Path) -> None:
    """The device that is handed it would be refused, and nobody would know why."""
    (data / "scepbox.toml").write_text('[profiles.wifi]\nchallenge = "none"\n')

    rows = "subject,profile\nCN=ipad-1,default\nCN=ipad-2,wifi\n"

    one = run("challenge", "new", "--profile", "wifi", "--data", data)
    many = run("challenge", "import", "-", "--data", data, stdin=rows)

    for done in (one, many):
        assert (done.code, done.out, done.err.count("\n")) == (2, "", 1)
        assert 'challenge = "none" and accepts no password' in done.err
    assert "standard input:3: profile wifi has" in many.err


def test_a_name_that_the_profile_refuses_is_warned_of(data: Path) -> None:
    """The password is made all the same: the profile may be changed before it is used."""
    (data / "scepbox.toml").write_text(
        '[profiles.ipads]\nsubject = { match = { CN = "ipad-[0-9]+" }, template = "CN={CN},O=Example" }\n'
        '[profiles.said]\nsubject = { source = "challenge" }\n'
    )

    wrong = run("challenge", "new", "--profile", "ipads", "--subject", "CN=phone-1", "--data", data)
    right = run("challenge", "new", "--profile", "ipads", "--subject", "CN=ipad-1", "--data", data)
    said = run("challenge", "new", "--profile", "said", "--subject", "CN=phone-1", "--data", data)
    many = _import(data, "profile,subject\nipads,CN=ipad-2\nipads,CN=phone-2\n")

    told = "profile ipads would refuse CN=phone-{}: the CN of the subject is not one that this profile"
    assert [done.code for done in (wrong, right, said, many)] == [0] * 4
    assert f"warning: {told.format(1)}" in wrong.err
    assert "warning" not in right.err + said.err
    assert f":3: subject: {told.format(2)}" in many.err


def test_a_note_of_two_lines_is_one_line_of_the_list(data: Path) -> None:
    """Else a row of somebody's own making stands in the table."""
    did("challenge", "new", "--note", "a\nb\x1b[31m", "--data", data)

    listed = did("challenge", "list", "--data", data)

    assert "\x1b" not in listed
    assert "a b [31m" in listed.splitlines()[-1]
