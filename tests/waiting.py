"""A CA whose certificates a person approves, and what device and person do there."""

from dataclasses import replace
from datetime import timedelta

from ca.approval import ApprovalDesk
from ca.asn1 import writer
from ca.deviations import Deviations
from ca.errors import FailInfo
from ca.policy.queue import Queue
from ca.ports import QueuedRequest
from ca.scep.messages import Failure, MessageType, Outcome
from ca.x509.certificate import Certificate
from ca.x509.name import Name
from tests.world import NONCE, Device, World

UNKNOWN = Failure(FailInfo.BAD_CERT_ID, "no transaction of this transactionID and key is known")


def by_hand(world: World, *, challenge: bool = True, queue: Queue | None = None) -> World:
    """Have a person decide on all that *world* would grant."""
    world.profile = replace(world.profile, manual_approval=True, challenge_required=challenge)
    if queue is not None:
        world.responder = replace(world.responder, queue=queue)
    return world


def desk(world: World) -> ApprovalDesk:
    """Where the person sits."""
    return ApprovalDesk(
        authority=world.responder.authority,
        store=world.store,
        clock=lambda: world.now,
        profiles={world.profile.name: world.profile},
        memory=timedelta(days=7),
    )


def names(world: World, device: Device) -> bytes:
    """The IssuerAndSubject of a CertPoll."""
    return names_of(world.ca, device)


def names_of(ca: Certificate, device: Device) -> bytes:
    """The same, for a CA that runs elsewhere."""
    return writer.sequence(ca.subject_der, Name.from_text(f"CN={device.common_name}").der)


def poll(
    world: World,
    device: Device,
    transaction_id: str = "t1",
    *,
    payload: bytes | None = None,
    nonce: bytes = NONCE,
    deviations: Deviations | None = None,
) -> Outcome:
    """Send a CertPoll and read the answer as the device would."""
    inside = names(world, device) if payload is None else payload
    message = device.message(
        world.ca, inside, transaction_id=transaction_id, message_type=MessageType.CERT_POLL, nonce=nonce
    )
    return device.read(world.respond(message, deviations), world.ca, transaction_id, nonce)


def requests(world: World, status: str = "all") -> list[QueuedRequest]:
    """What the person sees listed."""
    return world.store.transact(lambda repository: list(repository.list_requests(world.now, status)))


def assert_rejected(outcome: Outcome, text: str) -> None:
    """Assert a badRequest whose failInfoText has *text* in it."""
    assert isinstance(outcome, Failure), outcome
    assert outcome.fail_info is FailInfo.BAD_REQUEST
    assert text in outcome.text
