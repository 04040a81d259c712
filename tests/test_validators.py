"""Validators: what they decide, what they are told, and that nothing is issued or spent without them."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import timedelta

import pytest

from ca.asn1 import writer
from ca.errors import FailInfo, ValidatorUnavailable
from ca.policy.queue import TIMED_OUT
from ca.ports import Allowed, Applicant, Deferred, Denied, Notification, Verdict
from ca.profiles import Grants, Profile, WhenFull
from ca.scep.messages import Failure, MessageType, Outcome, Pending
from ca.x509 import oids
from ca.x509.extensions import Extension
from tests.forging_csr import ask, csr, extension_request
from tests.waiting import desk
from tests.world import NOW, PEER, SECRET, Device, World, captured_log, certificate_of, rsa_key

CA_TRUE = Extension(oids.BASIC_CONSTRAINTS, True, writer.sequence(writer.TRUE))
UNAVAILABLE = "the request cannot be checked at the moment; try again later"


@dataclass
class Gatekeeper:
    """A validator that says what a test has it say, and counts whom it was asked about."""

    says: Callable[[Applicant], Verdict] = lambda _: Allowed()
    name: str = "gate"
    wants_notifications: bool = False
    asked: list[Applicant] = field(default_factory=list)

    def decide(self, applicant: Applicant) -> Verdict:
        self.asked.append(applicant)
        return self.says(applicant)


@pytest.fixture
def gate() -> Gatekeeper:
    return Gatekeeper()


@pytest.fixture
def world(gate: Gatekeeper) -> Iterator[World]:
    """A CA whose profile asks the gatekeeper and no challenge password; there is one, of one use."""
    world = World(uses=1)
    world.profile = Profile(challenge_required=False, validator="gate")
    world.responder = replace(world.responder, validators={"gate": gate})
    yield world
    world.store.close()


def _says(gate: Gatekeeper, verdict: Verdict) -> None:
    gate.says = lambda _: verdict


def _told(world: World) -> list[Notification]:
    claimed = world.store.transact(lambda repository: repository.claim_notifications(world.now, 99))
    return [one.notification for one in claimed]


def test_who_is_allowed_gets_a_certificate_without_a_challenge(
    world: World, gate: Gatekeeper, device: Device
) -> None:
    """The validator decides in the place of a challenge password, which is not looked at."""
    certificate_of(world.enrol(device, device.csr("whatever the device management says")))

    assert world.uses_left() == [1]
    (applicant,) = gate.asked
    assert applicant.challenge_password == "whatever the device management says"
    assert (applicant.subject, applicant.profile, applicant.key_type) == ("CN=ipad-17", "default", "rsa:2048")
    assert (applicant.message_type, applicant.remote, applicant.renewal_of) == ("PKCSReq", PEER.remote, "")
    assert applicant.signer == device.certificate().der


def test_who_is_denied_hears_the_reason(world: World, gate: Gatekeeper, device: Device) -> None:
    """And not what is for the log alone."""
    _says(gate, Denied("ipad-17 is not one of ours", "inventory 4711"))

    with captured_log("ca.responder") as lines:
        outcome = world.enrol(device)

    assert outcome == Failure(FailInfo.BAD_REQUEST, "ipad-17 is not one of ours")
    assert world.issued() == []
    assert "inventory 4711" in lines[-1]


def test_nothing_is_issued_without_a_verdict(world: World, gate: Gatekeeper, device: Device) -> None:
    """A validator that is down must not be a way in (fail closed)."""

    def fail(_: Applicant) -> Verdict:
        raise ValidatorUnavailable(detail="connection refused")

    gate.says = fail

    assert world.enrol(device) == Failure(FailInfo.BAD_REQUEST, UNAVAILABLE)
    assert world.issued() == []


def test_a_validator_that_is_not_there_lets_nobody_in(world: World, device: Device) -> None:
    """Default deny: a name in the settings that leads nowhere is no permission."""
    world.responder = replace(world.responder, validators={})

    assert world.enrol(device) == Failure(FailInfo.BAD_REQUEST, UNAVAILABLE)


def test_what_the_validator_leaves_to_a_person_waits(world: World, gate: Gatekeeper, device: Device) -> None:
    """And what it vouched for then is in the certificate that the person grants."""
    _says(gate, Deferred(Grants(subject="CN=ipad-17,O=Example")))

    assert world.enrol(device) == Pending()

    issued = desk(world).approve(1).certificate
    assert issued.subject == "CN=ipad-17,O=Example"
    assert certificate_of(world.enrol(device)).der == issued.der
    assert len(gate.asked) == 1


def test_the_validators_names_are_those_of_the_certificate(
    world: World, gate: Gatekeeper, device: Device
) -> None:
    """It overrides subject and alternative names (as the webhooks of step-ca do by their data)."""
    _says(gate, Allowed(Grants("CN=tablet-3,O=Example", ("dns:tablet-3.example",))))

    certificate = certificate_of(world.enrol(device))

    assert str(certificate.subject) == "CN=tablet-3,O=Example"
    assert [str(name) for name in certificate.subject_alt_names] == ["dns:tablet-3.example"]


def test_a_renewal_keeps_the_names_that_the_validator_gave(
    world: World, gate: Gatekeeper, device: Device
) -> None:
    """The device knows the name it asked for at first, and asks for that again."""
    _says(gate, Allowed(Grants("CN=tablet-3,O=Example", ("dns:tablet-3.example",))))
    old = certificate_of(world.enrol(device))
    world.now = NOW + timedelta(days=340)
    renewing = Device(key=rsa_key(1), signer=old)

    new = certificate_of(ask(world, renewing, renewing.csr(None), MessageType.RENEWAL_REQ, "t2"))

    assert str(new.subject) == "CN=tablet-3,O=Example"
    assert new.subject_alt_names == old.subject_alt_names
    assert len(gate.asked) == 1


def test_a_profile_may_have_renewals_asked_about_too(world: World, gate: Gatekeeper, device: Device) -> None:
    """A device that was written off must not renew for ever."""
    world.profile = replace(world.profile, validate_renewals=True)
    old = certificate_of(world.enrol(device))
    world.now = NOW + timedelta(days=340)
    _says(gate, Denied("written off"))
    renewing = Device(key=rsa_key(1), signer=old)

    outcome = ask(world, renewing, renewing.csr(None), MessageType.RENEWAL_REQ, "t2")

    assert outcome == Failure(FailInfo.BAD_REQUEST, "written off")
    assert gate.asked[-1].renewal_of == f"{old.serial_number:x}"


@pytest.mark.parametrize("challenge", [None, "open sesam"])
def test_a_validator_beside_a_challenge_is_not_asked_about_who_has_none(
    world: World, gate: Gatekeeper, device: Device, challenge: str | None
) -> None:
    """Strangers must not be able to have somebody else's service called."""
    world.profile = replace(world.profile, challenge_required=True)

    outcome = world.enrol(device, device.csr(challenge))

    assert outcome == Failure(FailInfo.BAD_REQUEST, "challenge password not accepted")
    assert gate.asked == []


@pytest.mark.parametrize(
    ("verdict", "left"),
    [(Allowed(), 0), (Denied("no"), 1), (Deferred(), 0), (None, 1)],
    ids=["allowed", "denied", "left to a person", "unavailable"],
)
def test_a_challenge_is_spent_only_where_something_comes_of_it(
    world: World, gate: Gatekeeper, device: Device, verdict: Verdict | None, left: int
) -> None:
    """Spending is undone while the validator is asked: who was denied by mistake tries again."""
    world.profile = replace(world.profile, challenge_required=True)

    def say(_: Applicant) -> Verdict:
        assert world.uses_left() == [1]
        if verdict is None:
            raise ValidatorUnavailable
        return verdict

    gate.says = say
    world.enrol(device)

    assert world.uses_left() == [left]


def test_the_same_request_is_not_asked_about_again(world: World, gate: Gatekeeper, device: Device) -> None:
    """A lost reply is answered from the store, also where the validator has changed its mind."""
    payload = device.csr()
    first = certificate_of(world.enrol(device, payload))
    _says(gate, Denied("no more"))

    assert certificate_of(world.enrol(device, payload)).der == first.der
    assert len(gate.asked) == 1


def test_one_that_was_issued_while_the_validator_thought_is_answered_once(
    world: World, gate: Gatekeeper, device: Device
) -> None:
    """The device asks again because it is slow; both requests get one certificate."""
    payload = device.csr()
    inner: list[Outcome] = []

    def say(_: Applicant) -> Verdict:
        _says(gate, Allowed())
        inner.append(world.enrol(device, payload))
        return Allowed()

    gate.says = say
    outer = certificate_of(world.enrol(device, payload))

    assert certificate_of(inner[0]).der == outer.der
    assert len(world.issued()) == 1


def test_whom_nobody_could_allow_that_is_not_asked_about(
    world: World, gate: Gatekeeper, device: Device
) -> None:
    """A CSR that wants to be a CA is refused here, whatever the validator would say."""
    payload = csr(extension_request(CA_TRUE))

    outcome = world.enrol(device, payload)

    assert outcome == Failure(FailInfo.BAD_REQUEST, "the CSR asks for a CA certificate")
    assert gate.asked == []


def test_a_validator_cannot_widen_the_profile(world: World, gate: Gatekeeper, device: Device) -> None:
    """Its word is bound by the same limits as the device's."""
    _says(gate, Allowed(Grants(subject="CN=\\00")))

    outcome = world.enrol(device)

    assert outcome == Failure(FailInfo.BAD_REQUEST, "a name holds characters that cannot be seen")
    assert world.issued() == []


def test_who_wants_to_hear_is_told_of_the_certificate(world: World, gate: Gatekeeper, device: Device) -> None:
    """In the very transaction that issues it, so that no crash loses it."""
    gate.wants_notifications = True
    payload = device.csr()

    certificate = certificate_of(world.enrol(device, payload))

    assert _told(world) == [
        Notification("gate", "issued", "default", "t1", payload, certificate.der, ""),
    ]


def test_who_allowed_in_vain_is_told_why(world: World, gate: Gatekeeper, device: Device) -> None:
    """Intune shows an administrator a certificate that never comes as pending for ever."""
    gate.wants_notifications = True
    world.profile = replace(world.profile, max_active=1, when_full=WhenFull.REFUSE)
    certificate_of(world.enrol(device))
    other = Device(key=rsa_key(2))
    payload = other.csr()

    outcome = world.enrol(other, payload, "t2")

    assert isinstance(outcome, Failure)
    assert _told(world)[-1] == Notification("gate", "failed", "default", "t2", payload, b"", outcome.text)


@pytest.mark.parametrize("approved", [True, False])
def test_who_left_it_to_a_person_is_told_how_that_decided(
    world: World, gate: Gatekeeper, device: Device, approved: bool
) -> None:
    """By whichever process the person decides in."""
    gate.wants_notifications = True
    _says(gate, Deferred())
    payload = device.csr()
    world.enrol(device, payload)
    decides = replace(desk(world), notified=frozenset({"gate"}))

    certificate = decides.approve(1).certificate.der if approved else b""
    if not approved:
        decides.reject(1, "not one of ours")

    kind, reason = ("issued", "") if approved else ("failed", "not one of ours")
    assert _told(world) == [Notification("gate", kind, "default", "t1", payload, certificate, reason)]


def test_another_validator_of_today_is_not_told_of_what_it_was_not_asked(
    world: World, gate: Gatekeeper, device: Device
) -> None:
    """Who was asked waits for the end, whatever the profile says when a person decides."""
    gate.wants_notifications = True
    _says(gate, Deferred())
    world.enrol(device)
    world.profile = replace(world.profile, validator="another")

    replace(desk(world), notified=frozenset({"gate", "another"})).approve(1)

    assert [one.validator for one in _told(world)] == ["gate"]


def test_of_a_renewal_that_nobody_was_asked_about_nobody_is_told(
    world: World, gate: Gatekeeper, device: Device
) -> None:
    """It would be about a transaction that the validator has never heard of."""
    gate.wants_notifications = True
    device.signer, device.signer_key = certificate_of(world.enrol(device)), device.key
    world.profile = replace(world.profile, manual_approval=True)
    world.now += timedelta(days=340)
    _told(world)
    assert ask(world, device, device.csr(), MessageType.RENEWAL_REQ, "t2") == Pending()

    replace(desk(world), notified=frozenset({"gate"})).approve(2)

    assert "t2" not in {one.transaction_id for one in _told(world)}


def test_who_left_it_to_a_person_hears_that_nobody_decided(
    world: World, gate: Gatekeeper, device: Device
) -> None:
    """Once, when the next request begins to wait."""
    gate.wants_notifications = True
    _says(gate, Deferred())
    payload, other = device.csr(), Device("other", rsa_key(2))
    world.enrol(device, payload)
    world.now += timedelta(days=8)

    world.enrol(other, transaction_id="t2")
    world.now += timedelta(minutes=1)
    world.enrol(Device("third", rsa_key(3)), transaction_id="t3")

    assert _told(world) == [Notification("gate", "failed", "default", "t1", payload, b"", TIMED_OUT)]


def test_the_validator_is_shown_a_challenge_of_any_length(
    world: World, gate: Gatekeeper, device: Device
) -> None:
    """Intune's are thousands of characters, signed and encrypted for its service alone."""
    certificate_of(world.enrol(device, device.csr("x" * 3000)))

    assert gate.asked[0].challenge_password == "x" * 3000


def test_no_secret_reaches_the_log(world: World, gate: Gatekeeper, device: Device) -> None:
    """The validator sees the challenge password; nobody else does."""
    _says(gate, Denied("no", "because"))

    with captured_log("ca.responder") as lines:
        world.enrol(device)

    assert SECRET not in "".join(lines)
