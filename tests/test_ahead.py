"""Certificates signed before their transaction: who waits for whom, and that nothing is decided by it."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import TypeVar

import pytest

from app.http.round_keys import round_key
from app.http.rounds import Rounds, let_others_catch_up, staying
from app.store import Sharing, open_store
from ca.deviations import Deviations
from ca.errors import ChallengeRejected, FailInfo, StoreUnavailable
from ca.issuing.authority import Authority
from ca.ports import Repository, Store
from ca.profiles import Lint, Profile, Source, SubjectRules
from ca.scep.messages import Failure, Pending, Success
from tests.databases import POSTGRESQL
from tests.watching import Noting, StoreBefore, Watched
from tests.world import NOW, PEER, SECRET, Device, World, certificate_of, rsa_key

T = TypeVar("T")
NOT_ACCEPTED = Failure(FailInfo.BAD_REQUEST, "challenge password not accepted")


class Meanwhile(StoreBefore):
    """A store at which something happens between a glance and the transaction that follows."""

    def __init__(self, store: Store, happens: Callable[[], object]) -> None:
        super().__init__(store)
        self._happens = happens
        self._has_happened = False

    def transact(self, work: Callable[[Repository], T]) -> T:
        if not self._has_happened:
            self._has_happened = True
            self._happens()
        return super().transact(work)


class Blind(StoreBefore):
    """A store that nobody can glance at."""

    def glance(self, work: Callable[[Repository], T]) -> T:
        raise StoreUnavailable("away")


@pytest.fixture
def signatures(world: World) -> list[bool]:
    """For each use of the CA's key for a certificate: whether a transaction was open."""
    store = Watched(world.store)
    authority = Authority(world.ca, Noting(world.key, store.note))
    world.responder = replace(world.responder, authority=authority, store=store)
    return store.used


@pytest.mark.databases
def test_who_enrols_keeps_nobody_waiting_for_a_signature(
    world: World, signatures: list[bool], database_kind: str
) -> None:
    """SQLite's writers wait for each other, and a signature takes longer than all that they write.

    PostgreSQL's do not, and a glance is a question to another machine there.
    """
    certificate_of(world.enrol(Device()))

    assert signatures == [database_kind == POSTGRESQL]


@pytest.mark.parametrize("secret", [None, "wrong", "of another profile", "expired", "used"])
def test_who_brings_no_good_password_gets_no_signature(
    world: World, signatures: list[bool], secret: str | None
) -> None:
    """A CA that signed for strangers would work for whoever wants it busy."""
    world.add_challenge("of another profile", profile="lab")
    world.add_challenge("expired", valid=timedelta(hours=-1))
    world.add_challenge("used", uses=0)
    device = Device()

    assert world.enrol(device, device.csr(secret)) == NOT_ACCEPTED

    assert signatures == []


def test_guesses_beyond_the_limit_are_worth_no_signature(world: World, signatures: list[bool]) -> None:
    """The right one among them would take longer to be refused, and so be known."""

    class Exhausted:
        def note_wrong(self, _: str) -> None:
            """Nothing more to count."""

        def is_exhausted(self, _: str) -> bool:
            return True

    world.responder = replace(world.responder, policy=replace(world.responder.policy, guesses=Exhausted()))

    assert world.enrol(Device()) == NOT_ACCEPTED
    assert signatures == []


@pytest.mark.parametrize(
    "profile",
    [Profile(manual_approval=True), Profile(challenge_required=False, manual_approval=True)],
    ids=["with a password", "without"],
)
def test_what_a_person_decides_is_not_signed_before(
    world: World, signatures: list[bool], profile: Profile
) -> None:
    """A certificate that nobody has granted is not to be there, not even in memory."""
    world.profile = profile

    assert isinstance(world.enrol(Device()), Pending)
    assert signatures == []


def test_what_is_linted_first_is_signed_once(world: World, signatures: list[bool]) -> None:
    """Whoever lints wants to have looked before anything is signed."""
    world.profile = replace(world.profile, lint=Lint.WARN)

    certificate_of(world.enrol(Device()))

    assert signatures == [True]


def test_a_renewal_is_signed_where_its_certificate_is_known(world: World, signatures: list[bool]) -> None:
    """What it may hold stands in the certificate that it renews, which the transaction finds."""
    device, world.profile = Device(), replace(world.profile, renewal_days=0)
    device.signer = certificate_of(world.enrol(device))
    signatures.clear()

    renewed = certificate_of(world.enrol(device, device.csr(None), transaction_id="t2"))

    assert renewed.spki == device.signer.spki
    assert signatures == [True]


def test_who_asks_again_gets_no_second_signature(world: World, signatures: list[bool]) -> None:
    """Clients that poll by sending their request again would have the key work for each poll."""
    device = Device()
    first = certificate_of(world.enrol(device))

    assert certificate_of(world.enrol(device)).der == first.der
    assert signatures == [False]


@pytest.mark.uses(1)
def test_a_password_spent_meanwhile_leaves_no_trace_of_what_was_signed(world: World) -> None:
    """One-time means once: the transaction decides, whatever was seen before it."""
    rival = Device("rival", rsa_key(2))
    world.responder = replace(world.responder, store=Meanwhile(world.store, lambda: spend(world, rival)))

    assert world.enrol(Device()) == NOT_ACCEPTED

    assert world.issued() == []
    assert world.uses_left() == [0]


def spend(world: World, rival: Device) -> None:
    mac = world.challenge_key.mac(SECRET)
    world.store.transact(lambda store: store.spend_challenge(mac, "default", f"CN={rival.common_name}", NOW))


def test_terms_that_changed_meanwhile_are_those_that_count(world: World, signatures: list[bool]) -> None:
    """An administrator makes the password anew, for another name: the certificate has that one."""
    world.profile = replace(world.profile, subject=SubjectRules(source=Source.CHALLENGE))
    world.add_challenge("bound", uses=None, subject="CN=before")

    def change() -> None:
        found = world.store.transact(lambda store: [one.id for one in store.list_challenges()])
        world.store.transact(lambda store: store.revoke_challenge(found[-1]))
        world.add_challenge("bound", uses=None, subject="CN=after")

    device = Device()
    store = world.responder.store
    world.responder = replace(world.responder, store=Meanwhile(store, change))

    issued = certificate_of(world.enrol(device, device.csr("bound")))

    assert str(issued.subject) == "CN=after"
    assert signatures == [False, True]


def test_who_cannot_glance_is_answered_by_the_transaction(world: World, signatures: list[bool]) -> None:
    """A look that fails is no reason to refuse anybody."""
    world.responder = replace(world.responder, store=Blind(world.responder.store))

    assert isinstance(world.enrol(Device()), Success)
    assert signatures == [True]


def test_a_glance_sees_what_is_committed_and_nothing_else(tmp_path_factory: pytest.TempPathFactory) -> None:
    """It has a connection of its own, and holds no transaction open between two looks."""
    folder = tmp_path_factory.mktemp("glance")
    store, other = (open_store(f"sqlite:///{folder.as_posix()}/scepbox.db") for _ in range(2))
    world = World(database=f"sqlite:///{folder.as_posix()}/scepbox.db")
    mac = world.challenge_key.mac("later")

    seen: list[bool] = []

    def look() -> None:
        try:
            store.glance(lambda repository: repository.find_challenge(mac, "default", NOW))
        except ChallengeRejected:
            seen.append(False)
        else:
            seen.append(True)

    def spend(repository: Repository) -> None:
        repository.spend_challenge(mac, "default", "CN=ipad-17", NOW)
        look()

    look()
    world.add_challenge("later")
    look()
    other.transact(spend)
    look()

    assert seen == [False, True, True, False]
    for one in (store, other, world.store):
        one.close()


def test_a_round_signs_together_and_nobody_steps_aside_with_the_store(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """The others would wait for the transaction in the same thread, for ever."""
    folder = tmp_path_factory.mktemp("round")
    url = f"sqlite:///{folder.as_posix()}/scepbox.db"
    world, store = World(database=url), Watched(open_store(url, Sharing(let_others_catch_up, staying)))
    key = round_key(Noting(world.key, store.note))
    world.responder = replace(world.responder, authority=Authority(world.ca, key), store=store)
    devices = [Device(f"ipad-{number}", rsa_key(2)) for number in range(4)]
    linted = replace(world.profile, lint=Lint.WARN)
    outcomes, rounds = [], Rounds()

    def enrol(device: Device, number: int, profile: Profile) -> None:
        message = device.message(world.ca, transaction_id=f"t{number}")
        reply = world.responder.respond(message, profile, PEER, Deviations())
        outcomes.append(device.read(reply, world.ca, f"t{number}"))

    for number, device in enumerate(devices):
        rounds.add(partial(enrol, device, number, linted if number == 3 else world.profile))
    rounds.run()

    assert [type(one) for one in outcomes] == [Success] * 4
    assert store.used == [False, False, False, True]
