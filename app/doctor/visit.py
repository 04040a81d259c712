"""The road to a server: requests are sent one after the other, and everything is kept."""

import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from cryptography.hazmat.primitives.asymmetric import rsa

from app.client.client import Identity
from app.client.raw import Sent, converse, exchange
from app.doctor.answers import Answer
from app.doctor.asking import Applicant, Asking
from app.doctor.planned import Planned
from app.doctor.seen import Exchange, Question, Seen
from app.doctor.target import Target
from app.personas import Reach, Session
from ca.x509.name import Name

_MOST_LATE_IN_A_ROW, _MOST_LATE = 2, 5
# What the names of the steps begin with in which a persona comes by.
AS = "as "
# Behind whatever brought no answer: whether it is the server that is gone.
STILL_THERE = Planned("still there", "GetCACaps")


def make_key() -> rsa.RSAPrivateKey:
    """A new RSA key of 2048 bits."""
    return rsa.generate_private_key(65537, 2048)


@dataclass(slots=True)
class Visit:
    """One visit to *target*.

    *challenges* are used one after the other, and the last of them on and on. *subject* is what the
    certificates are asked for; where it is empty, each has a name of its own.

    *sample* is a message that the server was seen to answer. *identity* is what it issued, with its key,
    *enrolled* what that was asked with, and *applied* who asked so and the CSR. *by_get* says that a
    POST is offered and does not work.
    *sent* counts the requests, *late* those that were not answered in time, and *late_in_a_row* the last of
    them.
    """

    target: Target
    seen: Seen
    challenges: Sequence[str] = field(default=(), repr=False)
    subject: str = ""
    reach: Reach = field(default_factory=Reach)
    make_key: Callable[[], rsa.RSAPrivateKey] = make_key
    identity: Identity | None = None
    enrolled: Question | None = None
    applied: tuple[Applicant, bytes] | None = None
    sample: Question | None = None
    by_get: bool = False
    sent: int = 0
    late: int = 0
    late_in_a_row: int = 0
    _used: int = 0
    _mark: str = field(default_factory=lambda: secrets.token_hex(4))
    _asked: int = 0
    _keys: list[rsa.RSAPrivateKey] = field(default_factory=list)

    def send(self, planned: Planned, asked: Question | None = None) -> Exchange:
        """Send what was *planned*, with the message of *asked* in it, and keep what comes."""
        found = self._exchange(planned, asked.message if asked else None)
        if found.answer is None:
            self._look_after(planned.name)
        return self.seen.add(Exchange(planned.name, found, asked))

    def send_on_one_connection(self, requests: Sequence[Planned]) -> None:
        """Send them one after the other where the server keeps the connection, and keep what comes."""
        planned = [(one.operation, one.write(self.target)) for one in requests]
        reach = self.reach
        found = converse(self.target.url, planned, timeout=reach.timeout, trust=reach.trust)
        self._count(found)
        for one, sent in zip(requests, found, strict=False):
            self.seen.add(Exchange(one.name, sent))

    def _exchange(self, planned: Planned, message: bytes | None = None) -> Sent:
        posts = self.seen.offers_post and not self.by_get
        request, reach = planned.write(self.target, message, posts=posts), self.reach
        operation = planned.operation
        sent = exchange(self.target.url, request, operation, timeout=reach.timeout, trust=reach.trust)
        self._count((sent,))
        return sent

    def _count(self, exchanges: Sequence[Sent]) -> None:
        self.sent += len(exchanges)
        for one in exchanges:
            self.late += one.timed_out
            self.late_in_a_row = self.late_in_a_row + 1 if one.timed_out else 0

    @property
    def is_too_slow(self) -> bool:
        """Whether it was waited for so often that the rest would only be waited for as well."""
        return self.late_in_a_row >= _MOST_LATE_IN_A_ROW or self.late >= _MOST_LATE

    def operate(self, planned: Planned, asked: Question) -> Answer:
        """Send a message; the answer to it, taken apart."""
        return Answer(self.send(planned, asked), self.seen.now)

    @property
    def asking(self) -> Asking:
        """Who writes to the server.

        Raises:
            LookupError: It has no certificate that could be encrypted to.

        """
        if self.seen.roles is None:
            raise LookupError("the server gave no certificate to encrypt to")
        return Asking(self.seen.roles, self.seen.capabilities)

    def challenge(self) -> str:
        """The challenge password that is next."""
        found = self.challenges[min(self._used, len(self.challenges) - 1)] if self.challenges else ""
        self._used += 1
        return found

    def refuse(self, where: str) -> None:
        """Keep in mind where the challenge password was refused; if there is no other, none is sent again."""
        if self._used >= len(self.challenges):
            self.seen.refused_at = self.seen.refused_at or where

    def applicant(self, number: int = 0) -> Applicant:
        """A device with a name of its own and the key of that *number*: a few do, for they take time."""
        return Applicant(self._name(), self.key(number))

    def device(self) -> Applicant:
        """A device with a key of its own: clients make their transactionID of it."""
        return Applicant(self._name(), self.make_key())

    def _name(self) -> Name:
        self._asked += 1
        return Name.from_text(self.subject or f"CN=scepbox-doctor-{self._mark}-{self._asked}")

    def successor(self, name: Name) -> Applicant:
        """A device of that *name* with another key than the one that enrolled, as a renewal has it."""
        return Applicant(name, self.key(1))

    def key(self, number: int) -> rsa.RSAPrivateKey:
        """Key *number* of this visit."""
        while len(self._keys) <= number:
            self._keys.append(self.make_key())
        return self._keys[number]

    def meet(self, session: Session) -> None:
        """Keep what became of a persona."""
        self._count(session.exchanges)
        self.seen.sessions.setdefault(session.persona, []).append(session)
        if session.exchanges[-1].answer is None:
            self._look_after(f"{AS}{session.persona}")

    def _look_after(self, name: str) -> None:
        """See whether the server is there still, after what was sent as *name* brought no answer."""
        if self.seen.is_known and not self._exchange(STILL_THERE).answer:
            self.seen.killed_by = self.seen.killed_by or name

    @property
    def poller(self) -> Identity:
        """Who asks for what nobody knows."""
        return Applicant(Name.from_text("CN=scepbox doctor"), self.key(0)).identity
