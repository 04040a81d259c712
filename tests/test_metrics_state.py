"""What is looked up at a scrape, who may scrape, and what it looks like where the database is away."""

import os
import re
import stat
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from threading import Event

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as read_open_metrics
from sqlalchemy import Connection, event

from app.admin.metrics_token import MetricsToken, make_token
from app.config import Config
from app.metrics.catalogue import CATALOGUE, EXPIRING_DAYS, Kind
from app.metrics.meter import Meter
from app.store.engine import open_engine
from app.store.keys import StoreKeys
from app.store.repository import SqlRepository
from ca.ports import Notification
from tests.admin_site import Site, login, opened, set_password
from tests.command_line import did, run
from tests.databases import POSTGRESQL, new_database
from tests.scraping import Scraped
from tests.test_http import insist_plain
from tests.waiting import by_hand
from tests.world import NOW, Device, World, certificate_of, rsa_key

CONFIG = Config.model_validate({"profiles": {"vpn": {}}})


@pytest.fixture
def url(database_kind: str, tmp_path: Path) -> str:
    """A database that the site's threads may share with the test."""
    return new_database() if database_kind == POSTGRESQL else f"sqlite:///{tmp_path / 'scepbox.db'}"


@pytest.fixture
def world(url: str) -> Iterator[World]:
    """A CA, whose challenge password has no limit."""
    world = World(url)
    yield world
    world.store.close()


@pytest.fixture
def site(world: World, tmp_path: Path) -> Iterator[Site]:
    """The site, with a password set."""
    meter = Meter()
    world.responder = replace(world.responder, watch=meter.watch)
    set_password(tmp_path)
    with opened(world, tmp_path, CONFIG, meter=meter) as site:
        yield site


def scrape(site: Site) -> Scraped:
    """What is there now."""
    answer = site.get("/metrics")
    assert answer.status == 200, answer.body
    return Scraped.read(answer.body)


@pytest.mark.databases
def test_challenge_passwords_that_may_be_used_are_counted_by_profile(world: World, site: Site) -> None:
    """Neither used up nor expired; those of profiles that are gone are told under one name."""
    for secret, profile, uses, hours in (
        ("a", "vpn", 3, 1),
        ("b", "vpn", None, None),
        ("c", "vpn", 1, -1),
        ("d", "vpn", 0, 1),
        ("e", "gone", 1, 1),
        ("f", "long-gone", 1, 1),
    ):
        valid = timedelta(hours=hours) if hours else None
        world.add_challenge(secret, profile=profile, uses=uses, valid=valid)

    found = scrape(site).samples("scepbox_challenges")

    assert found == {("default",): 1, ("vpn",): 2, ("unknown",): 2}


@pytest.mark.databases
def test_certificates_that_end_soon_are_counted_unless_they_are_revoked(world: World, site: Site) -> None:
    """By days; one that is revoked or has ended concerns nobody."""
    for number, days in enumerate((1, 20, 20, 60, 300)):
        world.profile = replace(world.profile, validity_days=days)
        world.enrol(Device(f"device-{number}", rsa_key(number % 4)), transaction_id=f"t{number}")
    first, second, *_ = sorted(world.issued(), key=lambda one: one.not_after)
    world.store.transact(lambda store: store.revoke_certificate(second.serial, NOW, "superseded", b""))

    scraped = scrape(site)

    assert scraped.value("scepbox_certificates") == 4
    assert scraped.samples("scepbox_certificates_expiring") == {("3",): 1, ("30",): 2, ("90",): 3}
    world.now = first.not_after
    assert scrape(site).samples("scepbox_certificates_expiring") == {("3",): 0, ("30",): 1, ("90",): 2}


@pytest.mark.databases
def test_what_waits_is_counted(world: World, site: Site, device: Device) -> None:
    """Requests for a person by profile, and notifications by validator, until their time is over."""
    by_hand(world)
    world.enrol(device)
    told = Notification("mdm", "failed", "default", "t1", b"csr", reason="no")
    world.store.transact(lambda repository: repository.add_notification(told, world.now))

    scraped = scrape(site)

    assert scraped.samples("scepbox_requests_waiting") == {("default",): 1, ("vpn",): 0}
    # There is no validator of that name in the settings.
    assert scraped.samples("scepbox_notifications_waiting") == {("unknown",): 1}
    world.now += timedelta(days=8)
    assert scrape(site).value("scepbox_requests_waiting", profile="default") == 0


def test_the_age_of_a_crl_is_that_of_what_anybody_gets(world: World, site: Site) -> None:
    """A scrape asks for it as others do: it is made anew in time where nobody fetches it."""
    assert scrape(site).value("scepbox_crl_age_seconds", ca="test-ca") == 0
    world.now += timedelta(days=2)
    scraped = scrape(site)
    assert scraped.value("scepbox_crl_age_seconds") == 2 * 86_400
    ends = scraped.value("scepbox_crl_next_update_timestamp_seconds")
    assert ends == (NOW + timedelta(days=7)).timestamp()

    world.now += timedelta(days=2)

    assert scrape(site).value("scepbox_crl_age_seconds") == 0
    assert scraped.value("scepbox_ca_not_after_timestamp_seconds") == world.ca.not_valid_after.timestamp()


def test_a_database_that_is_away_is_told_and_counts_go_on(
    world: World, url: str, site: Site, device: Device
) -> None:
    """Just then somebody looks: a scrape that fails tells no more than that."""
    certificate_of(world.enrol(device))
    assert scrape(site).value("scepbox_database_up") == 1
    world.store.close()
    path = Path(url.removeprefix("sqlite:///"))
    for beside in path.parent.glob(f"{path.name}-*"):
        beside.unlink()
    path.write_bytes(b"this is no database" * 1000)

    scraped = scrape(site)

    assert scraped.value("scepbox_database_up") == 0
    assert scraped.value("scepbox_operations_total", outcome="issued") == 1
    assert scraped.value("scepbox_ca_not_after_timestamp_seconds")
    for name in ("scepbox_certificates", "scepbox_challenges", "scepbox_crl_age_seconds"):
        assert scraped.samples(name) == {}


COUNTED = (
    ("ix_certificate_not_after", "certificate"),
    ("ix_challenge_usable", "challenge"),
    ("ix_request_pending", "request"),
)


@pytest.mark.parametrize(("index", "table"), COUNTED)
def test_whatever_is_counted_is_found_by_an_index(world: World, url: str, index: str, table: str) -> None:
    """A scan of a million certificates would take seconds, every quarter of a minute."""
    engine = open_engine(url)
    plans: list[str] = []

    def explain(connection: Connection, _: object, statement: str, parameters: object, *__: object) -> None:
        if not statement.startswith("EXPLAIN"):
            found = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)  # type: ignore[arg-type]
            plans.extend(row[3] for row in found)

    with engine.connect() as connection:
        event.listen(engine, "before_cursor_execute", explain)
        SqlRepository(connection, StoreKeys.of_secret(b"")).count_all(NOW, EXPIRING_DAYS)
    engine.dispose()

    mine = [plan for plan in plans if f" {table} " in f"{plan} "]
    assert any(index in plan for plan in mine), plans
    assert all("USING" in plan for plan in mine), plans


@pytest.mark.parametrize(
    "accept", ["", "text/plain", "application/openmetrics-text; version=1.0.0,text/plain;version=0.0.4;q=0.5"]
)
def test_both_formats_have_every_metric_with_a_sentence(site: Site, accept: str) -> None:
    """Prometheus asks for OpenMetrics, people and older programs for text."""
    answer = site.get("/metrics", Accept=accept)

    is_open = "openmetrics" in accept
    assert answer.headers["content-type"].startswith(
        "application/openmetrics-text" if is_open else "text/plain; version=0.0.4"
    )
    assert answer.headers["cache-control"] == "no-store"
    body = answer.body.decode()
    families = (
        read_open_metrics(body)  # type: ignore[no-untyped-call] # prometheus_client has few types
        if is_open
        else Scraped.read(answer.body).families
    )
    told = {family.name: family for family in families}
    assert set(told) == {one.name.removesuffix("_total") for one in CATALOGUE}
    for one in CATALOGUE:
        family = told[one.name.removesuffix("_total")]
        assert family.type == one.kind
        assert re.fullmatch(r"[A-Z].+[^.]\.", family.documentation)


def test_names_are_such_as_prometheus_wants_them() -> None:
    """One prefix, base units at the end, ``_total`` for counters and nothing else (OpenMetrics 1.0, 4.4)."""
    assert len({one.name for one in CATALOGUE}) == len(CATALOGUE)
    for one in CATALOGUE:
        assert re.fullmatch(r"scepbox_[a-z]+(_[a-z]+)*", one.name)
        assert one.name.endswith("_total") == (one.kind is Kind.COUNTER)
        assert not re.search(r"milli|minute|hour|percent", one.name)
        assert one.kind is not Kind.HISTOGRAM or one.name.endswith("_seconds")
        assert not {"le", "quantile"} & set(one.labels)


def test_a_token_lets_in_to_the_metrics_and_to_nothing_else(site: Site, tmp_path: Path) -> None:
    """The administrator's password does not belong into the settings of another program."""
    token = make_token(tmp_path / "metrics.hash")
    bearer = {"Authorization": f"Bearer {token}"}

    assert site.get("/metrics", **bearer).status == 200
    assert site.served.ask("HEAD", "/metrics", None, **bearer).status == 200
    for path in ("/", "/certsrv/mscep_admin/", "/metrics/", "/nowhere"):
        insist_plain(site.get(path, **bearer), 401)
    insist_plain(site.post("/metrics", **bearer), 401)
    insist_plain(site.post(**bearer), 401)
    assert site.password.hashed == 0
    # It is kept as its hash alone, and a new one ends the old one.
    assert token not in (tmp_path / "metrics.hash").read_text()
    make_token(tmp_path / "metrics.hash")
    insist_plain(site.get("/metrics", **bearer), 401)


@pytest.mark.parametrize(
    "header", ["Bearer ", "Bearer x", "bearer", "Token x", "Bearer " + "x" * 300, "Bearer ä"]
)
@pytest.mark.parametrize("there", [True, False])
def test_what_is_no_token_is_asked_for_the_password(
    site: Site, tmp_path: Path, header: str, *, there: bool
) -> None:
    """Whether a token was ever made or not; from loopback too, for a proxy may stand there."""
    if there:
        make_token(tmp_path / "metrics.hash")

    insist_plain(site.served.ask("GET", "/metrics", None, Authorization=header), 401)
    insist_plain(site.served.ask("GET", "/metrics"), 401)


def test_the_verb_makes_a_token_that_its_owner_alone_can_look_at(tmp_path: Path) -> None:
    """Alone on stdout, for a file; without a CA it says what to do in one line."""
    done = run("admin", "metrics", "--data", tmp_path / "nowhere")
    assert (done.code, done.out, done.err.count("\n")) == (2, "", 1)
    did("init", "--data", tmp_path / "data")

    token = did("admin", "metrics", "--data", tmp_path / "data")

    assert re.fullmatch(r"[\w-]{32}\n", token)
    kept = tmp_path / "data" / "metrics.hash"
    assert MetricsToken(kept).is_in(f"Bearer {token.strip()}")
    assert os.name == "nt" or stat.S_IMODE(kept.stat().st_mode) == 0o600


def test_scrapes_of_a_database_that_hangs_keep_nobody_waiting(
    world: World, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some wait, more are sent away at once, and the rest of the site goes on."""
    goes_on, read = Event(), world.store.read

    def hang(work: Callable[[SqlRepository], object]) -> object:
        assert goes_on.wait(60)
        return read(work)

    monkeypatch.setattr(world.store, "read", hang)
    with ThreadPoolExecutor(8) as pool:
        scrapes = [pool.submit(site.get, "/metrics") for _ in range(8)]
        sent_away = [next(as_completed(scrapes))]
        assert site.get("/").status == 200
        goes_on.set()

    insist_plain(sent_away[0].result(), 503)
    assert {one.result().status for one in scrapes} == {200, 503}


def test_the_password_lets_in_as_well(site: Site) -> None:
    """For a look by hand."""
    assert site.get("/metrics", **login()).status == 200


def test_a_token_is_good_where_no_password_is_set(world: World, tmp_path: Path) -> None:
    """Who only wants metrics needs no second secret."""
    token = make_token(tmp_path / "metrics.hash")
    with opened(world, tmp_path) as site:
        assert site.get("/metrics", Authorization=f"Bearer {token}").status == 200
        insist_plain(site.get("/", Authorization=f"Bearer {token}"), 403)
