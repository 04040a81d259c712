"""Several servers on one PostgreSQL: what one looks at and the other changes, and who waits for whom.

``SCEPBOX_CROSSING=5000 python tests/run.py tests/test_several_servers.py`` has ten thousand devices cross.
"""

import json
import os
import shutil
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from threading import Barrier, Event
from typing import TypeVar
from urllib.request import Request, urlopen

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from sqlalchemy import text

from app.clock import utc_now
from app.data_folder import DataFolder
from app.store import SqlRepository, SqlStore, open_store
from app.store.locks import Overtaken
from app.store.records import NewChallenge
from ca.deviations import Deviations
from ca.errors import DecisionImpossible, StoreUnavailable
from ca.issuing.authority import Authority
from ca.issuing.crl import extend_crl, issuer_id, publish_crl
from ca.policy.challenges import ChallengeKey, new_challenge
from ca.policy.queue import Queue
from ca.ports import AuditEntry, Repository, StoredCrl
from ca.responder import Responder
from ca.scep import codec
from ca.scep.messages import Failure, Pending, Success, Transaction
from ca.x509.certificate import Certificate
from tests.command_line import Service, run, serving
from tests.databases import looking_into, new_database
from tests.forging_csr import challenge, csr, spki_of, subject
from tests.test_postgresql import together
from tests.waiting import by_hand, desk, poll, requests
from tests.watching import StoreBefore
from tests.world import NONCE, NOW, PEER, Device, World, certificate_of, rsa_key

T = TypeVar("T")
pytestmark = pytest.mark.databases("postgresql")
# PostgreSQL looks for deadlocks after a second: what takes less was none.
NO_DEADLOCK_SECONDS = 0.9


@pytest.fixture
def url() -> str:
    """A database that several servers open."""
    return new_database()


@pytest.fixture
def world(url: str) -> Iterator[World]:
    """One server."""
    world = World(url)
    yield world
    world.store.close()


@pytest.fixture
def other(world: World, url: str) -> Iterator[SqlStore]:
    """The database as another server has it."""
    other = open_store(url)
    yield other
    other.close()


@pytest.fixture
def twin(world: World, other: SqlStore) -> Responder:
    """The responder of the other server."""
    return replace(world.responder, store=other)


def _respond_at_once(world: World, twin: Responder, first: bytes, second: bytes) -> list[bytes]:
    start = Barrier(2)

    def respond(responder: Responder, message: bytes) -> bytes:
        start.wait()
        return responder.respond(message, world.profile, PEER, Deviations())

    with ThreadPoolExecutor(2) as pool:
        return list(pool.map(respond, (world.responder, twin), (first, second)))


def test_two_csrs_of_one_transaction_at_two_servers_get_one_certificate(
    world: World, twin: Responder
) -> None:
    """RFC 8894 3.2.1.1: a transactionID of one key is of one request, whichever server is asked."""
    for number in range(10):
        device, name = Device(f"ipad-{number}"), f"t{number}"
        payloads = [device.csr(), Device(f"phone-{number}").csr()]
        messages = [device.message(world.ca, payload, transaction_id=name) for payload in payloads]

        replies = _respond_at_once(world, twin, *messages)

        outcomes = [device.read(reply, world.ca, name) for reply in replies]
        assert sorted(type(one).__name__ for one in outcomes) == ["Failure", "Success"]
        assert len(world.issued()) == number + 1


def test_crossing_crowds_do_not_wait_for_each_other(world: World, other: SqlStore) -> None:
    """Two servers get the same two requests in the other order, and each has the first when it asks."""
    for _ in range(5):
        _cross(world, other)


def _cross(world: World, other: SqlStore) -> None:
    both_have_one = Barrier(2)
    calls: Counter[str] = Counter()

    def work(name: str, key: bytes, *, meet: bool) -> Callable[[SqlRepository], str]:
        def look(repository: SqlRepository) -> str:
            repository.find_answered(key, key, NOW)
            calls[name] += 1
            if meet and calls[name] == 1:
                both_have_one.wait(5)
            return name

        return look

    ours = [work("a1", b"first", meet=True), work("a2", b"second", meet=False)]
    theirs = [work("b2", b"second", meet=True), work("b1", b"first", meet=False)]
    started = time.monotonic()
    with ThreadPoolExecutor(2) as pool:
        outcomes = list(pool.map(together, (world.store, other), (ours, theirs)))

    assert outcomes == [["a1", "a2"], ["b2", "b1"]]
    assert time.monotonic() - started < NO_DEADLOCK_SECONDS


def test_who_meets_a_row_that_another_changes_comes_after_him_and_keeps_nobody_waiting(
    world: World, other: SqlStore
) -> None:
    """A challenge password of many uses is one row, which many devices change at once."""
    world.add_challenge("many", uses=10)
    mac = world.challenge_key.mac("many")
    spent, may_end, order = Event(), Event(), []

    def hold(repository: SqlRepository) -> None:
        repository.spend_challenge(mac, "default", "CN=theirs", NOW)
        spent.set()
        may_end.wait(5)

    def spend(repository: SqlRepository) -> None:
        repository.spend_challenge(mac, "default", "CN=ours", NOW)
        order.append("spends")

    def look(repository: SqlRepository) -> None:
        assert repository.find_answered(b"k", b"k", NOW) == []
        order.append("looks")

    with ThreadPoolExecutor(2) as pool:
        theirs = pool.submit(other.transact, hold)
        spent.wait(5)
        started = time.monotonic()
        ours = pool.submit(together, world.store, [look, spend, look])
        while len(order) < 2:
            time.sleep(0.01)
        took = time.monotonic() - started
        may_end.set()

    theirs.result()
    assert ours.result() == [None] * 3
    assert order == ["looks", "looks", "spends"]
    assert took < 2
    assert world.uses_left() == [None, 8]


def test_who_meets_a_request_that_another_server_works_on_comes_after_it(
    world: World, other: SqlStore
) -> None:
    """What he read beside it would not be what there is once the other has committed."""
    inside, may_end, order = Event(), Event(), []

    def hold(repository: SqlRepository) -> None:
        repository.find_answered(b"theirs", b"theirs", NOW)
        inside.set()
        may_end.wait(5)
        order.append("theirs")

    def look(name: str) -> Callable[[SqlRepository], None]:
        def work(repository: SqlRepository) -> None:
            repository.find_answered(name.encode(), name.encode(), NOW)
            order.append(f"ours, at {name}")

        return work

    with ThreadPoolExecutor(2) as pool:
        theirs = pool.submit(other.transact, hold)
        inside.wait(5)
        ours = pool.submit(together, world.store, [look("first"), look("theirs"), look("last")])
        while len(order) < 2:
            time.sleep(0.01)
        time.sleep(0.1)
        may_end.set()

    theirs.result()
    assert ours.result() == [None] * 3
    assert order == ["ours, at first", "ours, at last", "theirs", "ours, at theirs"]


def test_of_two_who_bring_one_secret_at_once_the_second_hears_that_it_is_taken(
    world: World, other: SqlStore
) -> None:
    """He is told so, as if he had come later, and not that something is broken."""
    record = NewChallenge(b"mac", "default", 1, None, NOW)
    inside, may_end = Event(), Event()

    def slowly(repository: SqlRepository) -> int | None:
        number = repository.add_challenge(record)
        inside.set()
        may_end.wait(5)
        return number

    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(world.store.transact, slowly)
        inside.wait(5)
        second = pool.submit(other.transact, lambda repository: repository.add_challenge(record))
        time.sleep(0.2)
        may_end.set()

    assert first.result() is not None
    assert second.result() is None


def test_a_deadlock_is_nobodys_fault(world: World, other: SqlStore) -> None:
    """Two that take in turn what the other has: PostgreSQL ends one, which is done anew."""
    both_have_one, attempts = Barrier(2), []

    def work(mine: bytes, yours: bytes) -> Callable[[SqlRepository], str]:
        def look(repository: SqlRepository) -> str:
            attempts.append(mine)
            repository.find_active(mine, NOW)
            if len(attempts) <= 2:
                both_have_one.wait(5)
            repository.find_active(yours, NOW)
            return "done"

        return look

    with ThreadPoolExecutor(2) as pool:
        one = pool.submit(world.store.transact, work(b"a", b"b"))
        two = pool.submit(other.transact, work(b"b", b"a"))

    assert (one.result(), two.result()) == ("done", "done")
    assert len(attempts) == 3


def test_work_that_is_always_overtaken_ends(world: World) -> None:
    """Whoever waits for it hears no, and may come again."""
    attempts: list[None] = []

    def work(_: SqlRepository) -> None:
        attempts.append(None)
        raise Overtaken

    with pytest.raises(StoreUnavailable, match="faster"):
        world.store.transact(work)

    assert 1 < len(attempts) < 10


@pytest.mark.parametrize("write_crl", [publish_crl, extend_crl])
def test_two_revocations_at_once_are_both_on_the_newest_crl(
    world: World, other: SqlStore, write_crl: Callable[[Authority, SqlRepository, datetime], StoredCrl]
) -> None:
    """RFC 5280 5.1.1: a CRL of a later number that lists less would take a revocation back."""
    authority = world.responder.authority
    # There is one that can be added to.
    world.store.transact(lambda repository: publish_crl(authority, repository, NOW))
    serials = []
    for number in range(2):
        device = Device(f"ipad-{number}", rsa_key(number + 1))
        serials.append(f"{certificate_of(world.enrol(device, transaction_id=f't{number}')).serial_number:x}")
    marked = Barrier(2)

    def revoke(serial: str) -> Callable[[SqlRepository], int]:
        def work(repository: SqlRepository) -> int:
            repository.revoke_certificate(serial, NOW, "superseded", world.responder.authority.issuer_key)
            marked.wait(5)
            return write_crl(authority, repository, NOW).number

        return work

    with ThreadPoolExecutor(2) as pool:
        numbers = [
            pool.submit(store.transact, revoke(serial))
            for store, serial in zip((world.store, other), serials, strict=True)
        ]

    assert len({one.result() for one in numbers}) == 2
    newest = world.store.read(lambda repository: repository.find_crl(issuer_id(authority.certificate)))
    assert newest is not None
    assert _serials(newest) == sorted(serials)


def _serials(crl: StoredCrl) -> list[str]:
    return sorted(f"{one.serial_number:x}" for one in x509.load_der_x509_crl(crl.der))


def test_the_crl_of_the_later_number_lists_what_the_earlier_one_does(world: World, other: SqlStore) -> None:
    """The one that waits reads what is revoked only when it is its turn."""
    authority = world.responder.authority
    serial = f"{certificate_of(world.enrol(Device())).serial_number:x}"
    revoked, may_end = Event(), Event()

    def revoke(repository: SqlRepository) -> int:
        repository.revoke_certificate(serial, NOW, "superseded", world.responder.authority.issuer_key)
        number = publish_crl(authority, repository, NOW).number
        revoked.set()
        may_end.wait(5)
        return number

    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(world.store.transact, revoke)
        revoked.wait(5)
        second = pool.submit(other.transact, lambda repository: publish_crl(authority, repository, NOW))
        time.sleep(0.3)
        may_end.set()
        later = second.result()

    assert later.number > first.result()
    assert _serials(later) == [serial]


def test_a_certificate_is_not_revoked_in_the_midst_of_its_renewal(world: World, other: SqlStore) -> None:
    """Who revokes is told what it was renewed to, and that must not come into being behind his back."""
    serial = f"{certificate_of(world.enrol(Device())).serial_number:x}"
    found, may_end, order = Event(), Event(), []

    def renew(repository: SqlRepository) -> None:
        assert repository.find_certificate(serial)
        found.set()
        may_end.wait(5)
        order.append("renewed")

    def revoke(repository: SqlRepository) -> bool:
        done = repository.revoke_certificate(serial, NOW, "superseded", world.responder.authority.issuer_key)
        order.append("revoked")
        return done

    with ThreadPoolExecutor(2) as pool:
        renewal = pool.submit(world.store.transact, renew)
        found.wait(5)
        revocation = pool.submit(other.transact, revoke)
        time.sleep(0.3)
        may_end.set()

    renewal.result()
    assert revocation.result()
    assert order == ["renewed", "revoked"]


def test_a_queue_has_its_places_for_all_servers_together(world: World, twin: Responder) -> None:
    """Two servers that each count to the last place would give it away twice."""
    by_hand(world, challenge=False, queue=Queue(per_profile=1))
    twin = replace(twin, queue=Queue(per_profile=1))
    for number in range(5):
        messages = [
            Device().message(
                world.ca,
                csr(key=ec.generate_private_key(ec.SECP256R1()), subject_der=subject(f"phone-{one}")),
                transaction_id=f"t{number}-{one}",
            )
            for one in range(2)
        ]

        _respond_at_once(world, twin, *messages)

        (waiting,) = requests(world, "pending")
        desk(world).reject(waiting.id, "no")


def test_a_request_made_again_while_it_is_approved_is_approved_too(
    world: World, other: SqlStore, device: Device
) -> None:
    """Under whichever transactionID the device polls then, it gets its certificate (RFC 8894 5.2)."""
    by_hand(world)
    world.enrol(device)
    slow = _SlowStore(other)
    with ThreadPoolExecutor(2) as pool:
        approval = pool.submit(replace(desk(world), store=slow).approve, 1)
        slow.decided.wait(5)
        again = pool.submit(world.enrol, device, None, "t2")
        time.sleep(0.3)
        slow.may_commit.set()
        issued = approval.result().certificate

    assert again.result() == Success(issued.der)
    assert certificate_of(poll(world, device, "t1")).der == issued.der


class _SlowStore(StoreBefore):
    """A store in which somebody else gets in between the last statement and the commit."""

    def __init__(self, store: SqlStore) -> None:
        super().__init__(store)
        self._sql = store
        self.decided, self.may_commit = Event(), Event()

    def transact(self, work: Callable[[Repository], T]) -> T:
        def slowly(repository: SqlRepository) -> T:
            result = work(repository)
            # Has everything before it sent.
            repository.is_alive()
            self.decided.set()
            self.may_commit.wait(5)
            return result

        return self._sql.transact(slowly)


def test_two_people_at_two_servers_decide_once(world: World, other: SqlStore, device: Device) -> None:
    """The second hears that it was decided, and nothing of his stays."""
    by_hand(world)
    assert world.enrol(device) == Pending()
    desks, start = [desk(world), replace(desk(world), store=other)], Barrier(2)

    def approve(number: int) -> str:
        start.wait()
        try:
            return desks[number].approve(1).certificate.serial
        except DecisionImpossible as error:
            return str(error)

    with ThreadPoolExecutor(2) as pool:
        said = list(pool.map(approve, range(2)))

    (issued,) = world.issued()
    assert issued.serial in said
    assert any("already" in one for one in said)


def test_who_counts_certificates_of_a_subject_is_alone_with_it(world: World, other: SqlStore) -> None:
    """Two servers that each find room for one more would both issue."""
    assert _second_waits(world.store, other, lambda one: one.find_active(b"subject", NOW))
    assert _second_waits(world.store, other, lambda one: one.find_by_key(b"key", NOW))


def _second_waits(first: SqlStore, second: SqlStore, work: Callable[[SqlRepository], object]) -> bool:
    inside, order = Event(), []

    def slowly(repository: SqlRepository) -> None:
        work(repository)
        inside.set()
        time.sleep(0.3)
        order.append("first")

    def quickly(repository: SqlRepository) -> None:
        work(repository)
        order.append("second")

    with ThreadPoolExecutor(2) as pool:
        one = pool.submit(first.transact, slowly)
        inside.wait(5)
        two = pool.submit(second.transact, quickly)
    one.result()
    two.result()
    return order == ["first", "second"]


def test_the_audit_log_of_several_servers_is_one_chain(world: World, other: SqlStore, url: str) -> None:
    """Each entry is chained to the one before it, whoever wrote that."""
    start = Barrier(8)

    def write(number: int) -> None:
        start.wait()
        entry = AuditEntry(NOW, f"server {number}", "enrol", "CN=x", "issued", "challenge 1")
        for _ in range(5):
            (world.store, other)[number % 2].transact(lambda repository: repository.add_audit(entry))

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(write, range(8)))

    with looking_into(url) as database:
        numbers = database.scalars(text("SELECT number FROM audit ORDER BY number")).all()
    assert numbers == list(range(1, 41))


def test_what_a_failed_work_wrote_into_the_audit_log_is_not_there(world: World, url: str) -> None:
    """It is undone with all else, and its neighbours' entries stay."""
    entry = AuditEntry(NOW, "server", "enrol", "CN=x", "issued", "challenge 1")

    def write(repository: SqlRepository) -> None:
        repository.add_audit(entry)

    def fail(repository: SqlRepository) -> None:
        repository.add_audit(replace(entry, target="CN=never"))
        raise ZeroDivisionError

    outcomes = together(world.store, [write, fail, write])

    assert isinstance(outcomes[1], ZeroDivisionError)
    with looking_into(url) as database:
        assert database.scalars(text("SELECT target FROM audit")).all() == ["CN=x", "CN=x"]


# Pairs of rivals for one challenge password each.
DEVICES = int(os.environ.get("SCEPBOX_CROSSING", "40"))


@pytest.fixture
def services(url: str, tmp_path: Path) -> Iterator[list[Service]]:
    """Two servers with folders of their own, one CA, one secret, and one database."""
    folders = [tmp_path / "one", tmp_path / "two"]
    environment = {"SCEPBOX_DATABASE__URL": url}
    done = run("init", "--data", folders[0], environment=environment)
    assert done.code == 0, done.err
    shutil.copytree(folders[0], folders[1])
    listen = ("--listen", "127.0.0.1:0", "--workers", 1)
    with (
        serving("--data", folders[0], *listen, log=tmp_path / "log1", environment=environment) as one,
        serving("--data", folders[1], *listen, log=tmp_path / "log2", environment=environment) as two,
    ):
        yield [one, two]


def test_devices_with_one_time_challenges_ask_both_servers_and_each_gets_one_certificate(
    services: list[Service], url: str, tmp_path: Path
) -> None:
    """Each request goes to both at once and again; each challenge is shared with a rival at the other."""
    ca = _ca(services[0])
    assert ca.der == _ca(services[1]).der
    secrets = _secrets(tmp_path / "one", url)
    device, keys = (
        Device(signing_time=None),
        [ec.generate_private_key(ec.SECP256R1()) for _ in range(2 * DEVICES)],
    )

    def message(number: int) -> bytes:
        name, secret = f"device-{number}", secrets[number % DEVICES]
        payload = csr(challenge(secret), key=keys[number], subject_der=subject(name))
        return device.message(ca, payload, transaction_id=name)

    messages = [message(number) for number in range(2 * DEVICES)]
    sends = [(number, service) for number in range(2 * DEVICES) for service in services for _ in range(2)]
    with ThreadPoolExecutor(16) as pool:
        replies = list(pool.map(lambda one: _send(one[1], messages[one[0]]), sends))

    got: dict[int, set[bytes]] = {number: set() for number in range(2 * DEVICES)}
    for (number, _), reply in zip(sends, replies, strict=True):
        expected = codec.Expectation(Transaction(f"device-{number}", NONCE), (ca,), spki_of(keys[number]))
        outcome = codec.decode_cert_rep(reply, expected, device.certificate(), device.key, Deviations())
        if isinstance(outcome, Success):
            got[number].add(outcome.certificate)
        else:
            assert isinstance(outcome, Failure)
    winners = [number for number, certificates in got.items() if certificates]
    assert len(winners) == DEVICES
    assert sorted(number % DEVICES for number in winners) == list(range(DEVICES))
    assert all(len(got[number]) == 1 for number in winners)
    listed = json.loads(_did(tmp_path / "two", url, "cert", "list", "--json"))
    assert len(listed) == DEVICES
    challenges = json.loads(_did(tmp_path / "one", url, "challenge", "list", "--json"))
    assert [one["uses_left"] for one in challenges] == [0] * DEVICES


def test_what_one_server_revokes_the_other_lists_within_a_second(
    services: list[Service], url: str, tmp_path: Path
) -> None:
    """Whichever of them answers behind one address."""
    device, ca = Device(signing_time=None), _ca(services[0])
    (secret, *_) = _secrets(tmp_path / "one", url, 1)
    outcome = device.read(_send(services[0], device.message(ca, device.csr(secret))), ca)
    serial = certificate_of(outcome).serial_number
    for service in services:
        assert _revoked(service) == []

    _did(tmp_path / "one", url, "cert", "revoke", f"{serial:x}")
    time.sleep(1)

    assert [_revoked(service) for service in services] == [[serial], [serial]]


def _secrets(folder: Path, url: str, count: int = DEVICES) -> list[str]:
    key, made = ChallengeKey(DataFolder(folder).load_secret()), [new_challenge() for _ in range(count)]

    def add(repository: SqlRepository) -> None:
        for secret in made:
            repository.add_challenge(NewChallenge(key.mac(secret), "default", 1, None, utc_now()))

    with closing(open_store(url)) as store:
        store.transact(add)
    return made


def _did(folder: Path, url: str, *words: str) -> str:
    done = run(*words, "--data", folder, environment={"SCEPBOX_DATABASE__URL": url})
    assert done.code == 0, done.err
    return done.out


def _ca(service: Service) -> Certificate:
    return codec.decode_ca_certificates(service.get("/scep?operation=GetCACert")[1])[0]


def _send(service: Service, message: bytes) -> bytes:
    with urlopen(Request(f"{service.url}?operation=PKIOperation", message), timeout=30) as answer:
        body: bytes = answer.read()
        return body


def _revoked(service: Service) -> list[int]:
    return [one.serial_number for one in x509.load_der_x509_crl(service.get("/crl")[1])]
