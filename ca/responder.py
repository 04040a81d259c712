"""One pkiMessage in, one CertRep out: the road a request takes, and the transaction around it."""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import assert_never

from ca.algorithms.ciphers import AES_128_CBC, Cipher
from ca.algorithms.password import sealing_key
from ca.asn1 import Asn1Error
from ca.deviations import DeviationKind, Deviations
from ca.enrolment import Enrolments
from ca.errors import (
    BadCertId,
    OperationNotOffered,
    RequestRejected,
    ScepError,
    TooManyGuesses,
    TooManyQueries,
)
from ca.identity import Identities, ScepIdentity
from ca.issuing.authority import Authority
from ca.issuing.crl import CRL_LIFETIME, current_crl
from ca.journal import Exchange
from ca.laps import Laps, Stage
from ca.policy.enrolment import EnrolmentPolicy
from ca.policy.queue import Queue
from ca.policy.recipient import find_recipient
from ca.ports import (
    Clock,
    Linter,
    Peer,
    QueryLimit,
    Repository,
    Store,
    StoredCertificate,
    StoredCrl,
    Validator,
    Verdict,
)
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
from ca.succession import Asked, OtherCa, find_door, find_issuer, open_doors
from ca.tally import RefusalTally
from ca.transactions import answer_poll, note_names, transaction_key

log = logging.getLogger(__name__)

# A clock further off than this is told: its device may find its new certificate not valid yet.
CLOCK_SKEW = timedelta(hours=1)


_NOT_FOUND = "no such certificate is known here, or the query cannot be read"


def _unwatched(_: Exchange) -> None:
    """Nobody counts."""


def _as_it_is(outcome: Outcome, _: Exchange) -> Outcome:
    """What came of it is what is told."""
    return outcome


def _here(work: Callable[[], object]) -> None:
    """Do it at once, where nobody else waits."""
    work()


def _ask_here(_: str, question: Callable[[], Verdict]) -> Verdict:
    """Ask at once, where nobody else waits."""
    return question()


@dataclass(frozen=True, slots=True)
class Responder:
    """Answers pkiMessages (RFC 8894 3.2, 3.3) for one CA.

    *chain* is what stands above an issued certificate, for profiles that send it along; *queue* is
    for those whose certificates a person approves. *others* are the CAs beside this one, the CA of
    today, while it changes: the one that an envelope is for decides who answers (RFC 8894 5.1).
    *elsewhere* does what takes long, and lets others be answered meanwhile; *consult* does so for what
    waits, which is asking *validators*, by the names that profiles call them. *tally* keeps refusals from
    filling the audit log; *queries* keeps one source from asking for ever. *watch* is told of each exchange
    once it has ended. *temper* may tell a device something else than what came of its request, which is done
    by then: for authors of clients.
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
    validators: Mapping[str, Validator] = field(default_factory=dict)
    linter: Linter | None = None
    consult: Callable[[str, Callable[[], Verdict]], Verdict] = _ask_here
    tally: RefusalTally = field(default_factory=RefusalTally)
    queries: QueryLimit | None = None
    watch: Callable[[Exchange], object] = _unwatched
    temper: Callable[[Outcome, Exchange], Outcome] = _as_it_is

    def respond(self, body: bytes, profile: Profile, peer: Peer, deviations: Deviations) -> bytes:
        """Answer the pkiMessage *body* with the DER of a CertRep.

        Raises:
            MalformedMessage: It names no transaction, so nothing can answer it.
            StoreUnavailable: The outcome could not be kept; nothing was issued.

        """
        laps = Laps()
        signed = codec.load(body, deviations)
        transaction = codec.decode_transaction(signed, profile.crypto)
        exchange = Exchange(profile, peer, self.clock(), transaction, deviations, laps)
        doors = open_doors(self.identity, self.authority, self.others, exchange.received_at)
        reply = _Reply(doors[0].identity, profile, signed)
        try:
            message = codec.decode_pki_message(signed, transaction, profile.crypto)
            exchange.message_type = message.message_type.label
            laps.enter(Stage.DECRYPT)
            _check_offered(message, profile, peer, self.queries)
            door = find_door(message, doors)
            reply.identity = identity = door.identity
            request = codec.decode_request(message, identity.key, identity.certificate, profile.crypto)
            recipient = find_recipient(request)
            if door.authority is not self.authority:
                exchange.other_ca = str(door.authority.certificate.subject)
            asked = Asked(door.authority, door.issuer, alone=not self.others)
            outcome = self.temper(self._answer(request, exchange, asked), exchange)
            laps.enter(Stage.REPLY)
            if isinstance(outcome, Success) and isinstance(recipient, Password):
                # A tenth of a second, and kept for the reply.
                self.elsewhere(partial(sealing_key, recipient.text))
            body = reply.to(transaction, outcome, recipient, request.cipher)
        except ScepError as refusal:
            # The one place where a refusal becomes a CertRep FAILURE.
            exchange.message_type = codec.claimed_message_type(signed)
            exchange.refused(refusal)
            self._keep_refusal(refusal, exchange)
            laps.enter(Stage.REPLY)
            body = reply.to(transaction, Failure(refusal.fail_info, str(refusal)))
        laps.end()
        log.info(exchange.line(laps.total * 1000))
        self.watch(exchange)
        return body

    def _keep_refusal(self, refusal: ScepError, exchange: Exchange) -> None:
        match refusal:
            case RequestRejected():
                # It is on record, and a device may ask for it every few seconds.
                return
            case TooManyQueries():
                # The log of the server has it; a transaction for each would be what it is refused for.
                return
            case TooManyGuesses():
                # A transaction for each would be what the guesses are for.
                self.tally.leave_out(exchange.audit())
                return

        def keep(repository: Repository) -> None:
            repository.add_request(exchange.record())
            exchange.write_audit(repository, self.tally)
            if exchange.announced:
                # The validator had allowed it, and waits for a certificate.
                repository.add_notification(exchange.notification(), exchange.received_at)

        exchange.laps.transact(self.store, keep)

    @property
    def _authorities(self) -> tuple[Authority, ...]:
        return (self.authority, *(other.authority for other in self.others))

    def _answer(self, request: Request, exchange: Exchange, asked: Asked) -> Outcome:
        match request:
            case EnrolmentRequest():
                _note_signer(request, exchange)
                answer = self._enrolments.answer(request, exchange, asked)
            case PollRequest():
                answer = exchange.laps.transact(
                    self.store, lambda store: self._poll(request, exchange.anew(), store, asked)
                )
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

    @property
    def _enrolments(self) -> Enrolments:
        return Enrolments(
            self.authority,
            self.policy,
            self.store,
            self.queue,
            self.others,
            self.crl_lifetime,
            self.validators,
            self.linter,
            self.consult,
            self.elsewhere,
            self.tally,
        )

    def _poll(
        self, request: PollRequest, exchange: Exchange, repository: Repository, asked: Asked
    ) -> StoredCertificate | Pending:
        """Find by transactionID and signer key (RFC 8894 3.3.3), whatever the names inside say."""
        key = transaction_key(request.message, exchange.profile)
        answer = answer_poll(key, exchange, repository, asked)
        note_names(request, asked.authority.certificate.subject, exchange)
        exchange.write_audit(repository, self.tally)
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
            crl = exchange.laps.transact(
                self.store, lambda repository: self._find_crl(serial, ours, asked, repository, now)
            )
            if not ours or not crl.der:
                raise BadCertId(_NOT_FOUND, detail="the issuer is another, or unreadable")
            exchange.status = "answered"
            return CrlSuccess(crl.der)
        stored = exchange.laps.transact(self.store, lambda repository: repository.find_certificate(serial))
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


def _check_offered(message: PkiMessage, profile: Profile, peer: Peer, queries: QueryLimit | None) -> None:
    """RFC 8894 7.8: queries cost as much as an enrolment, and some have a better way to answer them.

    Before the envelope is opened, which is what they cost.
    """
    if message.message_type not in (MessageType.GET_CERT, MessageType.GET_CRL):
        return
    if not profile.queries:
        raise OperationNotOffered(f"{message.message_type.label} is not offered here; the CRL is at /crl")
    if queries is not None and not queries.admits(peer.remote):
        raise TooManyQueries


def _note_signer(request: EnrolmentRequest, exchange: Exchange) -> None:
    """Keep what is odd about the signer: Windows, iOS and clockless devices are."""
    signer, place = request.signer, "pkiMessage.certificates"
    exchange.subject, exchange.request = str(request.csr.subject), request
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
