"""The road to a server: requests are sent one after the other, and everything is kept."""

import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from cryptography.hazmat.primitives.asymmetric import rsa

from app.client.client import Identity
from app.client.raw import Sent, exchange
from app.doctor.answers import Answer
from app.doctor.asking import Applicant, Asking
from app.doctor.seen import Asked, Exchange, Seen
from app.doctor.target import Spelling, Target
from app.personas import Reach, Session
from ca.x509.name import Name


def make_key() -> rsa.RSAPrivateKey:
    """A new RSA key of 2048 bits."""
    return rsa.generate_private_key(65537, 2048)


@dataclass(slots=True)
class Visit:
    """One visit to *target*.

    *challenges* are used one after the other, and the last of them on and on. *subject* is what the
    certificates are asked for; where it is empty, each has a name of its own.

    *sample* is a message that the server was seen to answer. *identity* is what it issued, with its key,
    and *enrolled* what that was asked with. *by_get* says that a POST is offered and does not work.
    *sent* counts the requests.
    """

    target: Target
    seen: Seen
    challenges: Sequence[str] = field(default=(), repr=False)
    subject: str = ""
    reach: Reach = field(default_factory=Reach)
    make_key: Callable[[], rsa.RSAPrivateKey] = make_key
    identity: Identity | None = None
    enrolled: Asked | None = None
    sample: Asked | None = None
    by_get: bool = False
    sent: int = 0
    _used: int = 0
    _mark: str = field(default_factory=lambda: secrets.token_hex(4))
    _asked: int = 0
    _keys: list[rsa.RSAPrivateKey] = field(default_factory=list)

    def ask(self, step: str, operation: str, request: bytes, asked: Asked | None = None) -> Exchange:
        """Send *request* as it is, and keep what comes."""
        found = self._exchange(request, operation)
        if found.answer is None and self.seen.is_known:
            there = self._exchange(self.target.get("GetCACaps"), "GetCACaps").answer
            self.seen.killed_by = self.seen.killed_by or ("" if there else step)
        return self.seen.add(Exchange(step, found, asked))

    def _exchange(self, request: bytes, operation: str) -> Sent:
        self.sent += 1
        reach = self.reach
        return exchange(self.target.url, request, operation, timeout=reach.timeout, trust=reach.trust)

    def get(self, step: str, operation: str, message: str | None = None) -> Exchange:
        """GetCACaps and its kind."""
        return self.ask(step, operation, self.target.get(operation, message))

    def operate(self, step: str, asked: Asked) -> Answer:
        """A PKIOperation, by POST where that is offered and works."""
        if self.seen.offers_post and not self.by_get:
            request = self.target.post(asked.message)
        else:
            request = self.target.get("PKIOperation", Spelling.ESCAPED.of(asked.message))
        return Answer(self.ask(step, "PKIOperation", request, asked), self.seen.now)

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
        self.sent += len(session.exchanges)
        self.seen.sessions.setdefault(session.persona, []).append(session)

    @property
    def poller(self) -> Identity:
        """Who asks for what nobody knows."""
        return Applicant(Name.from_text("CN=scepbox doctor"), self.key(0)).identity
