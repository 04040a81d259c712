"""Transactions (RFC 8894 3.2.1.1, 3.3.3): whether this is an earlier request again, and its answer then."""

from datetime import datetime, timedelta
from hashlib import sha256

from ca.deviations import DeviationKind
from ca.errors import BadCertId, TransactionInUse
from ca.issuing.authority import BACKDATE
from ca.journal import Exchange
from ca.policy.queue import check_transactions, check_waiting, is_waiting
from ca.ports import AnsweredRequest, HeldRequest, Repository, StoredCertificate
from ca.profiles import Profile
from ca.scep.messages import EnrolmentRequest, Pending, PkiMessage, PollRequest
from ca.succession import Asked
from ca.x509.name import Name

# What decides where one CA of this server has granted the very request before another is asked.
GRANTED_ELSEWHERE = "granted by another CA of this server"


def earlier_answer(
    request: EnrolmentRequest,
    exchange: Exchange,
    renewal_of: str | None,
    repository: Repository,
    asked: Asked,
) -> StoredCertificate | Pending | None:
    """What this very request was answered already (RFC 8894 7.4: the reply may be lost).

    certmonger and scepclient poll so too, and never by CertPoll.

    A certificate of another CA than the one that is *asked* is no answer to who holds the other CA's
    certificate alone: what the one has granted, the other grants too, and that is noted.

    Raises:
        TransactionInUse: The same key sends another CSR under a transactionID still in use.
        RequestRejected: A person refused it, or it waited too long.

    """
    request_key = _request_key(request, exchange.profile, renewal_of)
    key = transaction_key(request.message, exchange.profile)
    exchange.renewal_of, exchange.keys = renewal_of, (request_key, key)
    answers = [
        answer
        for answer in repository.find_answered(request_key, key, exchange.received_at)
        if _stands(answer, exchange)
    ]
    own = [answer for answer in answers if _is_of(asked, answer)]
    same = [answer for answer in own if answer.request_key == request_key]
    if same:
        answer = answer_again(same[0], exchange, repository, asked)
        _keep_transaction(request, exchange, same, repository)
        return answer
    exchange.granted_before = next(
        (
            answer.certificate
            for answer in answers
            if isinstance(answer, AnsweredRequest) and answer.request_key == request_key
        ),
        None,
    )
    # certmonger renews under the transactionID of old: a renewal is a transaction of its own.
    if any(_occupies(answer, exchange) for answer in own if answer.renewal_of == renewal_of):
        raise TransactionInUse
    return None


def is_known(request: EnrolmentRequest, exchange: Exchange, repository: Repository) -> bool:
    """Whether there was this very enrolment, or its transaction, before; nothing is noted of the question."""
    profile = exchange.profile
    keys = _request_key(request, profile, None), transaction_key(request.message, profile)
    return bool(repository.find_answered(*keys, exchange.received_at))


def answer_again(
    earlier: AnsweredRequest | HeldRequest, exchange: Exchange, repository: Repository, asked: Asked
) -> StoredCertificate | Pending:
    """Answer as the earlier request was, or would be now; what waits is from now on for who is *asked*.

    Raises:
        RequestRejected: A person refused it, or it waited too long.

    """
    if isinstance(earlier, AnsweredRequest):
        exchange.issued(earlier.certificate, status="repeated")
        return earlier.certificate
    exchange.held(earlier.subject)
    check_waiting(earlier, exchange.received_at)
    asked.take_over(earlier, repository)
    return Pending()


def answer_poll(
    key: bytes, exchange: Exchange, repository: Repository, asked: Asked
) -> StoredCertificate | Pending:
    """Answer the poll of the transaction *key*: by its certificate, or that it still waits.

    A certificate of another CA than the one that is *asked* is granted once more by that one: who wrote
    to one CA before and to another now has fetched the CA anew, and could do nothing with the first.

    Raises:
        BadCertId: There is no such transaction.
        RequestRejected: A person refused it, or it waited too long.
        OperationNotOffered: The CA that is asked has ended.

    """
    found = repository.find_answered(b"", key, exchange.received_at)
    if not found:
        raise BadCertId("no transaction of this transactionID and key is known")
    answer = _choose_polled(found, asked, exchange.received_at)
    if isinstance(answer, HeldRequest) or asked.has_answered(answer.certificate.der):
        return answer_again(answer, exchange, repository, asked)
    granted = asked.issuer.sign_again(answer.certificate, exchange.received_at)
    exchange.renewal_of, exchange.keys = answer.renewal_of, (answer.request_key, key)
    exchange.issued(granted)
    exchange.rule = GRANTED_ELSEWHERE
    repository.add_certificate(granted)
    repository.add_request(exchange.record())
    return granted


def note_names(request: PollRequest, issuer: Name, exchange: Exchange) -> None:
    """RFC 8894 3.3.3: a CertPoll names the CA and the subject; Apple's names itself twice."""
    match request.names:
        case (named, subject) if named.matches(issuer) and str(subject) == exchange.subject:
            return
        case (named, subject):
            detail = f"{named}; {subject}"
        case _:
            detail = "none that can be read"
    exchange.deviations.add(DeviationKind.POLL_NAMES, "issuerAndSubject", detail)


def transaction_key(message: PkiMessage, profile: Profile) -> bytes:
    """A transactionID is its signer's own: two clients may use one (RFC 8894 3.2.1.1)."""
    head = f"{profile.name}\0{message.transaction.transaction_id}\0".encode()
    return sha256(head + message.signer.spki).digest()


def _choose_polled(
    found: list[AnsweredRequest | HeldRequest], asked: Asked, now: datetime
) -> AnsweredRequest | HeldRequest:
    """Which of the answers to one transaction a poll is for: of the CA that is asked, if it has one.

    The newest: certmonger renews, and who was rejected asks anew, under the transactionID of old.
    """
    newest, *older = found
    if _is_of(asked, newest):
        return newest
    return next((one for one in older if _is_of(asked, one) and not _is_refused(one, now)), newest)


def _is_refused(answer: AnsweredRequest | HeldRequest, now: datetime) -> bool:
    return isinstance(answer, HeldRequest) and not is_waiting(answer, now)


def _request_key(request: EnrolmentRequest, profile: Profile, renewal_of: str | None) -> bytes:
    """What makes it the same request: the address, what it renews, and the very CSR."""
    parts = (profile.name, renewal_of or "")
    return sha256("\0".join(parts).encode() + b"\0" + request.csr.der).digest()


def _keep_transaction(
    request: EnrolmentRequest,
    exchange: Exchange,
    same: list[AnsweredRequest | HeldRequest],
    repository: Repository,
) -> None:
    """A held request made again under another transactionID or key may be polled under that too.

    It is asked for once all the same (RFC 8894 5.2: a client recovers by a new PKCSReq).
    """
    held = [one for one in same if isinstance(one, HeldRequest)]
    if held and all(one.transaction_key != exchange.keys[1] for one in held):
        check_transactions(request, len(held))
        repository.add_same(exchange.record(), held[0].root)


def _is_of(asked: Asked, answer: AnsweredRequest | HeldRequest) -> bool:
    """What waits is one request, whichever CA it is sent to: one decision is made on it."""
    return isinstance(answer, HeldRequest) or asked.has_answered(answer.certificate.der)


def _occupies(earlier: AnsweredRequest | HeldRequest, exchange: Exchange) -> bool:
    """Whether its transactionID cannot be used for another CSR: a rejected one leaves it free."""
    return isinstance(earlier, AnsweredRequest) or is_waiting(earlier, exchange.received_at)


def _stands(answer: AnsweredRequest | HeldRequest, exchange: Exchange) -> bool:
    """Whether the answer is still the one to give: its certificate is not due for renewal yet."""
    if isinstance(answer, HeldRequest):
        return True
    certificate = answer.certificate
    due = certificate.not_after - timedelta(days=exchange.profile.renewal_days)
    # One that may be renewed from its first moment on, as where both are 30 days, is never due so.
    always_due = not exchange.profile.renewal_days or due <= certificate.not_before + BACKDATE
    return always_due or exchange.received_at < due
