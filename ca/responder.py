"""One pkiMessage in, one CertRep out: the road a request takes, and the transaction around it."""

import logging
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial
from time import perf_counter
from typing import assert_never

from ca.algorithms.ciphers import AES_128_CBC, Cipher
from ca.algorithms.password import sealing_key
from ca.asn1 import Asn1Error
from ca.deviations import DeviationKind, Deviations
from ca.errors import BadCertId, OperationNotOffered, RequestRejected, ScepError
from ca.identity import Identities, ScepIdentity
from ca.issuing.authority import Authority
from ca.issuing.content import certificate_content
from ca.issuing.crl import CRL_LIFETIME, current_crl, issuer_id
from ca.journal import Exchange
from ca.policy.enrolment import EnrolmentPolicy
from ca.policy.queue import Queue
from ca.policy.recipient import check_own_key, find_recipient
from ca.policy.renewal import find_renewed
from ca.ports import Clock, Peer, Repository, Store, StoredCertificate, StoredCrl
from ca.profiles import CertificateContent, Profile
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
from ca.succession import Asked, OtherCa, find_door, find_issuer, moves_on, open_doors
from ca.transactions import answer_again, choose_polled, earlier_answer, note_names, transaction_key

log = logging.getLogger(__name__)

# A clock further off than this is told: its device may find its new certificate not valid yet.
CLOCK_SKEW = timedelta(hours=1)


_NOT_FOUND = "no such certificate is known here, or the query cannot be read"


def _here(work: Callable[[], object]) -> None:
    """Do it at once, where nobody else waits."""
    work()


@dataclass(frozen=True, slots=True)
class Responder:
    """Answers pkiMessages (RFC 8894 3.2, 3.3) for one CA.

    *chain* is what stands above an issued certificate, for profiles that send it along; *queue* is
    for those whose certificates a person approves. *others* are the CAs beside this one, the CA of
    today, while it changes: the one that an envelope is for decides who answers (RFC 8894 5.1).
    *elsewhere* does what takes long, and lets others be answered meanwhile.
    """

    authority: Authority
    identity: Identities
    policy: EnrolmentPolicy
    store: Store
    clock: Clock
    chain: tuple[bytes, ...]
    queue: Queue = field(default_factory=Queue)
    crl_lifetime: timedelta = CRL_LIFETIME
    others: tuple[OtherCa, ...] = ()
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
        doors = open_doors(self.identity, self.authority, self.others, exchange.received_at)
        reply = _Reply(doors[0].identity, profile, signed)
        try:
            message = codec.decode_pki_message(signed, transaction, profile.crypto)
            exchange.message_type = message.message_type.label
            _check_offered(message, profile)
            door = find_door(message, doors)
            reply.identity = identity = door.identity
            request = codec.decode_request(message, identity.key, identity.certificate, profile.crypto)
            recipient = find_recipient(request)
            if door.authority is not self.authority:
                exchange.other_ca = str(door.authority.certificate.subject)
            asked = Asked(door.authority, door.issuer, alone=not self.others)
            outcome = self._answer(request, exchange, asked)
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

    @property
    def _authorities(self) -> tuple[Authority, ...]:
        return (self.authority, *(other.authority for other in self.others))

    def _answer(self, request: Request, exchange: Exchange, asked: Asked) -> Outcome:
        match request:
            case EnrolmentRequest():
                _note_signer(request, exchange)
                answer = self.store.transact(
                    lambda store: self._enrol(request, exchange.anew(), store, asked)
                )
            case PollRequest():
                answer = self.store.transact(lambda store: self._poll(request, exchange.anew(), store, asked))
            case CertificateQuery():
                return self._query(request, exchange, asked)
            case _:
                assert_never(request)
        if isinstance(answer, Pending):
            return answer
        return self._success(answer.der, exchange.profile)

    def _success(self, der: bytes, profile: Profile) -> Success:
        """A certificate, with the chain of whichever CA issued it where *profile* sends that along."""
        if not profile.chain_in_reply:
            return Success(der)
        theirs = (one.chain for one in self.others if one.authority.has_issued(der))
        return Success(der, next(theirs, self.chain))

    def _enrol(
        self, request: EnrolmentRequest, exchange: Exchange, repository: Repository, asked: Asked
    ) -> StoredCertificate | Pending:
        """Issue, once, inside one transaction, or keep the request for who decides on it."""
        profile, now = exchange.profile, exchange.received_at
        renewed = find_renewed(request.signer, self.policy.issuers, repository)
        if renewed is not None:
            earlier = earlier_answer(request, exchange, renewed.serial, repository, asked)
            if earlier is not None:
                return earlier
        content = certificate_content(request.csr, profile)
        exchange.dropped = content.dropped
        moves = renewed is not None and moves_on(renewed.der, asked.issuer, self.authority, self.others)
        basis = self.policy.renewal_basis(request, renewed, content, profile, now, moves=moves)
        if basis is None:
            check_own_key(request)
            earlier = earlier_answer(request, exchange, None, repository, asked)
            if earlier is not None:
                return earlier
        if exchange.granted_before:
            return self._issue(request, content, exchange, repository, asked, basis)
        if basis is None or request.needs_challenge:
            exchange.challenge_id = self.policy.spend_challenge(request, content, profile, repository, now)
        if profile.manual_approval:
            return self._hold(request, exchange, repository, asked)
        return self._issue(request, content, exchange, repository, asked, basis)

    def _issue(
        self,
        request: EnrolmentRequest,
        content: CertificateContent,
        exchange: Exchange,
        repository: Repository,
        asked: Asked,
        basis: str | None,
    ) -> StoredCertificate:
        """Issue what is granted, by the CA that is asked, and keep it."""
        certificate = asked.issuer.sign_certificate(
            request.csr,
            content,
            exchange.profile,
            exchange.transaction.transaction_id,
            exchange.received_at,
            renewed_from=basis,
        )
        repository.add_certificate(certificate)
        exchange.issued(certificate)
        repository.add_request(exchange.record())
        return certificate

    def _hold(
        self, request: EnrolmentRequest, exchange: Exchange, repository: Repository, asked: Asked
    ) -> Pending:
        """Keep a request that is granted but for a person's word. Its challenge password stays spent."""
        profile, remote = exchange.profile.name, exchange.peer.remote
        content = self.queue.admit(request, profile, remote, repository, exchange.received_at)
        exchange.held(exchange.subject)
        issuer = asked.issuer
        kept = replace(content, issuer=issuer_id(issuer.certificate), status=issuer.status)
        repository.add_held(exchange.record(), kept)
        return Pending()

    def _poll(
        self, request: PollRequest, exchange: Exchange, repository: Repository, asked: Asked
    ) -> StoredCertificate | Pending:
        """Find by transactionID and signer key (RFC 8894 3.3.3), whatever the names inside say."""
        key = transaction_key(request.message, exchange.profile)
        found = repository.find_answered(b"", key, exchange.received_at)
        if not found:
            raise BadCertId("no transaction of this transactionID and key is known")
        answer = answer_again(choose_polled(found, asked), exchange)
        note_names(request, asked.authority.certificate.subject, exchange)
        return answer

    def _query(self, query: CertificateQuery, exchange: Exchange, asked: Asked) -> Success | CrlSuccess:
        """Find a certificate or the CRL (RFC 8894 3.3.4). Whoever asks may have it: both are public.

        A query that could not be read is looked for like any other, and refused in the same words:
        whoever could tell it from one that names nothing could decrypt what he captured (RFC 3218).
        """
        named, now = query.named, exchange.received_at
        ours = [one for one in self._authorities if named and named.issuer.matches(one.certificate.subject)]
        serial = f"{named.serial_number:x}" if named is not None and ours else ""
        if query.message.message_type is MessageType.GET_CRL:
            crl = self.store.transact(lambda repository: self._find_crl(serial, ours, asked, repository, now))
            if not ours or not crl.der:
                raise BadCertId(_NOT_FOUND, detail="the issuer is another, or unreadable")
            exchange.status = "answered"
            return CrlSuccess(crl.der)
        stored = self.store.transact(lambda repository: repository.find_certificate(serial))
        if stored is None or not any(one.has_issued(stored.der) for one in ours):
            raise BadCertId(_NOT_FOUND, detail=serial or "the issuer is another, or unreadable")
        if stored.revoked_at is not None:
            # Who fetches a certificate means to use it, and this one nobody accepts any more.
            raise BadCertId("the certificate is revoked", detail=serial)
        exchange.issued(stored, status="answered")
        return self._success(stored.der, exchange.profile)

    def _find_crl(
        self, serial: str, ours: list[Authority], asked: Asked, repository: Repository, now: datetime
    ) -> StoredCrl:
        """The CRL of the CA that was named; of several of that name the one that issued the certificate."""
        # Each CA has one CRL for all its certificates, so that a single CA needs no serial number.
        stored = repository.find_certificate(serial) if self.others else None
        named = find_issuer(stored.der, ours) if stored else None
        chosen = named or (asked.authority if asked.authority in ours or not ours else ours[0])
        return current_crl(chosen, repository, now, self.crl_lifetime)


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
