"""The queue of requests that wait for a person: how many, how large, how long. Nothing is decided here."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from ca.errors import QueueFull, RequestRejected, TransactionInUse
from ca.ports import HeldContent, HeldRequest, Repository
from ca.scep.messages import EnrolmentRequest

# A CSR for a key of 8192 bits with a hundred names is smaller; what is larger is somebody's joke.
MAX_HELD_OCTETS = 32_768
# Who sends one CSR under ever new transactionIDs has each of them kept; nobody needs many.
MAX_TRANSACTIONS = 8
TIMED_OUT = "timed out: nobody approved the request; make a new one"


@dataclass(frozen=True, slots=True)
class Queue:
    """What may wait: *per_profile* requests of a profile, *per_peer* of them from one sender's addresses.

    A request waits for *patience*. That it was refused, or waited in vain, is told for *memory*
    after that to whoever asks again; then nothing is known of it.
    """

    per_profile: int = 1000
    per_peer: int = 100
    patience: timedelta = timedelta(days=7)
    memory: timedelta = timedelta(days=7)

    def admit(
        self, request: EnrolmentRequest, profile: str, remote: str, repository: Repository, now: datetime
    ) -> HeldContent:
        """Find a place for *request*, and return what to keep of it.

        A full queue refuses the newcomer: whoever floods it pushes nobody out.

        Raises:
            QueueFull: There is none.

        """
        octets = len(request.csr.der) + len(request.signer.der)
        if octets > MAX_HELD_OCTETS:
            raise QueueFull("the request is too large to be kept for approval", detail=f"{octets} octets")
        waiting, of_peer = repository.count_pending(profile, remote, now)
        if waiting >= self.per_profile or of_peer >= self.per_peer:
            which = f"{waiting} of profile {profile}, {of_peer} from this peer"
            raise QueueFull("too many requests wait for approval; try again later", detail=which)
        decide_by = now + self.patience
        return HeldContent(request.csr.der, request.signer.der, decide_by, decide_by + self.memory)


def is_waiting(held: HeldRequest, now: datetime) -> bool:
    """Whether *held* still waits for a person."""
    return not held.rejection and now < held.decide_by


def check_waiting(held: HeldRequest, now: datetime) -> None:
    """Check that *held* still waits for a person.

    Raises:
        RequestRejected: It was refused, or waited too long.

    """
    if not is_waiting(held, now):
        raise RequestRejected(held.rejection or TIMED_OUT, detail=f"request {held.root}")


def check_transactions(request: EnrolmentRequest, known: int) -> None:
    """Check that *request*, held under *known* transactions already, may be kept under one more.

    A stranger who signs a captured message anew uses these up, and so the key of the CSR itself,
    which he does not have, gets as many again.

    Raises:
        TransactionInUse: There are too many.

    """
    own = request.signer.spki == request.csr.spki
    if known >= (2 * MAX_TRANSACTIONS if own else MAX_TRANSACTIONS):
        raise TransactionInUse
