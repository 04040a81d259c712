"""The NDES page: what programs that know NDES find in it, and what its passwords are good for."""

import re
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from app.admin.ndes_passwords import NOTE, SINGLE_NOTE
from app.config import Config
from app.store.records import Challenge
from ca.scep.messages import Failure, Outcome
from tests.admin_site import login, opened, set_password
from tests.test_http import insist_plain
from tests.world import Device, World, certificate_of, rsa_key

PAGE = "/certsrv/mscep_admin/"
FULL = "The password cache is full."


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """A CA whose database threads may share."""
    world = World(f"sqlite:///{tmp_path / 'scepbox.db'}")
    set_password(tmp_path)
    yield world
    world.store.close()


def challenge(**keys: object) -> Config:
    """Settings with these keys of ``[challenge]``, and a profile ``vpn``."""
    return Config.model_validate({"challenge": keys, "profiles": {"vpn": {}}})


def find(page: str) -> str:
    """The password in a page."""
    (password,) = re.findall(r"challenge password is: <B> ([0-9A-F]{16}) </B>", page)
    return str(password)


def between(page: str) -> str:
    """As ManageEngine MDM looks for it: by what stands before and behind."""
    _, _, rest = page.partition("The enrollment challenge password is: <B> ")
    for behind in ("only once", "multiple times and will not expire."):
        end = rest.find(f" </B> <P> This password can be used {behind}")
        if end >= 0:
            return rest[:end]
    raise AssertionError(page)


def by_pieces(page: str) -> str:
    """As a script does that cuts the page at each ``>``."""
    pieces = page.split(">")
    (place,) = (
        n for n, piece in enumerate(pieces) if piece.find("The enrollment challenge password is: <B") == 1
    )
    return pieces[place + 1].strip("</B").strip()


def first_word_of_hex(page: str) -> str:
    """As PSNDESEnrollment does: the first word that begins with so many hexadecimal characters."""
    return next(word for word in page.split() if re.match(r"[A-F0-9]{16}", word))


def pattern(text: str) -> Callable[[str], str]:
    """The first group of a pattern."""

    def search(page: str) -> str:
        found = re.search(text, page)
        assert found, page
        return found[1]

    return search


# How each of them looks for the password, found in its published source.
SCRAPERS: dict[str, Callable[[str], str]] = {
    "Fleet": pattern(r"(?i)The enrollment challenge password is: <B> (\S*)"),
    "Zentral, for NDES": pattern(r"challenge password is: <B> ([A-Z0-9]{16,32}) </B>"),
    "Zentral, for Okta": pattern(r"challenge password is: <B> ([a-zA-Z0-9_\-]+) </B>"),
    "grep of many a script": pattern(r"challenge password is: <B> (\w*)"),
    "a client that is lenient with spaces": pattern(
        r"(?is)enrollment challenge password is:\s*<b>\s*([^<\s]+)\s*</b>"
    ),
    "a client that looks behind the label": pattern(r"(?is)challenge password.*?([A-F0-9]{8,})"),
    "BeautifulSoup, which writes tags small": lambda page: pattern(
        r"The enrollment challenge password is: <b> ([A-Z0-9]+) "
    )(page.replace("<B>", "<b>")),
    "ManageEngine": between,
    "a script that cuts at >": by_pieces,
    "PSNDESEnrollment": first_word_of_hex,
}


@pytest.mark.parametrize("scraper", SCRAPERS)
@pytest.mark.parametrize("single", [False, True], ids=["one-time", "single"])
@pytest.mark.parametrize("utf16", [False, True], ids=["UTF-8", "UTF-16"])
def test_each_program_finds_the_password(
    world: World, tmp_path: Path, scraper: str, *, single: bool, utf16: bool
) -> None:
    """They were written for NDES, and are not going to be changed for us."""
    config = challenge(ndes_single_password=single, ndes_utf16=utf16)
    with opened(world, tmp_path, config) as site:
        page = site.get(PAGE).body.decode("utf-16" if utf16 else "utf-8")

        password = SCRAPERS[scraper](page)

    certificate_of(_enrol(world, password))


def _enrol(world: World, password: str, number: int = 1) -> Outcome:
    device = Device(f"router-{number}", rsa_key(number))
    return world.enrol(device, device.csr(password), f"t{number}")


@pytest.mark.parametrize(
    "path",
    ["/certsrv/mscep_admin", "/certsrv/mscep_admin/", "/CertSrv/mscep_admin", "/CertSrv/mscep_admin/"],
)
def test_the_page_is_where_instructions_have_it(world: World, tmp_path: Path, path: str) -> None:
    """IIS knows no difference between these."""
    with opened(world, tmp_path) as site:
        answer = site.get(path, **login(user="EXAMPLE\\svc-mdm"))

    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert "will expire within 60 minutes." in answer.body.decode()
    assert find(answer.body.decode())


def test_the_thumbprint_is_the_ca_certificates(world: World, tmp_path: Path) -> None:
    """Who compares it takes the spaces out; 16 characters in a row would be taken for a password."""
    with opened(world, tmp_path) as site:
        page = site.get(PAGE).body.decode()

    (shown,) = re.findall(r"for the CA certificate is: <B> ([0-9A-F ]+) </B>", page)
    assert shown.replace(" ", "").lower() == world.ca.fingerprint_sha1()
    assert {len(group) for group in shown.split()} == {8}


def test_in_utf_16_it_is_as_windows_writes_it(world: World, tmp_path: Path) -> None:
    """Little-endian behind its mark, which tells who knows nothing else of it."""
    with opened(world, tmp_path, challenge(ndes_utf16=True)) as site:
        answer = site.get(PAGE)

    assert answer.headers["content-type"] == "text/html; charset=utf-16"
    assert answer.body.startswith(b"\xff\xfe<\0H\0")
    assert find(answer.body.decode("utf-16"))


def test_each_visit_makes_another_password_which_is_good_once(world: World, tmp_path: Path) -> None:
    """RFC 8894 7.3; 64 bits are few enough that guesses at it are counted."""
    with opened(world, tmp_path) as site:
        first, second = (find(site.get(PAGE).body.decode()) for _ in range(2))

    assert first != second
    certificate_of(_enrol(world, first, 1))
    assert isinstance(_enrol(world, first, 2), Failure)
    certificate_of(_enrol(world, second, 3))


def test_a_password_ends_when_the_page_said(world: World, tmp_path: Path) -> None:
    """``ndes_minutes``, and the page names it."""
    with opened(world, tmp_path, challenge(ndes_minutes=5)) as site:
        page = site.get(PAGE).body.decode()

    assert "will expire within 5 minutes." in page
    world.now += timedelta(minutes=5)
    assert isinstance(_enrol(world, find(page)), Failure)


def test_five_may_wait_and_no_more(world: World, tmp_path: Path) -> None:
    """As NDES has it; one that is used or expires makes room, and other challenges take none."""
    world.add_challenge("somebody's own", valid=timedelta(hours=1))
    with opened(world, tmp_path) as site:
        given = [find(site.get(PAGE).body.decode()) for _ in range(5)]
        full = site.get(PAGE)
        certificate_of(_enrol(world, given[0]))
        after_use = site.get(PAGE).body.decode()
        full_again = site.get(PAGE).body.decode()
        world.now += timedelta(minutes=60)
        after_expiry = site.get(PAGE).body.decode()

    assert full.status == 200
    assert FULL in full.body.decode()
    assert "challenge password is" not in full.body.decode()
    assert find(after_use)
    assert FULL in full_again
    assert find(after_expiry)


def test_the_size_of_the_cache_can_be_set(world: World, tmp_path: Path) -> None:
    """An MDM that enrols a school needs more than five."""
    with opened(world, tmp_path, challenge(ndes_cache=7)) as site:
        pages = [site.get(PAGE).body.decode() for _ in range(8)]

    assert [FULL in page for page in pages] == [False] * 7 + [True]


def test_a_single_password_stays_the_same_until_it_is_revoked(world: World, tmp_path: Path) -> None:
    """NDES' UseSinglePassword: for devices that nobody can hand one to each; it is stored nowhere."""
    with opened(world, tmp_path, challenge(ndes_single_password=True)) as site:
        pages = [site.get(PAGE).body.decode() for _ in range(7)]
        (password,) = {find(page) for page in pages}
        for number in (1, 2, 3):
            certificate_of(_enrol(world, password, number))
        (kept,) = (one for one in challenges(world) if one.note.startswith(SINGLE_NOTE))
        world.store.transact(lambda repository: repository.revoke_challenge(kept.id))
        refused = _enrol(world, password, 4)
        another = find(site.get(PAGE).body.decode())

    assert "multiple times and will not expire." in pages[0]
    assert isinstance(refused, Failure)
    assert another != password
    certificate_of(_enrol(world, another, 5))
    stored = (tmp_path / "scepbox.db").read_bytes() + (tmp_path / "scepbox.db-wal").read_bytes()
    assert another.encode() not in stored


def challenges(world: World) -> list[Challenge]:
    """What ``challenge list`` shows."""
    return world.store.transact(lambda repository: repository.list_challenges())


@pytest.mark.parametrize("single", [False, True])
def test_it_is_for_the_profile_that_is_set(world: World, tmp_path: Path, *, single: bool) -> None:
    """``ndes_profile``: the password is good there and nowhere else."""
    with opened(world, tmp_path, challenge(ndes_profile="vpn", ndes_single_password=single)) as site:
        password = find(site.get(PAGE).body.decode())

    assert isinstance(_enrol(world, password), Failure)
    assert [one.profile for one in challenges(world)] == ["default", "vpn"]


def test_where_no_password_is_accepted_none_is_made(world: World, tmp_path: Path) -> None:
    """The device would be refused, and whoever reads the page would not know why."""
    profiles = {"vpn": {"challenge": "none", "approval": "manual"}}
    config = Config.model_validate({"challenge": {"ndes_profile": "vpn"}, "profiles": profiles})
    with opened(world, tmp_path, config) as site:
        answer = site.get(PAGE)

    assert answer.status == 409
    assert b"set [challenge] ndes_profile to one that accepts passwords" in answer.body
    assert [one.profile for one in challenges(world)] == ["default"]


def test_what_is_no_visit_makes_no_password(world: World, tmp_path: Path) -> None:
    """A HEAD, a page of another site that has it loaded as a picture, and who has not logged in."""
    with opened(world, tmp_path) as site:
        refused = [
            site.served.ask("HEAD", PAGE, None, **login()).status,
            site.get(PAGE, Sec_Fetch_Site="cross-site").status,
            site.served.ask("GET", PAGE).status,
        ]

    assert refused == [405, 403, 401]
    assert [one.note for one in challenges(world)] == [""]


def test_the_password_is_in_no_log_and_the_list_says_where_it_came_from(
    world: World, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The log names who has fetched one."""
    caplog.set_level("INFO")
    with opened(world, tmp_path) as site:
        password = find(site.get(PAGE, **login(user="EXAMPLE\\svc-mdm")).body.decode())

    assert password not in caplog.text
    assert "svc-mdm" in caplog.text
    assert NOTE in [one.note for one in challenges(world)]


def test_a_store_that_cannot_write_is_told_as_such(world: World, tmp_path: Path) -> None:
    """A password that was not kept would be refused an hour later, far from here."""
    with opened(world, tmp_path) as site:
        assert find(site.get(PAGE).body.decode())
        _break(world)

        insist_plain(site.get(PAGE), 503)


def _break(world: World) -> None:
    world.store.transact(
        lambda repository: repository._connection.exec_driver_sql("ALTER TABLE challenge RENAME TO gone")
    )


def test_the_audit_log_says_who_had_a_password(world: World, tmp_path: Path) -> None:
    """Whoever finds a device that should not be there asks who let it in."""
    with opened(world, tmp_path, challenge()) as site:
        site.get(PAGE, **login(user="EXAMPLE\\svc-mdm"))

    written = world.store.transact(lambda repository: list(repository.list_audit()))
    assert [(one.entry.actor, one.entry.action, one.entry.rule) for one in written] == [
        ("administrator EXAMPLE\\svc-mdm", "challenge new", "NDES page")
    ]
