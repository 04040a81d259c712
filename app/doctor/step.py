"""One step of an examination: what it sends and why, and what is made of what came back."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum

from app.doctor.planned import Announcing, Planned
from app.doctor.seen import Found, Seen
from app.doctor.visit import Visit


class Needs(Enum):
    """What has to be there before a step can be taken."""

    NOTHING = "nothing"
    RECIPIENT = "a certificate of the server's to encrypt to"
    SAMPLE = "a message that the server answers with a CertRep"
    CHALLENGE = "a challenge password"
    CERTIFICATE = "a certificate that the server issued"

    @property
    def is_read_only(self) -> bool:
        """Whether the server has nothing to decide on, and nothing to keep."""
        return self not in (Needs.CHALLENGE, Needs.CERTIFICATE)


@dataclass(frozen=True, slots=True)
class Step:
    """*requests* are all that it may send, in their order; *why* is for a person.

    *send* asks the server; *judge* reads what was seen by then, and asks nobody.
    """

    name: str
    needs: Needs
    requests: tuple[Announcing, ...]
    why: str
    send: Callable[[Visit], None]
    judge: Callable[[Seen], Iterator[Found]]


def plain_step(
    name: str, requests: tuple[Planned, ...], why: str, judge: Callable[[Seen], Iterator[Found]]
) -> Step:
    """A step that sends its *requests* whatever is there, and whatever comes."""

    def send(visit: Visit) -> None:
        for planned in requests:
            visit.send(planned)

    return Step(name, Needs.NOTHING, requests, why, send, judge)
