"""Requests before they are sent: what ``--dry-run`` announces is what the run writes them from."""

import re
from dataclasses import dataclass
from typing import Protocol

from app.doctor.target import GET, POST, Target, Way

_NO_MESSAGE = re.compile(r"(operation=PKIOperation&message=)(%0A)?$")


@dataclass(frozen=True, slots=True)
class Announced:
    """A request as it is told to a person who may still say no.

    *request* is method and path with the query, *otherwise* those where the first is not offered, or empty.
    *holds* says what is in it beyond these, *when* in which case alone it is sent; both may be empty. *times*
    is how often it is sent at most.
    """

    request: str
    otherwise: str = ""
    holds: str = ""
    when: str = ""
    times: int = 1


class Announcing(Protocol):
    """What can say of a request what it will be."""

    def announce(self, target: Target) -> Announced:
        """The request to *target*."""


@dataclass(frozen=True, slots=True)
class Planned:
    """One request of a step, and how it is told.

    Its exchanges are kept under *name*. *way* is None where it goes by POST if that is offered and works,
    else by GET. *text* stands as the message in the query; where there is none, a PKIOperation carries a
    message that is written on the way. *holds*, *when* and *times* are as in :class:`Announced`.
    """

    name: str
    operation: str
    way: Way | None = GET
    text: str | None = None
    holds: str = ""
    when: str = ""
    times: int = 1

    def write(self, target: Target, message: bytes | None = None, *, posts: bool = True) -> bytes:
        """Its octets, with *message* in it; *posts* says whether POST is offered and works."""
        way = self.way or (POST if posts else GET)
        return target.write(self.operation, self.text if message is None else message, way)

    def announce(self, target: Target) -> Announced:
        """It as it will be written, without a message."""
        message = b"" if self.operation == "PKIOperation" and self.text is None else None
        first, other = (
            first_line(self.write(target, message, posts=posts), target) for posts in (True, False)
        )
        return Announced(first, other if other != first else "", self.holds, self.when, self.times)


def first_line(request: bytes, target: Target) -> str:
    """Method and path of *request* for people: the message in it, and what may be secret, left out."""
    line = target.conceal(request.partition(b" HTTP/")[0].decode("ascii"))
    return _NO_MESSAGE.sub(r"\1…", line)


def carrying(name: str, holds: str, when: str = "", *, way: Way | None = None, times: int = 1) -> Planned:
    """A PKIOperation with a message that is written on the way."""
    return Planned(name, "PKIOperation", way, holds=holds, when=when, times=times)
