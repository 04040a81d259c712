"""One pkiMessage in, one CertRep out: the road a request takes, and the transaction around it."""

import logging
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial
from time import perf_counter
from typing import Protocol, assert_never

from cryptography.hazmat.primitives.asymmetric import rsa

from ca.algorithms.ciphers import AES_128_CBC, Cipher
from ca.algorithms.password import sealing_key
from ca.asn1 import Asn1Error
from ca.deviations import DeviationKind, Deviations
from ca.errors import BadCertId, OperationNotOffered, RequestRejected, ScepError
from ca.issuing.authority import Authority
from ca.issuing.content import certificate_content
from ca.issuing.crl import CRL_LIFETIME, current_crl
from ca.journal import Exchange
from ca.policy.enrolment import EnrolmentPolicy
from ca.policy.queue import Queue
from ca.policy.recipient import check_own_key, find_recipient
from ca.policy.renewal import find_renewed
from ca.ports import Clock, Peer, Repository, Store, StoredCertificate
from ca.profiles import Profile
from ca.scep import codec
from ca.scep.messages import (
    CertificateQuery,
    CrlSuccess,
    EnrolmentRequest,
    Failure,
    MessageType,
    Outcome,
    Password,
    Pending,
    PkiMessage,
    PollRequest,
    Recipient,
    Request,
    Success,
    Transaction,
)
from ca.transactions import answer_again, earlier_answer, note_names, transaction_key
from ca.x509.certificate import Certificate

log = logging.getLogger(__name__)

# A clock further off than this is told: its device may find its new certificate not valid yet.
CLOCK_SKEW = timedelta(hours=1)


_NOT_FOUND = "no such certificate is known here, or the query cannot be read"


@dataclass(frozen=True, slots=True)
class ScepIdentity:
    """The certificate and RSA key that open envelopes and sign replies.

    In CA mode they are the CA's own; in RA mode the registration authority's, and then nothing but
    issuing touches the CA's key.
    """

    certificate: Certificate
    key: rsa.RSAPrivateKey

    def at(self, now: datetime) -> "tuple[ScepIdentity, ...]":
        """The one that there is at any time (see :class:`Identities`)."""
        return (self,)


class Identities(Protocol):
    """The identities of a server, which for a RA change with time."""

    def at(self, now: datetime) -> tuple[ScepIdentity, ...]:
        """Those that count at *now*: the one that GetCACert shows, then others that still open."""


def _here(work: Callable[[], object]) -> None:
    """Do it at once, where nobody else waits."""
    work()


@dataclass(frozen=True, slots=True)
class Responder:
    """Answers pkiMessages (RFC 8894 3.2, 3.3) for one CA.

    *chain* is what stands above an issued certificate, for profiles that send it along; *queue* is
    for those whose certificates a person approves. *elsewhere* does what takes long, and lets others
    be answered meanwhile.
    """

    authority: Authority
    identity: Identities
    policy: EnrolmentPolicy
    store: Store
    clock: Clock
    chain: tuple[bytes, ...]
    queue: Queue = field(default_factory=Queue)
    crl_lifetime: timedelta = CRL_LIFETIME
    elsewhere: Callable[[Callable[[], object]], None] = _here

    def respond(self, body: bytes, profile: Profile, peer: Peer, deviations: Deviations) -> bytes:
        """Answer the pkiMessage *body* with the DER of a CertRep.

        Raises:
            MalformedMessage: It names no transaction, so nothing can answer it.
            StoreUnavailable: The outcome could not be kept; nothing was issued.

        """
        started = perf_counter()
        signed = codec.load(body, deviations)
        transaction = codec.decode_transaction(signed, profile.crypto)
        exchange = Exchange(profile, peer, self.clock(), transaction, deviations)
        identities = self.identity.at(exchange.received_at)
        reply = _Reply(identities[0], profile, signed)
        try:
            message = codec.decode_pki_message(signed, transaction, profile.crypto)
            exchange.message_type = message.message_type.label
            _check_offered(message, profile)
            reply.identity = identity = _addressed(message, identities)
            request = codec.decode_request(message, identity.key, identity.certificate, profile.crypto)
            recipient = find_recipient(request)
            outcome = self._answer(request, exchange)
            if isinstance(outcome, Success) and isinstance(recipient, Password):
                # A tenth of a second, and kept for the reply.
                self.elsewhere(partial(sealing_key, recipient.text))
            body = reply.to(transaction, outcome, recipient, request.cipher)
        except ScepError as refusal:
            # The one place where a refusal becomes a CertRep FAILURE.
            exchange.message_type = codec.claimed_message_type(signed)
            exchange.refused(refusal)
            if not isinstance(refusal, RequestRejected):
                # That one is on record, and a device may ask for it every few seconds.
                self.store.transact(lambda repository: repository.add_request(exchange.record()))
            body = reply.to(transaction, Failure(refusal.fail_info, str(refusal)))
        log.info(exchange.line((perf_counter() - started) * 1000))
        return body

    def _answer(self, request: Request, exchange: Exchange) -> Outcome:
        match request:
            case EnrolmentRequest():
                _note_signer(request, exchange)
                answer = self.store.transact(lambda store: self._enrol(request, exchange, store))
            case PollRequest():
                answer = self.store.transact(lambda store: self._poll(request, exchange, store))
            case CertificateQuery():
                return self._query(request, exchange)
            case _:
                assert_never(request)
        if isinstance(answer, Pending):
            return answer
        return Success(answer.der, self.chain if exchange.profile.chain_in_reply else ())

    def _enrol(
        self, request: EnrolmentRequest, exchange: Exchange, repository: Repository
    ) -> StoredCertificate | Pending:
        """Issue, once, inside one transaction, or keep the request for who decides on it."""
        profile, now = exchange.profile, exchange.received_at
        renewed = find_renewed(request.signer, self.authority.certificate, repository)
        if renewed is not None:
            earlier = earlier_answer(request, exchange, renewed.serial, repository)
            if earlier is not None:
                return earlier
        content = certificate_content(request.csr, profile)
        exchange.dropped = content.dropped
        basis = self.policy.renewal_basis(request, renewed, content, profile, now)
        if basis is None:
            check_own_key(request)
            earlier = earlier_answer(request, exchange, None, repository)
            if earlier is not None:
                return earlier
        if basis is None or request.needs_challenge:
            exchange.challenge_id = self.policy.spend_challenge(request, content, profile, repository, now)
        if profile.manual_approval:
            return self._hold(request, exchange, repository)
        certificate = self.authority.sign_certificate(
            request.csr, content, profile, exchange.transaction.transaction_id, now, renewed_from=basis
        )
        repository.add_certificate(certificate)
        exchange.issued(certificate)
        repository.add_request(exchange.record())
        return certificate

    def _hold(self, request: EnrolmentRequest, exchange: Exchange, repository: Repository) -> Pending:
        """Keep a request that is granted but for a person's word. Its challenge password stays spent."""
        profile, remote = exchange.profile.name, exchange.peer.remote
        content = self.queue.admit(request, profile, remote, repository, exchange.received_at)
        exchange.held(exchange.subject)
        repository.add_held(exchange.record(), replace(content, status=self.authority.status))
        return Pending()

    def _poll(
        self, request: PollRequest, exchange: Exchange, repository: Repository
    ) -> StoredCertificate | Pending:
        """Find by transactionID and signer key (RFC 8894 3.3.3), whatever the names inside say."""
        key = transaction_key(request.message, exchange.profile)
        found = repository.find_answered(b"", key, exchange.received_at)
        if not found:
            raise BadCertId("no transaction of this transactionID and key is known")
        # The newest: certmonger renews, and who was rejected asks anew, under the transactionID of old.
        answer = answer_again(found[0], exchange)
        note_names(request, self.authority.certificate.subject, exchange)
        return answer

    def _query(self, query: CertificateQuery, exchange: Exchange) -> Success | CrlSuccess:
        """Find a certificate or the CRL (RFC 8894 3.3.4). Whoever asks may have it: both are public.

        A query that could not be read is looked for like any other, and refused in the same words:
        whoever could tell it from one that names nothing could decrypt what he captured (RFC 3218).
        """
        named, now = query.named, exchange.received_at
        ours = named is not None and named.issuer.matches(self.authority.certificate.subject)
        if query.message.message_type is MessageType.GET_CRL:
            crl = self.store.transact(
                lambda repository: current_crl(self.authority, repository, now, self.crl_lifetime)
            )
            # The serial number says which certificate is in question; our one CRL is for all of them.
            if not ours or not crl.der:
                raise BadCertId(_NOT_FOUND, detail="the issuer is another, or unreadable")
            exchange.status = "answered"
            return CrlSuccess(crl.der)
        serial = f"{named.serial_number:x}" if named is not None and ours else ""
        stored = self.store.transact(lambda repository: repository.find_certificate(serial))
        if stored is None or not self.authority.has_issued(stored.der):
            raise BadCertId(_NOT_FOUND, detail=serial or "the issuer is another, or unreadable")
        if stored.revoked_at is not None:
            # Who fetches a certificate means to use it, and this one nobody accepts any more.
            raise BadCertId("the certificate is revoked", detail=serial)
        exchange.issued(stored, status="answered")
        return Success(stored.der, self.chain if exchange.profile.chain_in_reply else ())


@dataclass(slots=True)
class _Reply:
    """How to answer one message: with which digest, cipher and form."""

    identity: ScepIdentity
    profile: Profile
    signed: codec.SignedData

    def to(
        self,
        transaction: Transaction,
        outcome: Outcome,
        recipient: Recipient | None = None,
        cipher: Cipher = AES_128_CBC,
    ) -> bytes:
        level = self.profile.crypto
        return codec.encode_cert_rep(
            outcome,
            transaction,
            self.identity.certificate,
            self.identity.key,
            recipient=recipient,
            digest=level.reply_digest(self.signed.signer_info.known_digest),
            cipher=level.reply_cipher(cipher),
            empty_content=self.profile.empty_content,
        )


def _check_offered(message: PkiMessage, profile: Profile) -> None:
    """RFC 8894 7.8: queries cost as much as an enrolment, and some have a better way to answer them."""
    if message.message_type in (MessageType.GET_CERT, MessageType.GET_CRL) and not profile.queries:
        raise OperationNotOffered(f"{message.message_type.label} is not offered here; the CRL is at /crl")


def _addressed(message: PkiMessage, identities: tuple[ScepIdentity, ...]) -> ScepIdentity:
    """The identity that the envelope is for, which then also signs the reply.

    A client that holds the last RA certificate believes no other, though a new one is shown already.
    """
    if len(identities) == 1:
        return identities[0]
    place = codec.find_addressee(message, [one.certificate for one in identities])
    return identities[place]


def _note_signer(request: EnrolmentRequest, exchange: Exchange) -> None:
    """Keep what is odd about the signer: Windows, iOS and clockless devices are."""
    signer, place = request.signer, "pkiMessage.certificates"
    exchange.subject = str(request.csr.subject)
    deviations = exchange.deviations
    if signer.spki != request.csr.spki and signer.is_self_issued:
        deviations.add(DeviationKind.SIGNER_KEY, place, "not the key of the CSR")
    try:
        if not signer.not_valid_before <= exchange.received_at <= signer.not_valid_after:
            deviations.add(DeviationKind.SIGNER_VALIDITY, place)
    except Asn1Error as error:
        deviations.add(DeviationKind.SIGNER_VALIDITY, place, str(error))
    signing_time = request.message.signing_time
    if signing_time is not None and abs(signing_time - exchange.received_at) > CLOCK_SKEW:
        deviations.add(
            DeviationKind.SIGNING_TIME, "pkiMessage.signedAttrs", f"{signing_time:%Y-%m-%d %H:%M} UTC"
        )
    if signer.is_self_issued and signer.subject_der != request.csr.subject.der:
        deviations.add(DeviationKind.SIGNER_SUBJECT, place, "not the subject of the CSR")
