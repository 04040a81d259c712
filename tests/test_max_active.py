"""How many certificates a subject may have in force: refused, made room for, or let pass."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from ca.errors import DecisionImpossible
from ca.issuing.reasons import Reason
from ca.issuing.root import make_ca_certificate
from ca.scep.messages import Failure, MessageType, Outcome, Pending
from ca.x509.certificate import Certificate
from ca.x509.name import Name
from tests.counting import FULL, in_force, most, new_key, on_crl, serials
from tests.forging_csr import install
from tests.policing import DUE, ask_for, assert_no, govern, names_of, profile_of, renew, request, withdraw
from tests.waiting import desk, poll
from tests.world import NOW, SECRET, Device, World, certificate_of, rsa_key


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """A CA in a file, with a challenge password without limit, and another for the profile ``lan``."""
    world = World(f"sqlite:///{tmp_path}/scepbox.db")
    world.add_challenge("lan", profile="lan", uses=None)
    yield world
    world.store.close()


def _enrol(world: World, transaction_id: str, subject: str = "CN=ipad-17", secret: str = SECRET) -> Outcome:
    """A device of a new key, a minute after the one before."""
    world.now += timedelta(minutes=1)
    return ask_for(world, subject, key=new_key(), transaction_id=transaction_id, secret=secret)


def test_nothing_is_counted_unless_a_profile_asks(world: World) -> None:
    """A device that lost its key enrols anew, and its old certificate ends by itself."""
    for number in range(4):
        certificate_of(_enrol(world, f"t{number}"))

    assert len(in_force(world)) == 4


def test_one_too_many_is_refused(world: World, caplog: pytest.LogCaptureFixture) -> None:
    """And the log has those that are there, so that somebody can revoke one."""
    govern(world, most(2))
    found = serials([_enrol(world, "t1"), _enrol(world, "t2")])

    with caplog.at_level("INFO", "ca.responder"):
        outcome = _enrol(world, "t3")

    assert_no(outcome, FULL + "2")
    assert ", ".join(found) in caplog.messages[-1]
    assert [one.serial for one in in_force(world)] == found


@pytest.mark.parametrize("when_full", ["refuse", "revoke-oldest"])
def test_a_line_of_renewals_is_no_way_to_many(world: World, when_full: str) -> None:
    """Where a certificate may be renewed at any time, one would be as many as a device likes."""
    govern(world, most(1, when_full, "renewal_days = 0\n"))
    old, key = certificate_of(ask_for(world)), 1
    for number in range(2, 6):
        world.now += timedelta(minutes=1)
        outcome = renew(world, old, key=number, signer_key=key, transaction_id=f"t{number}")
        if not isinstance(outcome, Failure):
            old, key = certificate_of(outcome), number

    assert len(in_force(world)) == 2
    assert (len(world.issued()) == 2) is (when_full == "refuse")


def test_a_refusal_spends_no_challenge(world: World) -> None:
    """The device comes again once there is room."""
    govern(world, most(1))
    world.add_challenge("once")
    certificate_of(_enrol(world, "t1"))

    assert_no(_enrol(world, "t2", secret="once"), FULL)

    assert world.uses_left() == [None, None, 1]


def test_the_oldest_is_revoked_to_make_room(world: World, caplog: pytest.LogCaptureFixture) -> None:
    """At once, for the CRL and the log to tell (RFC 5280 5.3.1: superseded)."""
    govern(world, most(2, "revoke-oldest"))
    found = serials([_enrol(world, f"t{number}") for number in range(3)])

    with caplog.at_level("INFO", "ca.responder"):
        found += serials([_enrol(world, "t4")])

    assert [one.serial for one in in_force(world)] == found[2:]
    assert on_crl(world) == {found[0]: "superseded", found[1]: "superseded"}
    assert f"revoked={found[1]} " in caplog.messages[-1]


def test_as_many_are_revoked_as_have_to_be(world: World) -> None:
    """The number was lowered since, and the next enrolment brings it about."""
    found = serials([_enrol(world, f"t{number}") for number in range(4)])
    govern(world, most(2, "revoke-oldest"))

    found += serials([_enrol(world, "t5")])

    assert [one.serial for one in in_force(world)] == found[3:]


def test_a_number_that_is_let_pass_is_none(world: World) -> None:
    """``allow`` switches the rule off and leaves its number to be read."""
    govern(world, most(1, "allow"))

    for number in range(3):
        certificate_of(_enrol(world, f"t{number}"))


@pytest.mark.parametrize("subject", ["CN=IPAD-17", "CN= iPad-17 "])
def test_a_subject_is_one_in_any_spelling(world: World, subject: str) -> None:
    """RFC 5280 7.1: or a capital letter would be a way round the number."""
    govern(world, most(1))
    certificate_of(_enrol(world, "t1"))

    assert_no(_enrol(world, "t2", subject), FULL)
    certificate_of(_enrol(world, "t3", "CN=ipad-18"))


def test_an_attribute_in_the_value_of_another_is_another_subject(world: World) -> None:
    """``CN=a`` beside ``O=b`` in one RDN is not the value ``b+2.5.4.3=a``: none uses up the other's room."""
    govern(world, most(1))
    certificate_of(_enrol(world, "t1", "CN=a+O=b"))

    certificate_of(_enrol(world, "t2", r"O=b\+2.5.4.3\=a"))


def test_a_subject_is_another_in_each_profile(world: World) -> None:
    """Wi-Fi and VPN each count their own."""
    toml = most(1) + "[profiles.lan]\n"
    govern(world, toml)
    certificate_of(_enrol(world, "t1"))
    world.profile = profile_of(toml, "lan")

    certificate_of(_enrol(world, "t2", secret="lan"))
    assert_no(_enrol(world, "t3", secret="lan"), FULL)


def test_the_subject_that_is_certified_counts(world: World) -> None:
    """Not the one that was asked for: a template makes one of many."""
    govern(world, most(1, more='subject = "CN={O}"\n'))
    certificate_of(_enrol(world, "t1", "CN=a,O=x"))

    assert_no(_enrol(world, "t2", "CN=b,O=x"), FULL)


def test_devices_without_a_subject_are_counted_by_their_names(world: World) -> None:
    """RFC 5280 4.1.2.6: else all of them were one, and the second would find no room."""
    govern(world, most(1))

    for number in (1, 2):
        outcome = ask_for(
            world, b"\x30\x00", f"dns:{number}.example", key=new_key(), transaction_id=f"t{number}"
        )
        assert names_of(outcome) == [f"dns:{number}.example"]
    assert_no(ask_for(world, b"\x30\x00", "dns:1.EXAMPLE", key=new_key(), transaction_id="t3"), FULL)


@pytest.mark.parametrize("ending", ["revoked", "expired"])
def test_what_is_over_makes_room(world: World, ending: str) -> None:
    """Only what is in force counts."""
    govern(world, most(1))
    first = certificate_of(_enrol(world, "t1"))
    if ending == "revoked":
        withdraw(world, first, Reason.keyCompromise)
    else:
        world.now = first.not_valid_after + timedelta(seconds=1)

    certificate_of(_enrol(world, "t2"))


def _renewed(world: World, old: Certificate, number: int, transaction_id: str) -> Outcome:
    world.now += timedelta(minutes=1)
    return renew(world, old, key=number, transaction_id=transaction_id)


@pytest.mark.parametrize("when_full", ["refuse", "revoke-oldest"])
def test_a_renewal_takes_the_place_of_what_it_renews(world: World, when_full: str) -> None:
    """The device has two for a time, because renewing is just that; nothing is revoked for it."""
    govern(world, most(1, when_full, "renewal_days = 0\n"))
    old = certificate_of(ask_for(world))
    new = certificate_of(_renewed(world, old, 2, "t2"))
    world.now = old.not_valid_after + timedelta(seconds=1)
    newest = certificate_of(
        renew(world, new, key=3, signer_key=2, transaction_id="t3", message_type=MessageType.PKCS_REQ)
    )

    assert [one.der for one in in_force(world)] == [new.der, newest.der]
    assert not any(one.revoked_at for one in world.issued())


def test_a_second_renewal_of_one_certificate_is_one_too_many(world: World) -> None:
    """Or one certificate would renew to any number of them."""
    govern(world, most(1, more="renewal_days = 0\n"))
    old = certificate_of(ask_for(world))
    certificate_of(_renewed(world, old, 2, "t2"))

    assert_no(_renewed(world, old, 3, "t3"), FULL + "1")


def test_a_second_renewal_supersedes_the_first(world: World) -> None:
    """The reply was lost and the device made a new key: the certificate that it never got goes."""
    govern(world, most(1, "revoke-oldest", "renewal_days = 0\n"))
    old = certificate_of(ask_for(world))
    lost = certificate_of(_renewed(world, old, 2, "t2"))

    new = certificate_of(_renewed(world, old, 3, "t3"))

    assert list(on_crl(world)) == [f"{lost.serial_number:x}"]
    assert [one.der for one in in_force(world)] == [old.der, new.der]


def test_an_enrolment_after_a_renewal_is_one_too_many(world: World) -> None:
    """The renewed one and its successor are one, and that is there."""
    govern(world, most(1, more="renewal_days = 0\n"))
    old = certificate_of(ask_for(world))
    certificate_of(_renewed(world, old, 2, "t2"))

    assert_no(_enrol(world, "t3"), FULL + "1")


def test_what_was_renewed_goes_with_its_successor(world: World) -> None:
    """Else revoking the newer would bring the older back, and there were two."""
    govern(world, most(1, "revoke-oldest", "renewal_days = 0\n"))
    first = certificate_of(ask_for(world))
    second = certificate_of(_renewed(world, first, 2, "t2"))
    world.now += timedelta(minutes=1)
    third = certificate_of(renew(world, second, key=3, signer_key=2, transaction_id="t3"))

    (serial,) = serials([_enrol(world, "t4")])

    assert [one.serial for one in in_force(world)] == [serial]
    assert set(on_crl(world)) == {f"{one.serial_number:x}" for one in (first, second, third)}


def test_what_was_renewed_stays_while_one_successor_does(world: World) -> None:
    """Two came in its place, and one of them goes."""
    govern(world, most(2, "revoke-oldest", "renewal_days = 0\n"))
    old = certificate_of(ask_for(world))
    first = certificate_of(_renewed(world, old, 2, "t2"))
    second = certificate_of(_renewed(world, old, 3, "t3"))

    (serial,) = serials([_enrol(world, "t4")])

    assert list(on_crl(world)) == [f"{first.serial_number:x}"]
    standing = [f"{one.serial_number:x}" for one in (old, second)]
    assert [one.serial for one in in_force(world)] == [*standing, serial]


def test_a_renewal_under_another_name_counts_there(world: World) -> None:
    """The new name may have one of its own already."""
    govern(world, most(1, more="renewal_same_names = false\n"))
    old = certificate_of(ask_for(world, "CN=a"))
    certificate_of(ask_for(world, "CN=b", key=new_key(), transaction_id="tb"))
    world.now = DUE

    assert_no(renew(world, old, "CN=b"), FULL)
    certificate_of(renew(world, old, "CN=c"))


@pytest.mark.parametrize("when_full", ["refuse", "revoke-oldest"])
def test_a_lost_reply_is_no_further_certificate(world: World, when_full: str) -> None:
    """RFC 8894 7.4: the same request is the same answer, however full it is."""
    govern(world, most(1, when_full))
    message = Device().message(world.ca, request())

    outcomes = [Device().read(world.respond(message), world.ca) for _ in range(3)]

    assert len({certificate_of(one).der for one in outcomes}) == 1
    assert len(in_force(world)) == 1


def test_a_lost_renewal_is_no_further_certificate(world: World) -> None:
    """The very request again, while old and new are both in force."""
    govern(world, most(1))
    old = certificate_of(ask_for(world))
    world.now = DUE
    device = Device(key=rsa_key(2), signer_key=rsa_key(1), signer=old)
    message = device.message(
        world.ca, request(secret=None, key=device.key), message_type=MessageType.RENEWAL_REQ
    )

    answers = {certificate_of(device.read(world.respond(message), world.ca)).der for _ in range(3)}

    assert len(answers) == 1
    assert len(in_force(world)) == 2


def test_a_full_subject_does_not_wait_for_a_person(world: World) -> None:
    """He could do nothing but reject it."""
    govern(world, most(1))
    certificate_of(_enrol(world, "t1"))
    govern(world, most(1, more='approval = "manual"\n'))

    assert_no(_enrol(world, "t2"), FULL)


def test_a_person_approves_no_more_than_there_may_be(world: World) -> None:
    """Both found room when they came; the second goes on waiting until somebody rejects it."""
    govern(world, most(1, more='approval = "manual"\n'))
    assert [_enrol(world, "t1"), _enrol(world, "t2")] == [Pending()] * 2

    desk(world).approve(1)

    with pytest.raises(DecisionImpossible, match=FULL):
        desk(world).approve(2)
    assert len(in_force(world)) == 1


def test_an_approval_makes_room(world: World) -> None:
    """The oldest goes when the person says yes, and not when the request comes."""
    govern(world, most(1, "revoke-oldest", 'approval = "manual"\n'))
    first, second = Device(), Device(key=rsa_key(2))
    for device, name in ((first, "t1"), (second, "t2")):
        assert world.enrol(device, device.csr(), name) == Pending()
    old = desk(world).approve(1).certificate
    assert old.serial in {one.serial for one in in_force(world)}
    world.now += timedelta(minutes=1)

    approval = desk(world).approve(2)

    new = approval.certificate
    assert approval.revoked == (old.serial,)
    assert f"revoked={old.serial}" in world.audited()[-1].detail
    assert on_crl(world) == {old.serial: "superseded"}
    assert certificate_of(poll(world, second, "t2")).der == new.der
    assert [one.serial for one in in_force(world)] == [new.serial]


def test_a_person_renews_what_is_full(world: World) -> None:
    """A renewal that waits takes the place of what it renews, as one that does not."""
    govern(world, most(1))
    old = certificate_of(ask_for(world))
    govern(world, most(1, more='approval = "manual"\n'))
    world.now = DUE
    assert renew(world, old) == Pending()

    assert desk(world).approve(2).certificate.renewed_from == f"{old.serial_number:x}"


@pytest.mark.parametrize("by_hand", [False, True])
def test_what_another_ca_issued_makes_no_room(world: World, by_hand: bool) -> None:
    """A CA that was replaced altogether can revoke nothing, so that the new one must not go beyond."""
    govern(world, most(1, "revoke-oldest", 'approval = "manual"\n' if by_hand else ""))
    if by_hand:
        assert _enrol(world, "t1") == Pending()
        desk(world).approve(1)
    else:
        certificate_of(_enrol(world, "t1"))
    (old,) = in_force(world)
    made = make_ca_certificate(Name.from_text("CN=Another CA"), rsa_key(7), 10, NOW)
    install(world, Certificate.load(made), rsa_key(7))

    outcome = _enrol(world, "t2")

    if by_hand:
        assert outcome == Pending()
        with pytest.raises(DecisionImpossible, match="as many certificates in force as it may have"):
            desk(world).approve(2)
    else:
        assert_no(outcome, "as many certificates in force as it may have")
    assert in_force(world) == [old]
