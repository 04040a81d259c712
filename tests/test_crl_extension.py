"""A CRL that a revocation adds to: what it takes over, what it takes in, and when all is read anew."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from cryptography import x509

from app.store import SqlRepository, revocations
from ca.issuing.authority import Authority
from ca.issuing.crl import OVERLAP, extend_crl, issuer_id
from ca.issuing.reasons import Reason
from ca.ports import StoredCrl
from ca.x509.extensions import KeyUsageBit
from tests.forging_csr import install
from tests.test_revocation import do_revoke, issue, kept, parsed, publish, serials
from tests.test_unit_ca_material import ca_certificate
from tests.world import NOW, World, captured_log, rsa_key

pytestmark = pytest.mark.databases


def extend(world: World) -> StoredCrl:
    authority = world.responder.authority
    return world.store.transact(lambda repository: extend_crl(authority, repository, world.now))


def mark(world: World, serial: str, at: datetime) -> None:
    """Revoke as a server does that has not come to the CRL yet."""
    key = world.responder.authority.issuer_key
    world.store.transact(lambda repository: repository.revoke_certificate(serial, at, "superseded", key))


def put(world: World, crl: StoredCrl) -> None:
    world.store.transact(lambda repository: repository.put_crl(crl))


def listed(crl: StoredCrl) -> list[str]:
    """The serial numbers in their order, each as often as it is there."""
    return [f"{one.serial_number:x}" for one in parsed(crl)]


def test_a_revocation_adds_to_what_was_listed(world: World) -> None:
    """RFC 5280 5.1: signed, of a later number, and each entry as it stood."""
    first, second = issue(world, "a").serial, issue(world, "b").serial
    do_revoke(world, first, Reason.keyCompromise)
    before = kept(world)
    world.now += timedelta(hours=1)

    do_revoke(world, second)

    after = kept(world)
    assert listed(after) == [first, second]
    assert after.number > before.number
    assert parsed(after).is_signature_valid(world.key.public_key())
    assert (after.this_update, after.rebuilt_at) == (world.now, before.rebuilt_at)
    assert parsed(after)[0].revocation_date_utc == NOW
    (reason,) = parsed(after)[0].extensions
    assert reason.value == x509.CRLReason(x509.ReasonFlags.key_compromise)


def test_only_what_is_new_is_read(world: World) -> None:
    """Of a million certificates many are revoked: those of before the overlap are not asked for."""
    old, recent, own = (issue(world, name).serial for name in "abc")
    publish(world)
    mark(world, old, NOW - OVERLAP - timedelta(seconds=1))
    mark(world, recent, NOW - OVERLAP)

    do_revoke(world, own)

    assert serials(kept(world)) == {recent, own}
    assert serials(publish(world)) == {old, recent, own}


def test_who_was_late_is_taken_in_and_nobody_twice(world: World) -> None:
    """A transaction on another server began before this one and ended after it."""
    late, first, second = (issue(world, name).serial for name in "abc")
    world.now += timedelta(minutes=1)
    do_revoke(world, first)
    mark(world, late, NOW)

    extend(world)
    do_revoke(world, second)

    assert listed(kept(world)) == [first, late, second]


def test_what_is_taken_back_leaves_and_may_come_again(world: World) -> None:
    """RFC 5280 5.3.1: an entry that leaves, or changes, cannot be left where it stood."""
    held, other = issue(world, "a").serial, issue(world, "b").serial
    do_revoke(world, held, Reason.certificateHold)
    do_revoke(world, other)
    do_revoke(world, held, Reason.removeFromCRL)
    released = serials(kept(world))
    do_revoke(world, held, Reason.certificateHold)
    do_revoke(world, held, Reason.keyCompromise)

    assert released == {other}
    assert sorted(listed(kept(world))) == sorted((held, other))
    reasons = [one.extensions[0].value for one in parsed(kept(world)) if len(one.extensions)]
    assert reasons == [x509.CRLReason(x509.ReasonFlags.key_compromise)]


def test_expired_ones_leave_though_there_is_a_revocation_each_day(world: World) -> None:
    """RFC 5280 3.3: a list that is only ever added to would grow for ever."""
    first = issue(world, "a")
    do_revoke(world, first.serial)
    fresh = issue(world, "b").serial
    world.now = first.not_after - timedelta(days=1)
    publish(world)

    for day in range(8):
        world.now += timedelta(days=1)
        do_revoke(world, issue(world, f"daily {day}").serial)

    assert first.serial not in serials(kept(world))
    assert len(serials(kept(world))) == 8
    assert fresh not in serials(kept(world))


def test_a_crl_of_before_the_upgrade_is_read_anew(world: World) -> None:
    """It is not known when all that is on it was last looked at."""
    one, two = issue(world, "a").serial, issue(world, "b").serial
    do_revoke(world, one)
    put(world, replace(kept(world), rebuilt_at=datetime.fromtimestamp(0, NOW.tzinfo)))

    do_revoke(world, two)

    assert kept(world).rebuilt_at == NOW
    assert serials(kept(world)) == {one, two}


def _flipped(_: World, crl: StoredCrl) -> bytes:
    return crl.der[:150] + bytes((crl.der[150] ^ 1,)) + crl.der[151:]


def _earlier(world: World, crl: StoredCrl) -> bytes:
    """One that the CA signed as well, of which a revocation is missing."""
    put(world, replace(crl, der=b""))
    world.now -= timedelta(hours=1)
    earlier = publish(world).der
    world.now += timedelta(hours=1)
    return earlier


def _of_another(*_: object) -> bytes:
    other = World()
    install(other, ca_certificate(rsa_key(2), "Test CA", subject="Test CA"), rsa_key(2))
    der = publish(other).der
    other.store.close()
    return der


DAMAGE: dict[str, Callable[[World, StoredCrl], bytes]] = {
    "an octet": _flipped,
    "its end": lambda _, crl: crl.der[:-40],
    "all of it": lambda *_: b"no CRL",
    "another CA's": _of_another,
    "an algorithm": lambda _, crl: crl.der.replace(bytes.fromhex("01010b0500"), bytes.fromhex("01010c0500")),
    "an earlier one": _earlier,
    "a certificate": lambda world, _: issue(world, "c").der,
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_what_the_ca_did_not_sign_then_is_not_signed_now(world: World, damage: str) -> None:
    """Who can write to the database would have the CA sign anything; all is read again, and it is told."""
    one, two = issue(world, "a").serial, issue(world, "b").serial
    do_revoke(world, one)
    crl = kept(world)
    put(world, replace(crl, der=DAMAGE[damage](world, crl)))

    with captured_log("ca.issuing.crl") as lines:
        do_revoke(world, two)

    assert serials(kept(world)) == {one, two}
    (line,) = lines
    assert "damaged, and is made anew" in line


def test_each_ca_adds_to_its_own(world: World) -> None:
    """Two CAs in one store, as after a rollover."""
    old = issue(world, "a").serial
    do_revoke(world, old)
    former = world.responder.authority
    install(world, ca_certificate(rsa_key(2), "Next CA", subject="Next CA"), rsa_key(2))
    one, two = issue(world, "b").serial, issue(world, "c").serial

    do_revoke(world, one)
    do_revoke(world, two)

    def of_the_former(repository: SqlRepository) -> StoredCrl:
        return extend_crl(former, repository, world.now)

    assert listed(kept(world)) == [one, two]
    assert listed(world.store.transact(of_the_former)) == [old]


def test_a_ca_that_may_not_sign_crls_counts_on(world: World) -> None:
    """Processes know by the number that something was revoked."""
    usage = {KeyUsageBit.keyCertSign, KeyUsageBit.digitalSignature}
    install(world, ca_certificate(rsa_key(0), usage=usage), rsa_key(0))
    first = extend(world)

    second = extend(world)

    assert (first.der, second.der) == (b"", b"")
    assert second.number > first.number


def test_a_ca_that_may_now_lists_all(world: World) -> None:
    """Its certificate was renewed with cRLSign: there was no list to add to."""
    usage = {KeyUsageBit.keyCertSign, KeyUsageBit.digitalSignature}
    install(world, ca_certificate(rsa_key(0), usage=usage), rsa_key(0))
    one, two = issue(world, "a").serial, issue(world, "b").serial
    do_revoke(world, one)
    install(world, ca_certificate(rsa_key(0)), rsa_key(0))

    do_revoke(world, two)

    assert serials(kept(world)) == {one, two}


def test_the_whole_list_is_read_by_pages(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many there are, few are in memory; none is missing or twice where a page ends."""
    monkeypatch.setattr(revocations, "ROWS_AT_ONCE", 2)
    some = [issue(world, name).serial for name in "abcde"]
    for number, serial in enumerate(some):
        mark(world, serial, NOW + timedelta(seconds=number // 3))

    whole = listed(publish(world))

    assert sorted(whole) == sorted(some)
    assert set(whole[:3]) == set(some[:3])


def test_the_number_is_known_without_the_list(world: World) -> None:
    """OCSP asks for it at every question, and the list may have megabytes."""
    issuer = issuer_id(Authority(world.ca, world.key).certificate)

    before = world.store.read(lambda repository: repository.find_crl_number(issuer))
    made = publish(world)

    assert before == 0
    assert world.store.read(lambda repository: repository.find_crl_number(issuer)) == made.number
