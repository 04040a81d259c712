"""One pkiMessage in, one CertRep out: the road a request takes, and the transaction around it."""

import logging
from dataclasses import dataclass
from datetime import timedelta
from hashlib import sha256
from time import perf_counter
from typing import assert_never

from cryptography.hazmat.primitives.asymmetric import rsa

from ca.algorithms.ciphers import AES_128_CBC, Cipher
from ca.asn1 import Asn1Error
from ca.deviations import DeviationKind, Deviations
from ca.errors import BadAlgorithm, BadCertId, OperationNotOffered, ScepError, TransactionInUse
from ca.issuing.authority import Authority
from ca.issuing.content import certificate_content
from ca.issuing.crl import CRL_LIFETIME, current_crl
from ca.journal import Exchange
from ca.policy.enrolment import EnrolmentPolicy
from ca.policy.renewal import find_renewed
from ca.ports import AnsweredRequest, Clock, Peer, Repository, Store, StoredCertificate
from ca.profiles import Profile
from ca.scep import codec
from ca.scep.messages import (
    CertificateQuery,
    CrlSuccess,
    EnrolmentRequest,
    Failure,
    MessageType,
    Outcome,
    PkiMessage,
    PollRequest,
    Request,
    Success,
    Transaction,
)
from ca.x509.certificate import Certificate

log = logging.getLogger(__name__)

# A clock further off than this is told: its device may find its new certificate not valid yet.
CLOCK_SKEW = timedelta(hours=1)


_NOT_FOUND = "no such certificate is known here, or the query cannot be read"


@dataclass(frozen=True, slots=True)
class ScepIdentity:
    """The certificate and RSA key that open envelopes and sign replies: in CA mode the CA's own."""

    certificate: Certificate
    key: rsa.RSAPrivateKey


@dataclass(frozen=True, slots=True)
class Responder:
    """Answers pkiMessages (RFC 8894 3.2, 3.3) for one CA.

    *chain* is what stands above an issued certificate, for profiles that send it along.
    """

    authority: Authority
    identity: ScepIdentity
    policy: EnrolmentPolicy
    store: Store
    clock: Clock
    chain: tuple[bytes, ...]
    crl_lifetime: timedelta = CRL_LIFETIME

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
        reply = _Reply(self.identity, profile, signed)
        try:
            message = codec.decode_pki_message(signed, transaction, profile.crypto)
            exchange.message_type = message.message_type.label
            _check_offered(message, profile)
            _check_recipient(message)
            request = codec.decode_request(
                message, self.identity.key, self.identity.certificate, profile.crypto
            )
            body = reply.to(transaction, self._answer(request, exchange), message.signer, request.cipher)
        except ScepError as refusal:
            # The one place where a refusal becomes a CertRep FAILURE.
            exchange.message_type = codec.claimed_message_type(signed)
            exchange.refused(refusal)
            self.store.transact(lambda repository: repository.add_request(exchange.record()))
            body = reply.to(transaction, Failure(refusal.fail_info, str(refusal)))
        log.info(exchange.line((perf_counter() - started) * 1000))
        return body

    def _answer(self, request: Request, exchange: Exchange) -> Outcome:
        match request:
            case EnrolmentRequest():
                _note_signer(request, exchange)
                certificate = self.store.transact(lambda store: self._enrol(request, exchange, store))
            case PollRequest():
                certificate = self.store.transact(lambda store: self._poll(request, exchange, store))
            case CertificateQuery():
                return self._query(request, exchange)
            case _:
                assert_never(request)
        return Success(certificate.der, self.chain if exchange.profile.chain_in_reply else ())

    def _enrol(
        self, request: EnrolmentRequest, exchange: Exchange, repository: Repository
    ) -> StoredCertificate:
        """Issue, once, inside one transaction."""
        profile, now = exchange.profile, exchange.received_at
        renewed = find_renewed(request.signer, self.authority.certificate, repository)
        if renewed is not None:
            earlier = _earlier_answer(request, exchange, renewed.serial, repository)
            if earlier is not None:
                return earlier
        content = certificate_content(request.csr, profile)
        exchange.dropped = content.dropped
        basis = self.policy.renewal_basis(request, renewed, content, profile, now)
        if basis is None:
            earlier = _earlier_answer(request, exchange, None, repository)
            if earlier is not None:
                return earlier
            exchange.challenge_id = self.policy.spend_challenge(request, content, profile, repository, now)
        certificate = self.authority.sign_certificate(
            request.csr, content, profile, exchange.transaction.transaction_id, now, renewed_from=basis
        )
        repository.add_certificate(certificate)
        exchange.issued(certificate)
        repository.add_request(exchange.record())
        return certificate

    def _poll(self, request: PollRequest, exchange: Exchange, repository: Repository) -> StoredCertificate:
        """Find by transactionID and signer key (RFC 8894 3.3.3), whatever the names inside say."""
        key = _transaction_key(request.message, exchange.profile)
        for answered in repository.find_answered(b"", key, exchange.received_at):
            exchange.issued(answered.certificate, status="repeated")
            return answered.certificate
        raise BadCertId("no transaction of this transactionID and key is known")

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


@dataclass(frozen=True, slots=True)
class _Reply:
    """How to answer one message: with which digest, cipher and form."""

    identity: ScepIdentity
    profile: Profile
    signed: codec.SignedData

    def to(
        self,
        transaction: Transaction,
        outcome: Outcome,
        recipient: Certificate | None = None,
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


def _check_recipient(message: PkiMessage) -> None:
    """A certificate is only issued to who can read the reply, whose envelope needs an RSA key."""
    if not isinstance(message.signer.public_key(), rsa.RSAPublicKey):
        raise BadAlgorithm(
            "the message must be signed with an RSA key, so that the reply can be encrypted to it"
        )


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


def _request_key(request: EnrolmentRequest, profile: Profile, renewal_of: str | None) -> bytes:
    """What makes it the same request: the address, what it renews, and the very CSR."""
    parts = (profile.name, renewal_of or "")
    return sha256("\0".join(parts).encode() + b"\0" + request.csr.der).digest()


def _transaction_key(message: PkiMessage, profile: Profile) -> bytes:
    """A transactionID is its signer's own: two clients may use one (RFC 8894 3.2.1.1)."""
    head = f"{profile.name}\0{message.transaction.transaction_id}\0".encode()
    return sha256(head + message.signer.spki).digest()


def _earlier_answer(
    request: EnrolmentRequest, exchange: Exchange, renewal_of: str | None, repository: Repository
) -> StoredCertificate | None:
    """The certificate that this very request got already (RFC 8894 7.4: its reply may be lost).

    Raises:
        TransactionInUse: The same key sends another CSR under a transactionID still in use.

    """
    request_key = _request_key(request, exchange.profile, renewal_of)
    transaction_key = _transaction_key(request.message, exchange.profile)
    exchange.renewal_of, exchange.keys = renewal_of, (request_key, transaction_key)
    answers = [
        answer
        for answer in repository.find_answered(request_key, transaction_key, exchange.received_at)
        if _stands(answer, exchange)
    ]
    for answer in answers:
        if answer.request_key == request_key:
            exchange.issued(answer.certificate, status="repeated")
            return answer.certificate
    # certmonger renews under the transactionID of old: a renewal is a transaction of its own.
    if any(answer.renewal_of == renewal_of for answer in answers):
        raise TransactionInUse
    return None


def _stands(answer: AnsweredRequest, exchange: Exchange) -> bool:
    """Whether the answer is still the one to give: its certificate is not due for renewal yet."""
    certificate = answer.certificate
    due = certificate.not_after - timedelta(days=exchange.profile.renewal_days)
    return exchange.received_at < due or due <= certificate.not_before or not exchange.profile.renewal_days
