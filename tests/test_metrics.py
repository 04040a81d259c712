"""What is counted where requests are served, and what strangers cannot do to it."""

import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.config import Config
from app.http.traffic import Closed, TurnedAway
from app.metrics.catalogue import (
    CONNECTIONS,
    CONNECTIONS_CLOSED,
    REQUESTS_QUEUED,
    REQUESTS_TURNED_AWAY,
    Metric,
)
from app.metrics.clients import FAMILIES, OTHER, SILENT, family_of
from app.metrics.meter import Meter
from app.metrics.scrape import add_up
from app.metrics.shared import SharedNumbers
from app.recorder.recorder import QUEUE_FULL
from app.succession import Ca, Succession
from app.validators.exec import ExecValidator
from app.wiring import Counts, build_web
from ca.algorithms.ciphers import DES_EDE3_CBC
from ca.algorithms.digests import MD5, SHA1
from ca.errors import StoreUnavailable
from ca.laps import Stage
from ca.scep.messages import Failure, MessageType
from tests.admin_site import Site, opened, set_password
from tests.scraping import Scraped
from tests.test_http import Served, serving
from tests.test_http_messages import in_date
from tests.test_ocsp import about
from tests.waiting import names
from tests.world import Device, World, certificate_of, rsa_key

CONFIG = Config.model_validate({"profiles": {"vpn": {}}})
OPERATIONS = "scepbox_operations_total"


@dataclass
class Watched:
    """A CA whose operations are counted, and the site where they are scraped."""

    world: World
    meter: Meter
    site: Site

    def scrape(self) -> Scraped:
        """What is there now."""
        answer = self.site.get("/metrics")
        assert answer.status == 200, answer.body
        return Scraped.read(answer.body)


@pytest.fixture
def watched(tmp_path: Path) -> Iterator[Watched]:
    """It, with a site that knows the profiles ``default`` and ``vpn``."""
    world, meter = World(f"sqlite:///{tmp_path / 'scepbox.db'}"), Meter()
    world.responder = replace(world.responder, watch=meter.watch)
    set_password(tmp_path)
    with opened(world, tmp_path, CONFIG, meter=meter) as site:
        yield Watched(world, meter, site)
    world.store.close()


@pytest.fixture
def served(watched: Watched) -> Iterator[Served]:
    """The CA over HTTP, counted by the same meter."""
    world = watched.world
    cas = Succession(Ca(world.ca, (), world.responder.authority, world.responder.identity))
    counts = Counts(meter=watched.meter)
    with serving(build_web(cas, CONFIG, world.store, world.challenge_key, counts=counts)) as served:
        yield served


def test_who_asks_what_is_revoked_is_counted(watched: Watched, served: Served) -> None:
    """Most of what a CA is asked, and of no profile: CRL and OCSP, and what came of each."""
    crl = served.ask("GET", "/crl")
    served.ask("GET", "/crl", If_None_Match=crl.headers["etag"])
    served.ask("GET", "/crl/nobody.crl")
    served.ask("POST", "/ocsp", b"no request of OCSP")
    served.ask("GET", "/ocsp")
    served.ask("POST", "/ocsp", about(watched.world, 4711))

    scraped = watched.scrape()

    assert scraped.samples("scepbox_revocation_queries_total") == {
        ("CRL", "answered"): 1,
        ("CRL", "unchanged"): 1,
        ("CRL", "refused"): 1,
        ("OCSP", "refused"): 2,
        ("OCSP", "answered"): 1,
    }


def test_what_was_not_recorded_is_counted(watched: Watched) -> None:
    """By what was in the way; from zero, so that the first is seen to be one more."""
    name = "scepbox_recordings_left_out_total"
    assert watched.scrape().samples(name) == {("queue full",): 0, ("not written",): 0}

    watched.meter.leave_out_recordings(3, QUEUE_FULL)

    assert watched.scrape().samples(name) == {("queue full",): 3, ("not written",): 0}


def test_operations_are_counted_by_what_came_of_them(watched: Watched, device: Device) -> None:
    """Type, profile, outcome and failInfo: what an administrator asks first."""
    world, other = watched.world, Device("ipad-18", rsa_key(2))
    certificate_of(world.enrol(device))
    certificate_of(world.enrol(device))
    assert isinstance(world.enrol(other, other.csr("wrong"), "t2"), Failure)

    scraped = watched.scrape()

    # By failInfo, operation, outcome and profile.
    assert scraped.counted(OPERATIONS) == {
        ("", "PKCSReq", "issued", "default"): 1,
        ("", "PKCSReq", "repeated", "default"): 1,
        ("badRequest", "PKCSReq", "refused", "default"): 1,
    }
    assert scraped.counted("scepbox_refusals_total") == {("default", "ChallengeRejected"): 1}


def test_what_people_are_alerted_at_is_there_before_it_happens(watched: Watched) -> None:
    """Prometheus sees no rise in a first sample: the first breach would pass in silence."""
    scraped = watched.scrape()

    for profile in ("default", "vpn"):
        assert scraped.value("scepbox_refusals_total", profile=profile, rule="ChallengeReused") == 0
        assert scraped.samples(OPERATIONS, profile=profile, fail_info="", operation="PKIOperation") == {
            ("failed",): 0,
            ("unavailable",): 0,
        }
    for metric, reasons in ((REQUESTS_TURNED_AWAY, TurnedAway), (CONNECTIONS_CLOSED, Closed)):
        assert scraped.samples(metric.name) == {(one.value,): 0 for one in reasons}


def test_a_password_that_is_used_twice_is_counted_as_the_breach_that_it_may_be(
    watched: Watched,
) -> None:
    """RFC 8894 7.3: somebody has it who should not."""
    world = watched.world
    world.add_challenge("once", uses=1)
    for number in (1, 2):
        other = Device(f"ipad-{number}", rsa_key(number))
        world.enrol(other, other.csr("once"), f"t{number}")

    assert watched.scrape().counted("scepbox_refusals_total") == {("default", "ChallengeReused"): 1}


def test_a_message_that_lies_about_itself_is_counted_as_nothing_known(
    watched: Watched, device: Device
) -> None:
    """A messageType is a text of anybody's choice, before and after its signature holds."""
    world = watched.world
    message = device.message(world.ca, message_type=MessageType.CERT_REP)

    world.respond(message)

    assert watched.scrape().value(OPERATIONS, operation="unknown", outcome="refused") == 1


def test_the_stages_of_an_operation_are_all_of_its_time(watched: Watched, device: Device) -> None:
    """What no stage had would be looked for elsewhere; each histogram counts every operation once."""
    certificate_of(watched.world.enrol(device))

    scraped = watched.scrape()

    stages = scraped.samples("scepbox_stage_duration_seconds_sum")
    assert {stage for (stage,) in stages} == set(Stage) - {Stage.CONSULT}
    whole = scraped.value("scepbox_operation_duration_seconds_sum", operation="PKCSReq")
    assert sum(stages.values()) == pytest.approx(whole)
    counts = scraped.samples("scepbox_stage_duration_seconds_count")
    assert set(counts.values()) == {1}
    for (stage,) in counts:
        buckets = scraped.samples("scepbox_stage_duration_seconds_bucket", stage=stage)
        limits = sorted(float(limit) for (limit,) in buckets)
        rising = [buckets[(limit,)] for limit in sorted((one for (one,) in buckets), key=float)]
        assert (limits[0], limits[-2], limits[-1]) == (0.0001, 10, float("inf"))
        assert rising == sorted(rising)
        assert rising[-1] == 1


def test_a_refusal_is_timed_too(watched: Watched, device: Device) -> None:
    """What is slow to refuse is as slow as anything."""
    assert isinstance(watched.world.enrol(device, device.csr("wrong")), Failure)

    assert watched.scrape().value("scepbox_operation_duration_seconds_count", operation="PKCSReq") == 1


def test_weak_algorithms_are_counted_by_client_also_where_they_are_refused(watched: Watched) -> None:
    """With this evidence an administrator switches them off, or knows whom he would lock out."""
    world = watched.world
    weak = Device("router-1", digest=SHA1, cipher=DES_EDE3_CBC, signer_key=rsa_key(7, 1024))
    certificate_of(world.enrol(weak))
    refused = Device("router-2", digest=MD5)
    assert isinstance(world.enrol(refused, transaction_id="t2"), Failure)
    short = Device("router-3", rsa_key(7, 1024), signer_key=rsa_key(3))
    assert isinstance(world.enrol(short, transaction_id="t3"), Failure)

    # The client of these tests is none that is known.
    assert watched.scrape().samples("scepbox_weak_algorithms_total", client="other") == {
        ("SHA-1",): 1,
        ("DES-EDE3-CBC",): 1,
        ("RSA below 2048",): 2,
        ("MD5",): 1,
    }


@pytest.mark.parametrize(
    ("client", "family"),
    [
        ("Mozilla/4.0 (compatible; Win32; NDES client 10.0.26100.1150)", "windows"),
        ("mdmclient/1.0 CFNetwork/1494.0.7 Darwin/23.4.0", "apple"),
        ("Go-http-client/1.1", "go"),
        ("Java/17.0.9", "java"),
        ("scepbox", "scepbox"),
        ("", SILENT),
        ("something else", OTHER),
    ],
)
def test_a_client_is_known_by_what_it_calls_itself(client: str, family: str) -> None:
    """The User-Agent as each of them sends it."""
    assert family_of(client) == family


@given(st.text())
def test_whatever_a_client_calls_itself_is_one_of_a_short_list(client: str) -> None:
    """A label for each text of a stranger would fill the memory of whoever keeps them."""
    assert family_of(client) in FAMILIES


def test_what_is_no_pki_operation_is_counted_by_its_status(served: Served, watched: Watched) -> None:
    """Of the operations without a message, and of those that end without a CertRep."""
    for target in (
        "/scep?operation=GetCACaps",
        "/scep/vpn?operation=getcacert",
        "/scep?operation=GetNextCACert",
    ):
        served.ask("GET", target)
    served.ask("POST", "/scep?operation=PKIOperation", b"no CMS")
    served.ask("DELETE", "/scep")
    device = in_date()
    served.ask("POST", "/scep/vpn", device.message(watched.world.ca, device.csr("wrong")))

    # By operation, outcome and profile.
    assert watched.scrape().counted(OPERATIONS, fail_info="") == {
        ("GetCACaps", "answered", "default"): 1,
        ("GetCACert", "answered", "vpn"): 1,
        ("GetNextCACert", "refused", "default"): 1,
        ("PKIOperation", "malformed", "default"): 1,
        ("unknown", "refused", "unknown"): 1,
    }
    assert watched.scrape().value(OPERATIONS, fail_info="badRequest", profile="vpn", operation="PKCSReq") == 1


def test_strangers_make_no_labels(served: Served, watched: Watched) -> None:
    """Profiles, operations and names of clients that nobody has heard of are each counted as one."""
    ca = watched.world.ca
    for number in range(20):
        served.ask("GET", f"/scep/profile-{number}?operation=GetCACert")
        served.ask("GET", f"/scep?operation=operation-{number}")
        device = Device(f"device-{number}", digest=SHA1, signing_time=None)
        message = device.message(ca, device.csr("wrong"), transaction_id=f"t{number}")
        served.ask("POST", "/scep?operation=PKIOperation", message, User_Agent=f"client-{number}")

    scraped = watched.scrape()

    assert scraped.samples(OPERATIONS, operation="unknown") == {
        ("", "malformed", "default"): 20,
        ("", "refused", "unknown"): 20,
    }
    assert scraped.samples("scepbox_weak_algorithms_total") == {("SHA-1", "other"): 20}


def test_a_store_that_is_away_is_counted_by_what_the_device_hears(
    served: Served, watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No exchange came of it, and it must not go missing."""

    def full(_: object) -> None:
        raise StoreUnavailable("the disk is full")

    monkeypatch.setattr(watched.world.store, "transact", full)
    served.ask("POST", "/scep?operation=PKIOperation", in_date().message(watched.world.ca))

    assert watched.scrape().value(OPERATIONS, outcome="unavailable", profile="default") == 1


def test_a_validator_is_up_until_it_gives_no_verdict(watched: Watched, tmp_path: Path) -> None:
    """By its name in the settings: outcome, time, and whether the last question was answered."""
    world, meter = watched.world, watched.meter
    program = tmp_path / "decide.py"
    command = (sys.executable, "-I", str(program))
    validator = ExecValidator("inventory", command, tmp_path, 60)
    consult = meter.consulting(lambda _, question: question())
    world.profile = replace(world.profile, validator="inventory")
    world.responder = replace(world.responder, validators={"inventory": validator}, consult=consult)
    assert watched.scrape().samples("scepbox_validator_up") == {}

    for number, code in enumerate((0, 1, 7)):
        program.write_text(f"raise SystemExit({code})\n")
        world.enrol(Device(f"ipad-{number}"), transaction_id=f"t{number}")
        up = watched.scrape().value("scepbox_validator_up", validator="inventory")
        assert up == (code != 7)

    scraped = watched.scrape()
    verdicts = {("inventory", "allowed"): 1, ("inventory", "denied"): 1, ("inventory", "unavailable"): 1}
    assert scraped.samples("scepbox_validator_verdicts_total") == verdicts
    assert scraped.value("scepbox_validator_duration_seconds_count") == 3
    success = scraped.value("scepbox_validator_last_success_timestamp_seconds")
    failure = scraped.value("scepbox_validator_last_failure_timestamp_seconds")
    assert success
    assert failure
    assert success < failure


def test_a_poll_waits_for_nobody_and_is_counted(watched: Watched, device: Device) -> None:
    """Devices poll every few seconds: a count that left them out would hide what is going on."""
    world = watched.world
    message = device.message(world.ca, names(world, device), message_type=MessageType.CERT_POLL)

    world.respond(message)

    assert watched.scrape().value(OPERATIONS, operation="CertPoll", fail_info="badCertId") == 1


def test_whoever_takes_the_place_of_a_process_goes_on_with_its_numbers() -> None:
    """A worker that was killed must not take what it counted with it: a counter never falls."""
    numbers = SharedNumbers(2)
    first, second = Meter(numbers), Meter(numbers)
    first.begin(1)
    first.count("GetCACaps", "default", "answered")
    second.begin(1)
    second.count("GetCACaps", "default", "answered")
    second.count("GetCACert", "default", "answered")

    rows = dict(numbers.read())

    assert rows[(OPERATIONS, "GetCACaps", "default", "answered", "")] == [2]
    assert rows[(OPERATIONS, "GetCACert", "default", "answered", "")] == [1]
    assert rows[("scepbox_worker_starts_total",)] == [2]
    assert len(rows) == len(list(numbers.read()))


def test_what_is_open_now_ends_with_the_process_that_had_it() -> None:
    """One that was killed has no connections any more, and whoever takes its place begins without."""
    numbers = SharedNumbers(2)
    first, second, other = Meter(numbers), Meter(numbers), Meter(numbers)
    for place, meter in enumerate((other, first)):
        meter.begin(place)
        meter.change_connections(3)
        meter.change_requests(2)
    first.turn_away(TurnedAway.QUEUE_FULL)
    assert _open_now(numbers) == {CONNECTIONS: 6, REQUESTS_QUEUED: 4, REQUESTS_TURNED_AWAY: 1}

    second.begin(1)

    assert _open_now(numbers) == {CONNECTIONS: 3, REQUESTS_QUEUED: 2, REQUESTS_TURNED_AWAY: 1}


def _open_now(numbers: SharedNumbers) -> dict[Metric, float]:
    found = add_up(Meter(numbers))
    return {
        one: sum(number for (number,) in found[one].values())
        for one in (CONNECTIONS, REQUESTS_QUEUED, REQUESTS_TURNED_AWAY)
    }


def test_a_memory_that_is_full_is_told_and_hurts_nobody() -> None:
    """A thousand profiles, say: what there is room for goes on to be counted."""
    numbers = SharedNumbers(1, 4096)
    meter = Meter(numbers)
    for number in range(100):
        meter.count("GetCACaps", f"profile-{number}", "answered")
    meter.count("GetCACaps", "profile-0", "answered")

    rows = dict(numbers.read())

    assert rows[(OPERATIONS, "GetCACaps", "profile-0", "answered", "")] == [2]
    assert numbers.left_out == 100 - len(rows) > 0
