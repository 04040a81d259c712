"""What a persona asks and makes of the answers, step by step until it has what it wants or stops."""

import secrets
import ssl
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from app.client import ClientError
from app.client.raw import RawAnswer, Sent, exchange
from app.client.transport import check_address
from app.diagnosis.knowledge import knowledge
from app.diagnosis.node import cut
from app.personas.authorities import Authorities, sort_certificates
from app.personas.material import Material
from app.personas.observing import (
    Expected,
    Observation,
    Reply,
    observe_ca,
    observe_capabilities,
    observe_reply,
    observe_wire,
)
from app.personas.persona import Persona, Stage
from app.personas.wire import get_request, message_query, post_request
from app.words import printable
from ca.algorithms.ciphers import DES_EDE3_CBC
from ca.algorithms.digests import SHA1, Digest
from ca.algorithms.keys import PrivateKey
from ca.algorithms.signatures import certificate_identifier
from ca.asn1 import tags, writer
from ca.scep.codec import encode_request
from ca.scep.messages import MessageType, PkiStatus, Transaction
from ca.x509.certificate import Certificate

_CMS_ALGORITHM_PROTECTION = "1.2.840.113549.1.9.52"


@dataclass(frozen=True, slots=True)
class Objection:
    """A rule that applied: the finding, where, what was seen in words, and whether the client stops there."""

    finding: str
    where: str
    detail: str
    refuses: bool

    def __str__(self) -> str:
        detail = f": {self.detail}" if self.detail else ""
        return f"{self.where}: {knowledge().findings[self.finding].what}{detail} ({self.finding})"


@dataclass(frozen=True, slots=True)
class Session:
    """What happened, in order. *certificate* is what the client took, *authorities* the CA's; all DER.

    *outcome* is one line in words; *pending* says that the server may still grant the request.
    """

    persona: str
    exchanges: tuple[Sent, ...]
    objections: tuple[Objection, ...]
    certificate: bytes | None
    outcome: str
    authorities: tuple[bytes, ...] = ()
    pending: bool = False


@dataclass(frozen=True, slots=True)
class Reach:
    """How a session reaches a server: *timeout* in seconds for each exchange, *trust* for https.

    *fingerprint* is that of one of the certificates that GetCACert gives, as a person was told it.
    """

    timeout: float = 30
    trust: ssl.SSLContext | None = None
    fingerprint: str | None = None


class Stopped(Exception):
    """The client stops here; the text is the outcome."""


@dataclass(slots=True)
class Conversation:
    """What was said until now, and what is known from it.

    Raises:
        ValueError: *url* is no address that could be asked; the text says what is wrong with it.

    """

    persona: Persona
    url: str
    reach: Reach
    renews: bool = False
    exchanges: list[Sent] = field(default_factory=list)
    objections: list[Objection] = field(default_factory=list)
    capabilities: frozenset[str] = frozenset()
    authorities: Authorities | None = None
    certificate: bytes | None = None
    pending: bool = False

    def __post_init__(self) -> None:
        """Refuse an address that would break a request line."""
        check_address(self.url)

    def run(self, then: Callable[[], str]) -> Session:
        """Do what comes before every request, and *then* the rest."""
        try:
            for step in self.persona.wire.steps:
                self._ask(step)
            outcome = then()
        except Stopped as stopped:
            outcome = str(stopped)
        authorities = tuple(one.der for one in self.authorities.all) if self.authorities else ()
        return Session(
            self.persona.name,
            tuple(self.exchanges),
            tuple(self.objections),
            self.certificate,
            printable(outcome),
            authorities,
            self.pending,
        )

    def request(self, message_type: MessageType, material: Material, wait: Callable[[int], bool]) -> str:
        """Send a request, and ask again while it is pending."""
        message, asked = self._write(message_type, material.csr, material)
        reply = self._operate(message, asked)
        polls = 0
        while reply.status == PkiStatus.PENDING:
            polls += 1
            if not wait(polls):
                self.pending = True
                return "the request is pending: a person has to approve it"
            if not self.persona.polling.resends:
                message, asked = self._poll(material)
            reply = self._operate(message, asked)
        if reply.certificate is None:
            return "the answer holds no certificate that this client can take"
        self.certificate = reply.certificate
        return "the certificate was issued, and this client takes it"

    def _ask(self, step: str) -> None:
        """Send one of the queries that come before a request, and judge its answer."""
        operation = step.partition("operation=")[2].partition("&")[0]
        answer = self._exchange(operation, get_request(self.persona.wire, self.url, step))
        if operation == "GetCACaps":
            self.capabilities = self.persona.read_capabilities(answer.body if answer.status == 200 else b"")
            found = observe_capabilities(answer)
            self._judge(Stage.GET_CA_CAPS, found)
            if self.renews:
                self._judge(Stage.RENEWAL, found)
        elif self.authorities is None:
            # A client that asks for more certificates can do without them.
            found, certificates = observe_ca(answer)
            self._judge(Stage.GET_CA_CERT, found)
            self.authorities = self._sort(certificates)

    def _sort(self, certificates: tuple[Certificate, ...]) -> Authorities:
        try:
            return sort_certificates(certificates, self.reach.fingerprint)
        except ClientError as error:
            finding = "ca-fingerprint" if self.reach.fingerprint else "ca-not-rsa"
            self._judge(Stage.GET_CA_CERT, [Observation(finding, "GetCACert", str(error))])
            raise Stopped(str(error)) from error

    def _write(self, message_type: MessageType, payload: bytes, material: Material) -> tuple[bytes, Expected]:
        """One message, and what its reply will be held to."""
        form = self.persona.message
        plain = message_type is MessageType.CERT_POLL and self.persona.polling.plain
        cipher = DES_EDE3_CBC if plain else form.cipher(self.capabilities)
        nonce = secrets.token_bytes(form.nonce_octets)
        digest = SHA1 if plain else form.digest(self.capabilities)
        authorities = self._known()
        message = encode_request(
            message_type,
            payload,
            Transaction(material.transaction_id, nonce),
            material.identity.certificate,
            material.identity.key,
            authorities.recipient,
            digest=digest,
            cipher=cipher,
            key_transport=form.transport,
            named_digest=form.named_digest,
            form=form.form,
            more=_protection(material.identity.key, digest) if form.protects else None,
        )
        return message, Expected(material, nonce, cipher, authorities.signers, self.persona.takes_first)

    def _poll(self, material: Material) -> tuple[bytes, Expected]:
        authorities = self._known()
        named = authorities.recipient if self.persona.polling.issuer == "recipient" else authorities.issuer
        names = writer.sequence(named.subject_der, material.identity.certificate.subject_der)
        return self._write(MessageType.CERT_POLL, names, material)

    def _known(self) -> Authorities:
        if self.authorities is None:
            raise Stopped("no GetCACert was asked")
        return self.authorities

    def _operate(self, message: bytes, asked: Expected) -> Reply:
        """Send a message, and judge the reply."""
        wire = self.persona.wire
        if self.persona.posts(self.capabilities):
            request = post_request(wire, self.url, message)
        else:
            request = get_request(wire, self.url, message_query(wire, message))
        reply = observe_reply(self._exchange("PKIOperation", request), asked)
        if self.reach.fingerprint is not None:
            self._insist_on_signer(reply)
        self._judge(Stage.CERT_REP, reply.observations)
        if reply.status == PkiStatus.PENDING:
            self._judge(Stage.PENDING, reply.observations)
        return reply

    def _insist_on_signer(self, reply: Reply) -> None:
        """A person who gave a fingerprint is told of another signer, whether this client looks or not."""
        for one in reply.observations:
            if one.finding == "signer-not-ca":
                self.objections.append(Objection(one.finding, one.where, printable(cut(one.detail)), True))
                raise Stopped(self._in_words(self.objections[-1]))

    def _exchange(self, operation: str, request: bytes) -> RawAnswer:
        reach = self.reach
        sent = exchange(self.url, request, operation, timeout=reach.timeout, trust=reach.trust)
        self.exchanges.append(sent)
        self._judge(Stage.HTTP, observe_wire(sent))
        if sent.answer is None:
            raise Stopped(sent.trouble)
        return sent.answer

    def _judge(self, stage: Stage, observations: Iterable[Observation]) -> None:
        """Keep what this client minds of it, all of one answer, and stop where it stops."""
        new = list(judge(self.persona, stage, observations))
        self.objections += new
        stops = next((one for one in new if one.refuses), None)
        if stops is not None:
            raise Stopped(self._in_words(stops))

    def _in_words(self, objection: Objection) -> str:
        return f"{self.persona.title} stops at {objection}"


def _protection(key: PrivateKey, digest: Digest) -> Mapping[str, bytes]:
    """The algorithms of a SignerInfo that names its digest, as an attribute (RFC 6211 2)."""
    signature = certificate_identifier(key, digest)
    # [1] IMPLICIT: the tag of the SEQUENCE is replaced.
    retagged = bytes((tags.CONTEXT_1_CONSTRUCTED,)) + signature[1:]
    return {_CMS_ALGORITHM_PROTECTION: writer.sequence(digest.identifier, retagged)}


def judge(persona: Persona, stage: Stage, observations: Iterable[Observation]) -> Iterator[Objection]:
    """What *persona* makes of what was seen; nothing where it does not care."""
    for one in observations:
        refuses = persona.refuses_at(stage, one.finding, one.where)
        if refuses is not None:
            yield Objection(one.finding, one.where, printable(cut(one.detail)), refuses)
