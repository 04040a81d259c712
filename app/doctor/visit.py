"""The road to a server: requests are sent one after the other, and everything is kept."""

import secrets
import ssl
from collections.abc import Sequence
from dataclasses import dataclass, field

from app.client.client import Identity
from app.client.raw import exchange
from app.doctor.answers import Answer
from app.doctor.asking import Applicant, Asking
from app.doctor.seen import Asked, Exchange, Seen
from app.doctor.target import Spelling, Target
from ca.x509.certificate import Certificate
from ca.x509.name import Name


@dataclass(slots=True)
class Visit:
    """One visit to *target*.

    *sample* is a message that the server was seen to answer; *identity* what it issued, with its key;
    *by_get* whether messages go by GET though POST is offered, which does not work there.

    *challenges* are used one after the other, and the last of them on and on. *subject* is what the
    certificates are asked for; where it is empty, each has a name of its own.
    """

    target: Target
    seen: Seen
    challenges: Sequence[str] = ()
    subject: str = ""
    timeout: float = 30
    trust: ssl.SSLContext | None = None
    identity: Identity | None = None
    sample: Asked | None = None
    by_get: bool = False
    sent: int = 0
    _used: int = 0
    _mark: str = field(default_factory=lambda: secrets.token_hex(4))
    _asked: int = 0

    def ask(self, step: str, operation: str, request: bytes, asked: Asked | None = None) -> Exchange:
        """Send *request* as it is, and keep what comes."""
        self.sent += 1
        found = exchange(self.target.url, request, operation, timeout=self.timeout, trust=self.trust)
        return self.seen.add(Exchange(step, found, asked))

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

    def applicant(self) -> Applicant:
        """A new device."""
        self._asked += 1
        subject = self.subject or f"CN=scepbox-doctor-{self._mark}-{self._asked}"
        return Applicant(Name.from_text(subject))

    def keep(self, certificate: Certificate, applicant: Applicant) -> None:
        """Go on with *certificate*, which was issued to *applicant*."""
        self.identity = Identity(certificate, applicant.key)
