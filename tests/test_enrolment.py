"""A device enrols: what it gets, and what it gets when its reply was lost."""

from datetime import timedelta

import pytest

from ca.errors import FailInfo
from ca.scep.messages import Failure
from tests.world import NOW, Device, World, certificate_of, rsa_key


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
