"""Challenge passwords: how often, how long, for whom, and that a refusal does not say why."""

import logging
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import TypeAlias

import pytest
from cryptography import x509

from ca.asn1 import tags, writer
from ca.errors import FailInfo
from ca.policy.challenges import new_challenge
from ca.scep.messages import Failure, Outcome
from ca.x509 import oids
from tests.conformance.marks import cases
from tests.forging_csr import ask, assert_refused, attribute, csr
from tests.world import NOW, SECRET, Device, World, certificate_of, rsa_key

pytestmark = [pytest.mark.databases, pytest.mark.uses(1)]

Arrange: TypeAlias = Callable[[World], bytes]
REFUSED = Failure(FailInfo.BAD_REQUEST, "challenge password not accepted")


def _enrol(world: World, number: int, secret: str = SECRET) -> Outcome:
    """Device *number* enrols under a name, a key and a transactionID of its own."""
    device = Device(f"ipad-{number}", rsa_key(number))
    return world.enrol(device, device.csr(secret), f"t{number}")


@pytest.mark.proves("N-057", "R-2.4-b")
def test_a_challenge_works_once(world: World) -> None:
    """RFC 8894 7.3: single use, so whoever learns a spent one has nothing (N-057)."""
    certificate_of(_enrol(world, 1))

    assert _enrol(world, 2) == REFUSED
    assert len(world.issued()) == 1
    assert world.uses_left() == [0]


def test_a_challenge_works_as_often_as_it_was_made_for(world: World) -> None:
    """A box of phones enrols with one password, and the next phone does not."""
    world.add_challenge("three", uses=3)

    outcomes = [_enrol(world, number, "three") for number in (1, 2, 3, 4)]

    assert [isinstance(outcome, Failure) for outcome in outcomes] == [False, False, False, True]
    assert world.uses_left() == [1, 0]


def test_a_challenge_without_limit_goes_on(world: World) -> None:
    """A static secret is an administrator's explicit choice (RFC 8894 2.4)."""
    world.add_challenge("static", uses=None)

    for number in (1, 2, 3):
        certificate_of(_enrol(world, number, "static"))

    assert world.uses_left() == [1, None]


@pytest.mark.proves("N-058", "S-01")
def test_a_challenge_works_until_its_last_second(world: World) -> None:
    """A limited lifetime bounds what a leaked password is worth (RFC 8894 7.3, N-058)."""
    world.add_challenge("one hour", uses=None, valid=timedelta(hours=1))
    world.now = NOW + timedelta(seconds=3599)
    certificate_of(_enrol(world, 1, "one hour"))

    world.now = NOW + timedelta(hours=1)

    assert _enrol(world, 2, "one hour") == REFUSED


def _spent(world: World) -> bytes:
    certificate_of(_enrol(world, 5))
    return Device().csr()


def _expired(world: World) -> bytes:
    world.add_challenge("late", valid=timedelta(hours=1))
    world.now += timedelta(hours=2)
    return Device().csr("late")


def _of_another_profile(world: World) -> bytes:
    world.add_challenge("phones only", profile="phones")
    return Device().csr("phones only")


def _bound_to_another_subject(world: World) -> bytes:
    world.add_challenge("bound", subject="CN=ipad-18")
    return Device().csr("bound")


def _bound_to_a_longer_subject(world: World) -> bytes:
    world.add_challenge("bound", subject="CN=ipad-17,O=Example")
    return Device().csr("bound")


def _bound_to_other_names(world: World) -> bytes:
    world.add_challenge("bound", names=("dns:a.example",))
    return Device().csr("bound", x509.SubjectAlternativeName([x509.DNSName("b.example")]))


def _bound_to_a_subject_alone(world: World) -> bytes:
    world.add_challenge("bound", subject="CN=ipad-17")
    return Device().csr("bound", x509.SubjectAlternativeName([x509.DNSName("b.example")]))


def _in_a_profile_of_renewals(world: World) -> bytes:
    world.profile = replace(world.profile, challenge_required=False)
    return Device().csr()


NOT_ACCEPTED: dict[str, Arrange] = {
    "N-055 none": lambda _: Device().csr(None),
    "N-055 empty": lambda _: Device().csr(""),
    "N-056 wrong": lambda _: Device().csr("wrong"),
    "N-056 another case": lambda _: Device().csr(SECRET.upper()),
    "N-056 a space more": lambda _: Device().csr(SECRET + " "),
    "N-056 a space before": lambda _: Device().csr(" " + SECRET),
    "N-056 a prefix": lambda _: Device().csr(SECRET[:-1]),
    "N-056 look-alikes": lambda _: Device().csr(SECRET.replace("o", "ο")),
    "N-057 spent": _spent,
    "N-058 expired": _expired,
    "of another profile": _of_another_profile,
    "N-068 bound to another subject": _bound_to_another_subject,
    "N-068 bound to a longer subject": _bound_to_a_longer_subject,
    "N-068 bound to other names": _bound_to_other_names,
    "N-068 bound to no alternative names": _bound_to_a_subject_alone,
    "in a profile of renewals": _in_a_profile_of_renewals,
}


@pytest.mark.proves("S-02", "R-2.1.2-b", "R-2.4-i", "R-2.4-c")
@pytest.mark.parametrize("arrange", cases(NOT_ACCEPTED))
def test_every_refusal_reads_the_same(world: World, device: Device, arrange: Arrange) -> None:
    """Whoever guesses must not learn whether a password exists, existed or is another's (S-02)."""
    payload = arrange(world)
    issued, uses_left = world.issued(), world.uses_left()

    assert world.enrol(device, payload) == REFUSED
    assert world.issued() == issued
    assert world.uses_left() == uses_left


@pytest.mark.proves("N-057", "S-02")
def test_a_used_challenge_tells_the_log_of_a_breach(world: World, caplog: pytest.LogCaptureFixture) -> None:
    """RFC 8894 7.3: its second use means that somebody has it who should not (N-057)."""
    certificate_of(_enrol(world, 1))

    with caplog.at_level(logging.INFO, "ca.responder"):
        _enrol(world, 2)

    assert "breach" in caplog.messages[-1]


@pytest.mark.parametrize("payload_name", ["ipad-17", "IPAD-17", " ipad-17 "])
def test_a_bound_challenge_certifies_its_subject(world: World, payload_name: str) -> None:
    """RFC 5280 7.1: case and outer space do not make another name."""
    world.add_challenge("bound", subject="CN=ipad-17")
    device = Device(payload_name)

    certificate_of(world.enrol(device, device.csr("bound")))

    assert world.uses_left() == [1, 0]


@pytest.mark.proves("N-068")
@pytest.mark.parametrize("names", [["a.example", "b.example"], ["b.example"]])
def test_a_bound_challenge_certifies_its_alternative_names(
    world: World, device: Device, names: list[str]
) -> None:
    """All of the names that it was made for, or fewer, and none beside (N-068)."""
    world.add_challenge("bound", subject="CN=ipad-17", names=("dns:a.example", "dns:b.example"))
    wish = x509.SubjectAlternativeName([x509.DNSName(one) for one in names])

    certificate = certificate_of(world.enrol(device, device.csr("bound", wish)))

    assert [str(one) for one in certificate.subject_alt_names] == [f"dns:{one}" for one in names]


def test_a_refusal_for_another_reason_spends_nothing(world: World, device: Device) -> None:
    """A device whose wish was refused comes again with the same password."""
    wish = x509.BasicConstraints(ca=True, path_length=None)

    assert_refused(world, world.enrol(device, device.csr(SECRET, wish)))
    certificate_of(world.enrol(device))


ENCODINGS = {
    "PrintableString": (tags.PRINTABLE_STRING, "open sesame", b"open sesame"),
    "UTF8String": (tags.UTF8_STRING, "öffne dich", "öffne dich".encode()),
    "T61String": (tags.T61_STRING, "öffne dich", "öffne dich".encode("latin-1")),
    "BMPString": (tags.BMP_STRING, "öffne dich", "öffne dich".encode("utf-16-be")),
    "IA5String": (tags.IA5_STRING, "a_b@c", b"a_b@c"),
    "UniversalString": (tags.UNIVERSAL_STRING, "öffne", "öffne".encode("utf-32-be")),
    "300 characters": (tags.UTF8_STRING, "x" * 300, b"x" * 300),
}


@pytest.mark.proves("R-2.4-a", "P-04")
@pytest.mark.parametrize(("tag", "secret", "octets"), ENCODINGS.values(), ids=ENCODINGS.keys())
def test_a_challenge_is_read_from_any_string_type(
    world: World, device: Device, tag: int, secret: str, octets: bytes
) -> None:
    """RFC 2985 5.4.1: a DirectoryString; Intune's are longer than its 255 characters (P-04)."""
    world.add_challenge(secret)
    value = attribute(oids.CHALLENGE_PASSWORD, writer.encode(tag, octets))

    certificate_of(ask(world, device, csr(value)))


@pytest.mark.proves("N-080", "R-5.2-d", "S-14")
def test_a_repeated_request_spends_nothing(world: World, device: Device) -> None:
    """RFC 8894 7.4: the reply may be lost, and the device has but this one password (N-080)."""
    message = device.message(world.ca)

    certificates = {certificate_of(device.read(world.respond(message), world.ca)).der for _ in range(3)}

    assert len(certificates) == 1
    assert world.uses_left() == [0]


@pytest.mark.proves("R-5.2-a", "N-080")
def test_a_repeated_csr_needs_no_new_challenge_under_another_transaction_id(
    world: World, device: Device
) -> None:
    """RFC 8894 5.2: a client recovers by a new PKCSReq, and some make up a new transactionID for it."""
    payload = device.csr()

    first = certificate_of(world.enrol(device, payload, "t1"))
    second = certificate_of(world.enrol(device, payload, "t2"))

    assert first.der == second.der
    assert world.uses_left() == [0]


@pytest.mark.databases("sqlite")
@pytest.mark.proves("S-01", "P-04")
def test_a_challenge_is_kept_nowhere(
    tmp_path: Path, device: Device, caplog: pytest.LogCaptureFixture
) -> None:
    """RFC 8894 7.3: neither the database nor the log can be read for secrets."""
    world = World(f"sqlite:///{tmp_path}/scepbox.db")

    with caplog.at_level(logging.DEBUG):
        certificate_of(world.enrol(device))
        world.enrol(device, device.csr("almost open sesame"))
    world.store.close()

    database = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    for kept in (database, caplog.text.encode()):
        assert b"ipad-17" in kept
        assert SECRET.encode() not in kept


@pytest.mark.proves("S-01")
def test_a_new_challenge_cannot_be_guessed() -> None:
    """RFC 8894 7.3: 128 bits or more, in characters that every device's keyboard has (S-01)."""
    made = {new_challenge() for _ in range(100)}

    assert len(made) == 100
    assert all(len(one) >= 22 and one.isascii() and one.isprintable() for one in made)


def test_the_number_of_one_that_was_revoked_is_nobody_elses(world: World) -> None:
    """The audit log, and the requests that spent it, name it by that for ever."""
    world.add_challenge("second")
    numbers = [one.id for one in world.store.transact(lambda repository: repository.list_challenges())]
    world.store.transact(lambda repository: repository.revoke_challenge(max(numbers)))

    world.add_challenge("third")

    now = [one.id for one in world.store.transact(lambda repository: repository.list_challenges())]
    assert len(now) == len(numbers)
    assert max(now) > max(numbers)
