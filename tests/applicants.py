"""Requests as validators are told of them, with a real CSR."""

from dataclasses import replace
from typing import Any

from ca.ports import Applicant, Notification
from tests.world import NOW, Device, World, certificate_of

PASSWORD = "hunter2-of-the-device"


def applicant(password: str | None = PASSWORD, **changes: Any) -> Applicant:
    """A request of CN=ipad-17 with *password*."""
    device = Device()
    signer = device.certificate()
    made = Applicant(
        profile="phones",
        transaction_id="0123ABCD",
        message_type="PKCSReq",
        csr=device.csr(password),
        signer=signer.der,
        signer_chain=(signer.der,),
        challenge_password=password,
        subject="CN=ipad-17",
        subject_alt_names=("dns:ipad-17.example.org", "upn:ada@example.org"),
        key_type="rsa:2048",
        renewal_of="",
        remote="192.0.2.7",
        client="test-client/1.0",
        received_at=NOW,
    )
    return replace(made, **changes)


def issued(validator: str, transaction_id: str = "0123ABCD") -> Notification:
    """What is told after a certificate was issued: a real one."""
    world, device = World(), Device()
    certificate = certificate_of(world.enrol(device))
    world.store.close()
    return Notification(validator, "issued", "phones", transaction_id, device.csr(PASSWORD), certificate.der)


def failed(validator: str, reason: str = "too many certificates") -> Notification:
    """What is told after it was not."""
    return Notification(validator, "failed", "phones", "0123ABCD", Device().csr(PASSWORD), b"", reason)
