"""An exchange as the SCEP endpoint heard it, before anything is made of it. Nothing is left out yet."""

from dataclasses import dataclass

from ca.deviations import Deviations
from ca.journal import Exchange


@dataclass(frozen=True, slots=True)
class Heard:
    """One HTTP exchange. *ended_at* is in seconds since 1970, *seconds* how long it took.

    *request_head* ends with its empty line, *request_body* is without the marks of chunks; *reply* is head
    and body as they were sent, empty where nobody was answered, and *status* that of HTTP. *deviations* are
    those noticed before a message was read, *exchange* is what came of a PKIOperation that named its
    transaction.
    """

    ended_at: float
    seconds: float
    operation: str
    profile: str
    remote: str
    client: str
    request_head: bytes
    request_body: bytes
    status: int
    reply: bytes
    deviations: Deviations | None
    exchange: Exchange | None
