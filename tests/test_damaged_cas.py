"""CAs beside the one of today that are lost, spoilt or out of date never block that, and are told."""

import json
import os
import shutil
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from app.cli.init import make_ca
from app.clock import utc_now
from app.data_folder import DataFolder, touch_private
from app.rollover import put_next
from app.succession import load_ca_certificate, load_succession
from ca.issuing.key_store import encode_private_key
from ca.issuing.root import encode_pem, make_ca_certificate
from ca.succession import UNDER_WAY
from ca.x509.certificate import Certificate
from ca.x509.name import Name
from tests.command_line import did, run, serving
from tests.test_rollover_folder import Site, _days_from_now
from tests.test_unit_ca_material import ca_certificate
from tests.world import rsa_key


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which CA 2 follows CA 1, one was given up, and a next one is prepared."""
    folder = DataFolder(tmp_path_factory.mktemp("made") / "data")
    folder.make()
    touch_private(folder.database)
    make_ca(folder)
    site = Site.start(folder)
    for verb in ("prepare", "activate", "prepare", "abort", "prepare"):
        site.did("ca", "rollover", verb)
    site.close()
    return folder.path


@pytest.fixture
def folder(made: Path, tmp_path: Path) -> DataFolder:
    """A copy of it."""
    shutil.copytree(made, tmp_path / "data")
    return DataFolder(tmp_path / "data")


@pytest.fixture
def site(folder: DataFolder) -> Iterator[Site]:
    """What serves it."""
    site = Site.start(folder)
    yield site
    site.close()


DAMAGE: dict[str, tuple[Callable[[DataFolder], None], str]] = {
    "the next CA has no certificate": (
        lambda folder: folder.cas.next.certificate.unlink(),
        "No such file or directory; the next CA is left out until that is mended; or give it up: ",
    ),
    "the next CA has a spoilt key": (
        lambda folder: _spoil(folder.cas.next.key),
        "the private key cannot be read; the next CA is left out",
    ),
    "the next CA's folder is a file": (
        lambda folder: _replace_by_file(folder.cas.next.path),
        "Not a directory; the next CA is left out",
    ),
    "the next CA has ended": (
        lambda folder: _replace_next(folder, days=-1),
        "the CA certificate is not valid now, but from ",
    ),
    "one that was given up has no key": (
        lambda folder: folder.cas.aborted[0].key.unlink(),
        "aborted-1, if that CA issued nothing",
    ),
    "a former CA has no key": (
        lambda folder: folder.cas.former[0].key.unlink(),
        "can neither renew nor be revoked, and it has no CRL and no OCSP: bring it back from a backup",
    ),
    "a former CA has no certificate": (
        lambda folder: folder.cas.former[0].certificate.unlink(),
        "can neither renew nor be revoked",
    ),
    "it is not known when the change was": (
        lambda folder: folder.current_ca.activated.unlink(),
        "the CA before it issues nothing any more to who writes to it; if it was activated less than an ",
    ),
    "the time of the change is none": (lambda folder: _spoil(folder.current_ca.activated), "is no time; "),
}
POSIX_WORDS = pytest.mark.skipif(os.name == "nt", reason="Windows has other words for it")


def _spoil(path: Path) -> None:
    path.write_bytes(b"spoilt")


def _replace_by_file(path: Path) -> None:
    shutil.rmtree(path)
    path.touch()


def _replace_next(folder: DataFolder, days: int) -> None:
    """Put another CA there, which ends in so many days."""
    made = ca_certificate(rsa_key(5), "Late", subject="Late", days=_days_from_now(days))
    folder.cas.next.certificate.write_bytes(encode_pem(made))
    folder.cas.next.key.write_bytes(encode_private_key(rsa_key(5)))


@POSIX_WORDS
@pytest.mark.parametrize("case", DAMAGE)
def test_a_damaged_ca_beside_it_is_left_out_and_told(site: Site, case: str) -> None:
    """One line says what is wrong, what comes of it and what to do; the CA of today enrols."""
    damage, words = DAMAGE[case]
    damage(site.folder)

    (complaint,) = load_succession(site.folder, utc_now())[0].complaints

    assert words in complaint
    issued = site.enrol(site.current())
    assert issued.issuer_der == site.current().subject_der
    revoked = site.run("cert", "revoke", f"{issued.serial_number:x}")
    assert revoked.exit_code == 0
    assert revoked.stderr.startswith(f"warning: {complaint}\n")


@POSIX_WORDS
@pytest.mark.parametrize("case", ["the next CA has ended", "one that was given up has no key"])
def test_the_server_starts_beside_a_damaged_ca(folder: DataFolder, case: str) -> None:
    """It starts, answers and enrols; one line says what is wrong and what to do."""
    damage, words = DAMAGE[case]
    damage(folder)
    secret = did("challenge", "new", "--data", folder.path)
    log, out = folder.path.parent / "log", folder.path.parent / "device"

    with serving("--data", folder.path, "--listen", "127.0.0.1:0", "--workers", 1, log=log) as service:
        device = ("--subject", "CN=ipad-17", "--challenge", "-", "--out", out)
        did("enroll", service.url, *device, stdin=secret)

    (told,) = [line for line in service.log.splitlines() if line.startswith("warning: ")]
    assert words in told
    assert "Traceback" not in service.log


SIDE_CASES = [case for case in DAMAGE if "change" not in case]


@POSIX_WORDS
@pytest.mark.parametrize("case", SIDE_CASES)
def test_every_verb_for_the_cas_goes_on_with_the_others(site: Site, case: str) -> None:
    """Above all the one that clears it away."""
    DAMAGE[case][0](site.folder)

    for verb in (("ca", "show"), ("ca", "show", "--json"), ("crl", "publish"), ("crl", "show")):
        site.did(*verb)
    activated = site.run("ca", "rollover", "activate")
    if "next" in case:
        prepared = site.run("ca", "rollover", "prepare")
        assert (prepared.exit_code, activated.exit_code) == (1, 2)
        assert "a next CA is prepared already: " in prepared.stderr
        assert "or give the next CA up by `python3 run.py ca rollover abort" in activated.stderr
        assert activated.stderr.count("\n") == 1
        site.did("ca", "rollover", "abort")
        site.did("ca", "rollover", "prepare")
        site.did("ca", "rollover", "activate")
    else:
        assert activated.exit_code == 0
        site.did("ca", "rollover", "prepare")
    assert site.shown()[0].der == site.current().der


def test_what_cannot_be_read_is_shown_as_that(site: Site) -> None:
    """Who looks at his CAs must not take one that is lost for one that never was."""
    site.folder.cas.next.certificate.unlink()

    shown = json.loads(site.did("ca", "show", "--json"))

    assert "next" in shown["next"]["error"]
    assert f"\nthe next CA:\nerror       {shown['next']['error']}\n" in site.did("ca", "show")
    assert len(shown["former"]) == 2


def test_a_next_ca_is_taken_in_once_it_is_mended(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """Within a second, and without a restart."""
    now = [time.monotonic() + 10]
    monkeypatch.setattr("app.rollover.time.monotonic", lambda: now[0])
    pem = site.folder.cas.next.key.read_bytes()
    assert site.announced()

    _spoil(site.folder.cas.next.key)
    now[0] += 1
    without = site.get("/scep?operation=GetNextCACert")[0]
    site.folder.cas.next.key.write_bytes(pem)
    now[0] += 1

    assert without == 404
    assert site.announced()


def test_what_a_ca_that_is_back_issued_counts_again(site: Site) -> None:
    """Its key was away for a while, as whoever put it into a safe may have meant well."""
    former = site.folder.cas.former[0]
    issued = site.enrol(load_ca_certificate(former))
    former.key.rename(site.folder.path / "safe")

    without = site.run("cert", "revoke", f"{issued.serial_number:x}")
    (site.folder.path / "safe").rename(former.key)

    assert without.exit_code == 1
    assert "can neither renew nor be revoked" in without.stderr
    site.did("cert", "revoke", f"{issued.serial_number:x}")


@pytest.mark.parametrize("name", ["2", "3"])
def test_a_ca_of_today_without_files_is_named(folder: DataFolder, name: str) -> None:
    """An empty folder of a number is the CA of today by its name, and `init` is no way out."""
    place = folder.ca / name
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir()

    for verb in (("ca", "show"), ("serve", "--listen", "127.0.0.1:0")):
        done = run(*verb, "--data", folder.path)

        assert done.code == 2
        assert f"{place / 'ca.pem'} is missing, which the CA of today needs: bring it back" in done.err
        assert f"or remove {place}, if that is empty" in done.err


def _activate_again(site: Site, at: datetime) -> None:
    """Have the next CA activated, as by the clock of somebody else."""
    site.did("ca", "rollover", "activate")
    site.folder.current_ca.activated.write_text(f"{at:%Y-%m-%dT%H:%M:%S}+00:00\n")


def _issuers_of(site: Site, *names: str) -> list[bytes]:
    """Who issues to those who write to the CA before the one of today."""
    former = load_ca_certificate(site.folder.cas.former[0])
    return [site.enrol(former, name).issuer_der for name in names]


def test_two_changes_within_an_hour_keep_the_hour_of_the_first(site: Site) -> None:
    """A client that fetched CA 1 a moment ago has its enrolment under way, whatever came after CA 2."""
    site.did("ca", "rollover", "activate")
    first, second = reversed([load_ca_certificate(one) for one in site.folder.cas.former])

    issued = [site.enrol(ca, f"under way {number}") for number, ca in enumerate((first, second))]

    assert [one.issuer_der for one in issued] == [first.subject_der, second.subject_der]
    assert _hours(site) == [True, True]


def test_each_former_ca_has_the_hour_after_its_own_change(site: Site) -> None:
    """Whoever mends the file by hand writes what he sees; a time without zone is UTC."""
    activated = utc_now().replace(microsecond=0) - timedelta(hours=2)
    site.folder.current_ca.activated.write_text(f"{activated:%Y-%m-%d %H:%M:%S}\n")
    site.did("ca", "rollover", "activate")

    former = load_succession(site.folder, utc_now())[0].former

    assert former[1].issues_until == activated + UNDER_WAY
    assert _hours(site) == [True, False]


def _hours(site: Site) -> list[bool]:
    """Whether each of the former CAs still issues."""
    cas, _ = load_succession(site.folder, utc_now())
    return [one.issues_until > utc_now() for one in cas.former[: len(site.folder.cas.former)]]


def test_a_change_by_a_clock_that_is_ahead_gives_an_hour_and_is_told(site: Site) -> None:
    """Otherwise the former CA would go on issuing until that time comes."""
    _activate_again(site, utc_now() + timedelta(days=400))

    cas, _ = load_succession(site.folder, utc_now())

    assert timedelta(minutes=59) < cas.former[0].issues_until - utc_now() <= UNDER_WAY
    (complaint,) = cas.complaints
    assert "which is still to come: a clock was or is wrong" in complaint
    former = load_ca_certificate(site.folder.cas.former[0])
    assert _issuers_of(site, "under way") == [former.subject_der]


def test_a_change_by_a_clock_that_is_behind_is_told(site: Site) -> None:
    """Those whose enrolment is under way get no time at all."""
    _activate_again(site, utc_now() - timedelta(days=30))

    (complaint,) = load_succession(site.folder, utc_now())[0].complaints
    later = utc_now() + 2 * UNDER_WAY

    assert "and was written 30 days, 0:00:0" in complaint
    assert "write that time into the file" in complaint
    # By then it does not matter any more.
    assert load_succession(site.folder, later)[0].complaints == ()


def test_a_next_ca_of_tomorrow_is_left_out_until_then(site: Site) -> None:
    """It was prepared on a host whose clock was ahead, and nobody could make use of it now."""
    site.did("ca", "rollover", "abort")
    made = make_ca_certificate(Name.from_text("CN=Tomorrow"), rsa_key(5), 10, utc_now() + timedelta(days=1))
    tomorrow = Certificate.load(made)
    put_next(site.folder, {"ca.pem": encode_pem(tomorrow), "ca.key": encode_private_key(rsa_key(5))})

    (complaint,) = load_succession(site.folder, utc_now())[0].complaints

    assert "is not valid now, but from" in complaint
    assert load_succession(site.folder, utc_now() + timedelta(days=2))[0].next
    assert site.get("/scep?operation=GetNextCACert")[0] == 404
