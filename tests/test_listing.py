"""Lists of certificates by pages: complete, in order, and found by an index."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from app.store import SqlRepository, Wanted, listing, searching
from ca.ports import StoredCertificate
from ca.profiles import search_name
from ca.x509.general_names import GeneralName
from ca.x509.name import Name
from tests.test_revocation import issue
from tests.world import NOW, World

NAMES = ["ipad-1", "ipad-10", "iPad-2", "IPAD-3", "i%", "i_", "jörg", "Jörg", "printer", "\U0010ffff"]


@pytest.fixture
def world(world: World, monkeypatch: pytest.MonkeyPatch) -> World:
    """Certificates of several names, profiles, ends and states; pages of three are read at once."""
    monkeypatch.setattr(listing, "ROWS_AT_ONCE", 3)
    template = issue(world)
    key = world.responder.authority.issuer_key

    def fill(repository: SqlRepository) -> None:
        for number, name in enumerate(NAMES):
            one = replace(
                template,
                serial=f"a{number}",
                subject=f"CN={name},O=Example",
                name=search_name(Name.from_text(f"CN={name}"), ()),
                profile="lan" if number % 3 else "default",
                # Several end at one time.
                not_after=NOW + timedelta(days=number // 4 - 1),
            )
            repository.add_certificate(one)
            if number % 4 == 0:
                repository.revoke_certificate(one.serial, NOW, "superseded", key)

    world.store.transact(fill)
    return world


def listed(world: World, wanted: Wanted) -> list[StoredCertificate]:
    return world.store.read(lambda repository: list(repository.list_certificates(NOW, wanted)))


def by_hand(world: World, wanted: Wanted) -> list[str]:
    """The same, out of all of them."""

    def fits(one: StoredCertificate) -> bool:
        alive = one.not_after > NOW
        states = {"all": True, "valid": alive and not one.revoked_at, "expired": not alive}
        ends = wanted.ends_before
        return (
            {**states, "revoked": one.revoked_at is not None}[wanted.status]
            and one.name.startswith(wanted.name.lower())
            and wanted.profile in ("", one.profile)
            and wanted.subject.lower() in one.subject.lower()
            and (ends is None or (alive and one.not_after <= ends))
        )

    def place(one: StoredCertificate) -> tuple[bytes | datetime, str]:
        return one.name.encode() if wanted.name else one.not_after, one.serial

    return [one.serial for one in sorted(filter(fits, world.issued()), key=place)]


WANTED = [
    Wanted(),
    Wanted("valid"),
    Wanted("expired"),
    Wanted("revoked"),
    Wanted(ends_before=NOW + timedelta(days=1)),
    Wanted(profile="lan"),
    Wanted("revoked", profile="lan"),
    Wanted(name="IPAD-1"),
    Wanted(name="i"),
    Wanted("valid", name="i", profile="lan"),
    Wanted("expired", name="i"),
    Wanted("expired", name="i", profile="lan"),
    Wanted("revoked", name="i", subject="o=example"),
    Wanted(name="i", ends_before=NOW + timedelta(days=1)),
    Wanted(name="i%"),
    Wanted(name="i_"),
    Wanted(name="jö"),
    Wanted(name="\U0010ffff"),
    Wanted(name="nobody"),
    Wanted(subject="PAD-1"),
    Wanted(subject="%"),
    Wanted("revoked", subject="o=example"),
]


@pytest.mark.databases
@pytest.mark.parametrize("wanted", WANTED, ids=str)
def test_pages_are_the_list(world: World, wanted: Wanted) -> None:
    """Whatever is asked for, in whatever pieces: nothing is missing, twice or out of order."""
    whole = [one.serial for one in listed(world, wanted)]
    with pytest.MonkeyPatch.context() as patch:
        # As if there were many of each.
        patch.setattr(searching, "MOST_FOUND", -1)
        assert [one.serial for one in listed(world, wanted)] == whole
    pages: list[str] = []
    for _ in range(len(whole) + 1):
        after = pages[-1] if pages else ""
        pages += [one.serial for one in listed(world, replace(wanted, limit=2, after=after))]

    assert whole == by_hand(world, wanted)
    assert pages == whole


@pytest.mark.databases
def test_a_list_is_read_as_it_is_asked_for(world: World) -> None:
    """A million certificates are no list in memory."""

    def work(repository: SqlRepository) -> str:
        found: Iterator[StoredCertificate] = repository.list_certificates(NOW)
        return next(found).serial

    assert world.store.read(work) == "a0"


@pytest.mark.parametrize(
    ("subject", "names", "name"),
    [
        ("CN=iPad-17,O=Example", (), "ipad-17"),
        ("CN=second,CN=first", (), "first"),
        ("O=Example,OU=Printers", (), "example"),
        ("", (GeneralName("dns", "Host.example"), GeneralName("ip", "10.0.0.1")), "host.example"),
        ("", (), ""),
        ("CN=ÄRGER", (), "Ärger"),
    ],
)
def test_the_name_that_people_look_for(subject: str, names: tuple[GeneralName, ...], name: str) -> None:
    """The common name, else what there is; letters of ASCII in lower case, as subjects are compared."""
    assert search_name(Name.from_text(subject), names) == name
