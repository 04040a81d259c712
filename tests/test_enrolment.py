"""A device enrols: what it gets, and what it gets when its reply was lost."""

from dataclasses import replace
from datetime import timedelta

import pytest

from ca.errors import FailInfo
from ca.scep.messages import Failure
from tests.world import NOW, Device, World, certificate_of, rsa_key

pytestmark = pytest.mark.databases


@pytest.mark.proves("R-2.5-a", "R-3.3.2.1-a", "R-2.3-e", "L-18")
def test_a_device_gets_a_certificate_for_its_key(world: World, device: Device) -> None:
    """RFC 8894 3.3.2.1: the certificate in the reply holds the CSR's key and subject."""
    certificate = certificate_of(world.enrol(device))

    assert str(certificate.subject) == "CN=ipad-17"
    assert certificate.issuer_der == world.ca.subject_der
    assert certificate.not_valid_after == NOW + timedelta(days=365)


@pytest.mark.proves("N-080", "R-5.2-d", "S-07", "S-14")
def test_the_same_request_again_gets_the_same_certificate(world: World, device: Device) -> None:
    """RFC 8894 7.4: the CA cannot know that its reply arrived."""
    message = device.message(world.ca)

    first = device.read(world.respond(message), world.ca)
    second = device.read(world.respond(message), world.ca)

    assert first == second
    assert len(world.issued()) == 1


@pytest.mark.proves("R-5.2-d")
def test_another_csr_under_the_same_transaction_id_is_refused(world: World, device: Device) -> None:
    """The transactionID names one request of one key (RFC 8894 3.2.1.1)."""
    certificate_of(world.enrol(device))

    outcome = world.enrol(device, Device("ipad-18").csr())

    assert isinstance(outcome, Failure)
    assert outcome.fail_info is FailInfo.BAD_REQUEST


@pytest.mark.proves("N-079", "R-3.2.1.1-b")
def test_two_devices_may_use_one_transaction_id(world: World, device: Device) -> None:
    """A transactionID need not be random, so another key's is another transaction."""
    first = certificate_of(world.enrol(device))
    second = certificate_of(world.enrol(Device("ipad-18", rsa_key(2))))

    assert first.serial_number != second.serial_number


@pytest.mark.parametrize(
    ("renewal_days", "days_before_end", "same"),
    [(30, 31, True), (30, 29, False), (0, 1, True), (365, 1, True), (400, 1, True)],
)
def test_a_request_made_again_when_renewal_is_due_is_a_new_one(
    world: World, device: Device, renewal_days: int, days_before_end: int, same: bool
) -> None:
    """Clients that cannot renew ask again with their old request, and the old answer is of no more use.

    Where renewal may be had at any time, nothing tells the one from a lost reply.
    """
    world.profile = replace(world.profile, renewal_days=renewal_days)
    first = certificate_of(world.enrol(device))
    world.now = first.not_valid_after - timedelta(days=days_before_end)

    second = certificate_of(world.enrol(device))

    assert (second.der == first.der) is same


def test_the_same_csr_at_another_profile_is_another_request(world: World, device: Device) -> None:
    """What one profile grants says nothing about another."""
    message = device.message(world.ca)
    first = certificate_of(device.read(world.respond(message), world.ca))
    world.profile = replace(world.profile, name="vpn")
    world.add_challenge("vpn", profile="vpn")

    outcome = device.read(world.respond(message), world.ca)

    assert isinstance(outcome, Failure)
    assert outcome.text == "challenge password not accepted"
    assert [one.der for one in world.issued()] == [first.der]
