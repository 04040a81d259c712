"""What is written into the audit log: each decision once, with who, what, why and by which rule."""

from dataclasses import replace
from datetime import timedelta

import pytest

from app.decisions import decision, operator
from ca.errors import DecisionImpossible
from ca.ports import AuditEntry
from ca.scep.messages import Failure, MessageType, Pending
from ca.tally import RefusalTally
from ca.x509.certificate import Certificate
from tests.forging_csr import ask
from tests.waiting import by_hand, desk, poll
from tests.world import NOW, Device, World, certificate_of, rsa_key

pytestmark = pytest.mark.uses(1)


def _told(world: World) -> list[tuple[str, str, str, str, str]]:
    return [(one.actor, one.action, one.target, one.outcome, one.rule) for one in world.audited()]


FROM, ISSUED = "device 192.0.2.7", ("device 192.0.2.7", "enrol", "CN=ipad-17", "issued", "challenge 1")


def test_an_enrolment_is_told_with_the_challenge_that_granted_it(world: World, device: Device) -> None:
    """Who gave that password out is in the log too, under its number."""
    certificate = certificate_of(world.enrol(device))

    assert _told(world) == [ISSUED]
    (entry,) = world.audited()
    assert entry.at == NOW
    assert entry.detail == f"serial={certificate.serial_number:x} profile=default transaction_id=t1"


def test_an_answer_given_again_is_no_decision(world: World, device: Device) -> None:
    """A device whose reply was lost asks as often as it likes, and nothing is decided."""
    message = device.message(world.ca)
    for _ in range(3):
        certificate_of(device.read(world.respond(message), world.ca))

    assert _told(world) == [ISSUED]


def test_a_renewal_is_told_with_the_certificate_that_granted_it(world: World, device: Device) -> None:
    """So that the whole line of a device can be followed."""
    old = certificate_of(world.enrol(device))
    world.now += timedelta(days=340)
    _renew(world, old)

    assert _told(world)[1:] == [(FROM, "renew", "CN=ipad-17", "issued", f"renewal of {old.serial_number:x}")]


def _renew(world: World, old: Certificate) -> Certificate:
    device = Device("ipad-17", rsa_key(2), signer_key=rsa_key(1), signer=old)
    return certificate_of(ask(world, device, device.csr(None), MessageType.RENEWAL_REQ, "t2"))


def test_a_refusal_is_told_with_its_kind_and_its_reason(world: World, device: Device) -> None:
    """The name of the class is what an auditor counts."""
    assert isinstance(world.enrol(device, device.csr("wrong")), Failure)

    assert _told(world) == [(FROM, "enrol", "CN=ipad-17", "refused", "ChallengeRejected")]
    assert 'detail="unknown challenge password"' in world.audited()[0].detail
    assert "wrong" not in world.audited()[0].detail


def test_a_spent_challenge_is_told_as_a_breach(world: World, device: Device) -> None:
    """RFC 8894 7.3: with who used it before, and when."""
    certificate_of(world.enrol(device))
    stranger = Device("stranger", rsa_key(2))
    assert isinstance(world.enrol(stranger, transaction_id="t2"), Failure)

    assert _told(world)[1:] == [(FROM, "enrol", "CN=stranger", "breach", "ChallengeReused")]
    assert "by CN=ipad-17 on 2026-06-01 at 12:00 UTC: a possible breach" in world.audited()[1].detail


def test_what_cannot_be_read_is_told_without_a_subject(world: World, device: Device) -> None:
    """Nothing behind the envelope is known, and what came with it is a stranger's."""
    broken = device.message(world.ca, b"no CSR")
    device.read(world.respond(broken), world.ca)

    assert _told(world) == [(FROM, "enrol", "", "refused", "EnvelopeUnreadable")]


def test_polls_and_queries_are_no_decisions(world: World, device: Device) -> None:
    """Whoever asks for what is not there gets no place in a log that is kept for ever."""
    assert isinstance(poll(world, device), Failure)

    assert _told(world) == []


def test_approval_is_told_from_the_request_to_the_certificate(world: World, device: Device) -> None:
    """Held, approved by whom, and the poll that fetches it tells nothing new."""
    by_hand(world)
    assert world.enrol(device) == Pending()
    world.now += timedelta(hours=1)
    issued = replace(desk(world), actor="operator anna").approve(1).certificate
    certificate_of(poll(world, device))

    assert _told(world) == [
        (FROM, "enrol", "CN=ipad-17", "held", "challenge 1"),
        ("operator anna", "approve", "request 1", "issued", "operator"),
    ]
    assert world.audited()[1].detail == f"serial={issued.serial} subject=CN=ipad-17 profile=default"


def test_a_rejection_is_told_with_its_reason_and_once(world: World, device: Device) -> None:
    """The device hears it as often as it asks."""
    by_hand(world, challenge=False)
    world.enrol(device)
    desk(world).reject(1, "not one of ours")
    with pytest.raises(DecisionImpossible):
        desk(world).reject(1, "not one of ours")
    for _ in range(2):
        assert isinstance(poll(world, device), Failure)

    assert _told(world) == [
        (FROM, "enrol", "CN=ipad-17", "held", "approval by hand"),
        ("operator", "reject", "request 1", "refused", "operator"),
    ]
    assert world.audited()[1].detail == 'reason="not one of ours" subject=CN=ipad-17 profile=default'


def _refusal(second: float, outcome: str = "refused") -> AuditEntry:
    at = NOW + timedelta(seconds=second)
    return AuditEntry(at, FROM, "enrol", "CN=a", outcome, "ChallengeRejected")


def test_a_flood_of_refusals_is_counted(world: World, device: Device) -> None:
    """Anybody may cause them, and nothing is ever taken out of the log."""
    world.responder = replace(world.responder, tally=RefusalTally(2))
    for number in range(5):
        world.enrol(device, device.csr(f"wrong {number}"))
    certificate_of(world.enrol(device))
    world.now += timedelta(minutes=1)
    world.enrol(Device("other", rsa_key(2)))

    assert [(one.outcome, one.rule) for one in world.audited()] == [
        ("refused", "ChallengeRejected"),
        ("refused", "ChallengeRejected"),
        ("refused", "RefusalTally"),
        ("issued", "challenge 1"),
        ("breach", "ChallengeReused"),
    ]
    assert world.audited()[2].detail == "3 further refusals that the log of the server alone has"
    assert world.audited()[2].actor == "server"


def test_a_new_minute_has_room_again() -> None:
    """And begins with how many were left out of the last."""
    tally = RefusalTally(2)

    written = [len(tally.admit(_refusal(second))) for second in (0, 1, 2, 59, 60, 61, 62)]

    assert written == [1, 1, 0, 0, 2, 1, 0]
    (rest,) = tally.rest(NOW)
    assert rest.detail.startswith("1 further refusal that")
    assert tally.rest(NOW) == ()


def test_a_flood_of_guesses_hides_no_breach() -> None:
    """Each outcome has room of its own."""
    tally = RefusalTally(1)
    for second in range(5):
        tally.admit(_refusal(second))

    told = tally.admit(_refusal(5, "breach"))

    assert [one.rule for one in told] == ["RefusalTally", "ChallengeRejected"]
    assert tally.admit(_refusal(6, "breach")) == ()
    assert [one.outcome for one in tally.rest(NOW)] == ["breach"]


def test_what_is_issued_is_always_told() -> None:
    """However many there are in a minute."""
    tally = RefusalTally(1)

    assert all(len(tally.admit(_refusal(0, "issued"))) == 1 for _ in range(100))


def test_a_clock_that_was_set_back_leaves_room() -> None:
    """Or nothing would be told until it was there again."""
    tally = RefusalTally(1)
    tally.admit(_refusal(0))

    assert len(tally.admit(_refusal(-3600))) == 1


def test_the_operator_is_named_by_the_system(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without what would break a line, and not at great length."""
    monkeypatch.setenv("LOGNAME", "an\nna" + "x" * 100)

    assert operator() == "operator anna" + "x" * 60
    assert decision("revoke", "certificate 1f", "superseded").actor == operator()


def test_an_operator_without_a_name_is_told_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """A container runs under a number that the system has no name for."""

    def nobody() -> str:
        raise KeyError("getpwuid(): uid not found: 4711")

    monkeypatch.setattr("getpass.getuser", nobody)

    assert operator() == "operator"
