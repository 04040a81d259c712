"""Whose a database is: folders that are none of its own, or half a copy, write nothing into it."""

import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from app.ca_folder import CaFolder
from app.clock import utc_now
from app.data_folder import DataFolder
from app.succession import load_ca_certificate
from ca.issuing.key_store import read_private_key
from ca.issuing.root import encode_pem, make_ca_certificate
from ca.x509.certificate import Certificate
from tests.backing_up import (
    ANY_PORT,
    assert_refused,
    did_here,
    enrol,
    here,
    make_ca,
    rows_of,
    run_sql,
    server_of,
    settings,
)
from tests.command_line import run
from tests.databases import new_database
from tests.world import certificate_of

pytestmark = pytest.mark.databases
PARTS = {
    "another CA": ["ca"],
    "another secret": ["secrets.key"],
    "another CA and secret": ["ca", "secrets.key"],
}


@pytest.fixture
def url() -> str:
    """A database that several folders name."""
    return new_database(shared=True)


@pytest.fixture
def own(url: str, tmp_path: Path) -> Path:
    """The folder that it belongs to."""
    make_ca(tmp_path / "own", url)
    return tmp_path / "own"


@pytest.fixture(scope="module")
def foreign(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of another CA, with a database of its own."""
    data = tmp_path_factory.mktemp("foreign") / "data"
    did_here("init", "--subject", "CN=Foreign CA", "--data", data)
    return data


@pytest.fixture(params=PARTS)
def mixed(own: Path, foreign: Path, request: pytest.FixtureRequest) -> Path:
    """A copy of the own folder in which a part is the other's."""
    data = Path(shutil.copytree(own, own.parent / "mixed", ignore=shutil.ignore_patterns("*.db*")))
    for part in PARTS[request.param]:
        _replace(data / part, foreign / part)
    return data


def _replace(place: Path, by: Path) -> None:
    if by.is_dir():
        shutil.rmtree(place)
        shutil.copytree(by, place)
    else:
        shutil.copyfile(by, place)


def _named(data: Path) -> str:
    ca = load_ca_certificate(DataFolder(data).current_ca)
    return f"{ca.subject} (SHA-256 {ca.fingerprint()})"


def test_a_mixed_up_folder_does_nothing_and_breaks_nothing(own: Path, mixed: Path, url: str) -> None:
    """Copying the folder to each server by halves is easily done, and would end the audit log for good."""
    before = rows_of(url)
    refused = [
        run("serve", *ANY_PORT, "--data", mixed),
        *(here(*words.split(), "--data", mixed) for words in ("challenge new", "crl publish", "log verify")),
    ]

    told = (_named(own), _named(mixed)) if _named(own) != _named(mixed) else ("another secrets.key",)
    for one in refused:
        assert_refused(
            one, "does not belong to", str(mixed), *told, "copy ca/ and secrets.key", "operations.md"
        )
    assert "does not belong to this folder" in here("db", "check", "--data", mixed).err
    assert rows_of(url) == before
    did_here("challenge", "new", "--data", own)
    did_here("log", "verify", "--data", own)
    did_here("db", "check", "--data", own)


def test_what_an_earlier_version_left_is_held_against_what_it_was_used_for(
    own: Path, mixed: Path, url: str
) -> None:
    """The first that opens it after the upgrade may be the wrong one as well."""
    with server_of(own) as service:
        certificate_of(enrol(service, "one"))
    run_sql(url, "DELETE FROM authority")

    refused = here("challenge", "new", "--data", mixed)
    did_here("challenge", "new", "--data", own)

    assert_refused(refused, "does not belong to", "another")
    assert len(rows_of(url)["authority"]) == 1
    did_here("log", "verify", "--data", own)


def test_an_empty_database_becomes_that_of_the_first_ca(url: str, tmp_path: Path) -> None:
    """Of several new folders the fastest has it, and the others are told; nothing was issued yet."""
    folders = [tmp_path / name for name in ("one", "two", "three")]
    for data in folders:
        data.mkdir()
        (data / "scepbox.toml").write_text(settings(url), "utf-8")
    with ThreadPoolExecutor() as pool:
        done = list(pool.map(lambda data: run("init", "--data", data), folders[:2]))
    last = run("serve", *ANY_PORT, "--data", folders[2])

    assert sorted(one.code for one in done) == [0, 2]
    loser = next(place for place, one in enumerate(done) if one.code)
    for one in (done[loser], last):
        assert "and secrets.key from the server that uses it" in one.err
    assert not (folders[2] / "ca").exists()
    # What it is told to do helps.
    for part in ("ca", "secrets.key"):
        _replace(folders[loser] / part, folders[1 - loser] / part)
    for data in folders[:2]:
        did_here("challenge", "new", "--data", data)
    did_here("log", "verify", "--data", folders[loser])


def _without_the_former(data: Path) -> None:
    """A folder made by hand of the CA of today alone."""
    newest = shutil.move(data / "ca" / "2", data / "newest")
    shutil.rmtree(data / "ca")
    shutil.move(newest, data / "ca")


@pytest.mark.parametrize("then", [lambda _: None, _without_the_former])
def test_a_rollover_on_one_server_is_taken_to_the_others(own: Path, then: Callable[[Path], None]) -> None:
    """A CA that came by it is one of the database's, whichever folder it is in."""
    other = Path(shutil.copytree(own, own.parent / "other"))
    did_here("ca", "rollover", "prepare", "--data", own)
    did_here("challenge", "new", "--data", other)
    did_here("ca", "rollover", "activate", "--data", own)
    did_here("challenge", "new", "--data", other)

    _replace(other / "ca", own / "ca")
    then(other)

    for data in (own, other):
        did_here("challenge", "new", "--data", data)
    assert _named(own) == _named(other)


def test_a_renewed_certificate_of_the_same_ca_is_no_other_ca(own: Path) -> None:
    """An intermediate gets a new one from time to time, for the name and the key that it has."""
    ca: CaFolder = DataFolder(own).current_ca
    name, key = load_ca_certificate(ca).subject, read_private_key(ca.key)
    renewed = Certificate.load(make_ca_certificate(name, key, 20, utc_now(), behind_ra=False))
    ca.certificate.write_bytes(encode_pem(renewed))

    did_here("challenge", "new", "--data", own)


@pytest.mark.parametrize("lost", PARTS.values(), ids=" and ".join)
def test_who_knows_that_a_part_is_lost_goes_on_with_another(own: Path, lost: list[str]) -> None:
    """By his own word; a copy with the part that was given up is refused from then on."""
    other = Path(shutil.copytree(own, own.parent / "other", ignore=shutil.ignore_patterns("*.db*")))
    for part in lost:
        (own / part).rename(own.parent / part)

    did_here("init", "--make-missing", "--data", own)

    did_here("challenge", "new", "--data", own)
    did_here("log", "verify", "--data", own)
    if "secrets.key" in lost:
        assert_refused(here("challenge", "new", "--data", other), "another secrets.key")
