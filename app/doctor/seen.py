"""What was sent to a server and what came back, for those who judge it."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime

from app.client.client import Identity
from app.client.raw import RawAnswer, Sent
from app.client.trust import Roles
from app.personas import Session
from ca.algorithms.ciphers import Cipher
from ca.algorithms.digests import Digest
from ca.algorithms.key_transport import PKCS1_V15, KeyTransport
from ca.scep.codec import Form
from ca.scep.codec.attributes import NONCE_OCTETS
from ca.scep.messages import Transaction
from ca.x509.certificate import Certificate
from ca.x509.name import Name

# The steps that begin every visit, by their names.
CAPABILITIES, CERTIFICATES = "GetCACaps", "GetCACert"


@dataclass(frozen=True, slots=True)
class Terms:
    """How a pkiMessage is written."""

    cipher: Cipher
    digest: Digest
    key_transport: KeyTransport = PKCS1_V15
    form: Form = Form.DER
    nonce_octets: int = NONCE_OCTETS


@dataclass(frozen=True, slots=True)
class Question:
    """A pkiMessage and what it asks for, that its reply has to fit.

    *spki* is the key that an issued certificate must hold, *subject* its name; both are empty where
    none is asked for.
    """

    message: bytes = field(repr=False)
    message_type: str
    transaction: Transaction
    signer: Identity = field(repr=False)
    terms: Terms
    spki: bytes = b""
    subject: Name | None = None


@dataclass(frozen=True, slots=True)
class Exchange:
    """One request of a *step*; *asked* is what the pkiMessage in it asks, None where it holds none."""

    step: str
    sent: Sent
    asked: Question | None = None

    @property
    def answer(self) -> RawAnswer | None:
        """The response, if there is one."""
        return self.sent.answer

    @property
    def status(self) -> int:
        """The HTTP status; 0 where nothing came."""
        return self.sent.answer.status if self.sent.answer else 0

    @property
    def body(self) -> bytes:
        """What an answer with a 2xx status holds; else nothing."""
        return self.sent.answer.body if self.sent.answer and 200 <= self.status < 300 else b""


@dataclass(frozen=True, slots=True)
class Found:
    """A finding, where it showed and what was seen there.

    *by* is the persona that saw it, empty for the doctor's own steps; *clients* are those that were seen
    to stop at it. What is known of others, the finding says. It is *late* where it was seen at the request
    that ended the server, or after it.
    """

    finding: str
    where: str
    detail: str = ""
    clients: tuple[str, ...] = ()
    by: str = ""
    late: bool = False


@dataclass(slots=True)
class Seen:
    """Everything so far: *exchanges* by the names of their steps, *sessions* by those of personas.

    *certificates* are those that GetCACert gave, *roles* who of them may do what; *capabilities* are in
    upper case. *found* is what the doctor's own steps show, by finding; *killed_by* is the step after which
    the server did not answer any more. *refused_at* is the step at which the last challenge password was
    refused, and *unasked* are the steps and personas that could not be tried without it.
    """

    url: str
    now: datetime
    exchanges: dict[str, list[Exchange]] = field(default_factory=dict)
    certificates: tuple[Certificate, ...] = ()
    roles: Roles | None = None
    capabilities: frozenset[str] = frozenset()
    sessions: dict[str, list[Session]] = field(default_factory=dict)
    found: dict[str, Found] = field(default_factory=dict)
    killed_by: str = ""
    refused_at: str = ""
    unasked: set[str] = field(default_factory=set)

    @property
    def is_known(self) -> bool:
        """Whether the server answered anything yet."""
        return any(exchange.answer for exchange in self.all())

    @property
    def late(self) -> frozenset[str]:
        """The names of what was sent when the server ended, and after it."""
        names = list(self.exchanges)
        after = names[names.index(self.killed_by) :] if self.killed_by in names else []
        return frozenset(filter(None, (self.killed_by, *after)))

    @property
    def enrolled(self) -> tuple[str, ...]:
        """The personas that got a certificate and took it."""
        return tuple(name for name, all_ in self.sessions.items() if any(one.certificate for one in all_))

    @property
    def went_on(self) -> tuple[str, ...]:
        """The personas that came by and stopped at nothing."""
        return tuple(name for name, all_ in self.sessions.items() if not any(map(_stops, all_)))

    @property
    def offers_post(self) -> bool:
        """Whether the capabilities promise POST (RFC 8894 3.5.2)."""
        return not self.capabilities.isdisjoint({"POSTPKIOPERATION", "SCEPSTANDARD"})

    @property
    def why_unasked(self) -> str:
        """Why the challenge password was kept back, in words."""
        return f"the challenge password was refused at {self.refused_at}, and is not sent again"

    def add(self, exchange: Exchange) -> Exchange:
        """Keep one."""
        self.exchanges.setdefault(exchange.step, []).append(exchange)
        return exchange

    def of(self, step: str) -> list[Exchange]:
        """What a step sent; nothing where it did not run."""
        return self.exchanges.get(step, [])

    def first(self, step: str) -> Exchange | None:
        """The first that a step sent."""
        return next(iter(self.of(step)), None)

    def last(self, step: str) -> Exchange | None:
        """The last that a step sent."""
        return next(reversed(self.of(step)), None)

    def all(self) -> Iterator[Exchange]:
        """All of them, in order."""
        for exchanges in self.exchanges.values():
            yield from exchanges


def _stops(session: Session) -> bool:
    """Whether the client did not come to where it was to go."""
    return any(one.refuses for one in session.objections) or not session.exchanges[-1].answer
