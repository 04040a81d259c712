"""What the inner ring needs from outside, as Protocols, and the records that cross the border."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from time import monotonic
from typing import Protocol, TypeAlias, TypeVar

from ca.profiles import NO_GRANTS, Grants

T = TypeVar("T")
Clock: TypeAlias = Callable[[], datetime]


@dataclass(frozen=True, slots=True)
class Peer:
    """Where a request came from: its address, and what it calls itself (both for people)."""

    remote: str
    client: str = ""


@dataclass(frozen=True, slots=True)
class StoredCertificate:
    """A certificate that was issued. Times are UTC; *serial* is lower-case hexadecimal."""

    serial: str
    der: bytes
    subject: str
    subject_alt_names: tuple[str, ...]
    profile: str
    not_before: datetime
    not_after: datetime
    transaction_id: str
    renewed_from: str | None = None
    revoked_at: datetime | None = None
    reason: str | None = None
    # Its subjectKeyIdentifier, and what stands for its subject in its profile (see policy.limits).
    key_id: bytes = b""
    subject_key: bytes = b""
    # What it is looked up by (see ca.profiles.search_name).
    name: str = ""


@dataclass(frozen=True, slots=True)
class RequestRecord:
    """One PKIOperation as it is remembered.

    *request_key* stands for the CSR at its address and what it renews, *transaction_key* for the
    transactionID of one signer's key: by the first a repeated request is known, by the second a
    poll. *serial* is of the certificate it led to.
    """

    received_at: datetime
    peer: Peer
    transaction_id: str
    message_type: str
    profile: str
    status: str
    subject: str = ""
    serial: str | None = None
    renewal_of: str | None = None
    request_key: bytes = b""
    transaction_key: bytes = b""
    challenge_id: int | None = None
    fail_info: str | None = None
    reason: str = ""
    deviations: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class AnsweredRequest:
    """An earlier request of the same key or content, with the certificate it got."""

    request_key: bytes
    renewal_of: str | None
    certificate: StoredCertificate


@dataclass(frozen=True, slots=True)
class HeldRequest:
    """An earlier request that got no certificate yet: a person decides on it, or has refused it.

    It waits until *decide_by*; *rejection* is why it was refused, empty until it is. *root* is the
    number of the request that is decided on: its own, or that of the same CSR's first arrival.
    """

    root: int
    request_key: bytes
    transaction_key: bytes
    renewal_of: str | None
    subject: str
    decide_by: datetime
    rejection: str


@dataclass(frozen=True, slots=True)
class HeldContent:
    """What has to be kept of a request to decide on it later.

    *csr* and *signer* are DER as received. It waits until *decide_by*, and is forgotten, however it
    ended, at *forget_at*. *issuer* stands for the CA that was asked, as in a :class:`StoredCrl`; empty
    where that was not kept. *status* are the extensions that say where the certificate's status is told,
    as the server that took the request knew it; who approves may not. *grants* are what a challenge
    password or a validator vouched for, as :meth:`ca.profiles.Grants.to_json` writes them. *validator* is
    who was asked about it and is told how it ends, empty where nobody is.
    """

    csr: bytes
    signer: bytes
    decide_by: datetime
    forget_at: datetime
    issuer: str = ""
    status: bytes = b""
    grants: str = ""
    validator: str = ""


@dataclass(frozen=True, slots=True)
class QueuedRequest:
    """A request as the person who decides on it sees it, before or after.

    *status* is ``pending``, ``issued`` or ``refused``. *content* is None where the request was
    never held, or is forgotten by now.
    """

    id: int
    status: str
    record: RequestRecord
    content: HeldContent | None = None
    decided_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Revocation:
    """What a CRL says of a certificate. *serial* is lower-case hexadecimal, *reason* as RFC 5280 names it."""

    serial: str
    revoked_at: datetime
    reason: str


@dataclass(frozen=True, slots=True)
class StoredCrl:
    """A CRL as it is kept. *issuer* stands for the name and key that signed it.

    *der* is empty where the CA may not sign CRLs; its *number* changes with each revocation even so.
    *rebuilt_at* is when all that is on it was last read from the store.
    """

    issuer: str
    number: int
    der: bytes
    this_update: datetime
    next_update: datetime
    rebuilt_at: datetime


@dataclass(frozen=True, slots=True)
class GoodChallenge:
    """A challenge password that is good: the names it is bound to, none for any.

    *sid* is the Windows security identifier that it vouches for. One that is *guessable* was brought
    by a person, and not drawn by chance: guesses at it are counted.
    """

    id: int
    subject: str | None
    subject_alt_names: tuple[str, ...] | None
    sid: str | None = None
    guessable: bool = False


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """One decision, for the audit log: who decided what about whom, and by which rule.

    *actor* is ``device ADDRESS``, ``operator NAME`` or ``server``; *action* what was decided, such as
    ``enrol`` or ``revoke``; *target* whom it concerns, a subject or a number; *outcome* how, such as
    ``issued`` or ``refused``; *rule* what decided it, such as ``challenge 12`` or ``profile.max_active``;
    *detail* whatever else an auditor asks for. No secret in any.
    """

    at: datetime
    actor: str
    action: str
    target: str
    outcome: str
    rule: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Notification:
    """What a validator is told after a decision that it had a part in, kept until it was told.

    *kind* is ``issued`` or ``failed``; *csr* and *certificate* are DER, the latter empty where none was
    issued; *reason* is why not.
    """

    validator: str
    kind: str
    profile: str
    transaction_id: str
    csr: bytes
    certificate: bytes = b""
    reason: str = ""


class Repository(Protocol):
    """The store as one transaction sees it."""

    def find_answered(
        self, request_key: bytes, transaction_key: bytes, now: datetime
    ) -> list[AnsweredRequest | HeldRequest]:
        """Requests with either key, newest first.

        Those whose certificate is neither revoked nor expired, and those that wait for a person or
        were refused by one and are not forgotten yet.
        """

    def find_certificate(self, serial: str) -> StoredCertificate | None:
        """The certificate of that serial number."""

    def find_challenge(
        self, mac: bytes, profile: str, now: datetime, *, guessable: bool = True
    ) -> GoodChallenge:
        """What the challenge password of that MAC is good for, if it is.

        Without *guessable* those that a person brought are as good as none.

        Raises:
            ChallengeRejected: It is unknown, used, expired, or of another profile.

        """

    def spend_challenge(
        self, mac: bytes, profile: str, subject: str, now: datetime, *, guessable: bool = True
    ) -> GoodChallenge:
        """Use up what :meth:`find_challenge` finds, for *subject*, which is noted beside it.

        Raises:
            ChallengeRejected: As there.

        """

    def add_certificate(self, certificate: StoredCertificate) -> None:
        """Keep an issued certificate."""

    def add_request(self, request: RequestRecord) -> None:
        """Keep a request, however it ended."""

    def add_audit(self, entry: AuditEntry) -> None:
        """Write the next entry of the audit log."""

    def add_notification(self, notification: Notification, at: datetime) -> None:
        """Keep what a validator has to be told, until it was."""

    def is_compromised(self, key_id: bytes) -> bool:
        """Whether a certificate for that key was revoked because others may have the key."""

    def find_active(self, subject_key: bytes, now: datetime) -> list[StoredCertificate]:
        """Certificates of that subject and profile that are neither revoked nor expired, oldest first."""

    def find_by_key(self, key_id: bytes, now: datetime) -> list[StoredCertificate]:
        """Certificates of that public key that are neither revoked nor expired, oldest first."""

    def count_pending(self, profile: str, remote: str, now: datetime) -> tuple[int, int]:
        """How many requests of a profile wait for a person, and how many of them are of one peer.

        Who that is, see :func:`ca.policy.source.source_of`.
        """

    def add_held(self, request: RequestRecord, content: HeldContent) -> None:
        """Keep a request until a person has decided on it."""

    def add_same(self, request: RequestRecord, root: int) -> None:
        """Keep that the held request *root* was also made under the keys of *request*."""

    def move_held(self, root: int, issuer: str, status: bytes, unless: tuple[str, ...]) -> None:
        """Have another CA issue for the held request *root*, as *issuer* and *status* of its content say.

        It stays as it is where its CA is one of *unless*, or where it is decided on.
        """

    def find_request(self, request_id: int, now: datetime) -> QueuedRequest | None:
        """The request of that number.

        Raises:
            DecisionImpossible: What was kept of it cannot be read.

        """

    def settle_issued(self, request_id: int, serial: str, now: datetime) -> None:
        """Give a pending request its certificate.

        Raises:
            DecisionImpossible: It is not pending any more.

        """

    def settle_refused(self, request_id: int, reason: str, now: datetime, forget_at: datetime) -> None:
        """Refuse a pending request for good.

        Raises:
            DecisionImpossible: It is not pending any more.

        """

    def restore_challenge(self, request_id: int) -> bool:
        """Give back the use that a held request made of a challenge password.

        False where it made none, or the password has no limit or is revoked.
        """

    def revoke_certificate(self, serial: str, at: datetime, reason: str, issuer_key: bytes) -> bool:
        """Mark a certificate as revoked by the CA of that key (see :func:`ca.issuing.authority.issuer_key`).

        False where it is revoked already, or there is none.
        """

    def change_reason(self, serial: str, before: str, after: str) -> bool:
        """Give another reason for a revocation, which keeps its time. False where *before* is not it."""

    def release_certificate(self, serial: str, reason: str) -> bool:
        """Take back a revocation for *reason*. False where it is not revoked for that."""

    def list_revoked(
        self, issuer_key: bytes, *, revoked_since: datetime | None = None, ended_since: datetime | None = None
    ) -> Iterator[Revocation]:
        """What is revoked of one CA, the first revoked in front; read from the store as it is asked for.

        With either time those alone that were revoked, or that ended, then or later.
        """

    def find_crl(self, issuer: str) -> StoredCrl | None:
        """The newest CRL of an issuer."""

    def find_crl_number(self, issuer: str) -> int:
        """The number of the newest CRL of an issuer; 0 where there is none."""

    def last_crl_number(self) -> int:
        """The highest number that any CRL had; 0 before the first.

        Whoever asks is alone with making a CRL until the transaction ends.
        """

    def put_crl(self, crl: StoredCrl) -> None:
        """Keep a CRL in the place of its issuer's last one."""


@dataclass(frozen=True, slots=True)
class Applicant:
    """What a validator is told of a request. *csr* and *signer* are DER, times UTC.

    *subject_alt_names* are as ``dns:host``; *key_type* as ``rsa:2048``; *renewal_of* is the serial number
    of the certificate that a renewal is signed with, empty for a first enrolment. *asked_at* is when the
    time began that a validator has, by ``time.monotonic``: waiting for its turn is part of it.
    """

    profile: str
    transaction_id: str
    message_type: str
    csr: bytes
    signer: bytes
    signer_chain: tuple[bytes, ...]
    challenge_password: str | None
    subject: str
    subject_alt_names: tuple[str, ...]
    key_type: str
    renewal_of: str
    remote: str
    client: str
    received_at: datetime
    asked_at: float = field(default_factory=monotonic, compare=False)


@dataclass(frozen=True, slots=True)
class Allowed:
    """A validator says yes. *grants* are the names it vouches for; *note* says why, for the audit log."""

    grants: Grants = NO_GRANTS
    note: str = ""


@dataclass(frozen=True, slots=True)
class Denied:
    """A validator says no. *reason* is told to the device, *detail* to the log alone."""

    reason: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Deferred:
    """A validator leaves it to a person. *note* says why."""

    grants: Grants = NO_GRANTS
    note: str = ""


Verdict: TypeAlias = Allowed | Denied | Deferred


class Validator(Protocol):
    """Somebody else who decides on requests, instead of a challenge password or besides it."""

    @property
    def name(self) -> str:
        """What the settings call it."""

    @property
    def wants_notifications(self) -> bool:
        """Whether it is told what came of the requests that it allowed."""

    def decide(self, applicant: Applicant) -> Verdict:
        """Decide. Ends within the validator's time limit from *asked_at* on; runs outside of any transaction.

        Raises:
            ValidatorUnavailable: It gave no verdict in time, or none that can be understood.

        """


class Linter(Protocol):
    """Judges certificates before they are issued."""

    def objections(self, certificate: bytes) -> list[str]:
        """What is wrong with a DER certificate, whatever its signature; nothing where it is sound."""


class GuessLimit(Protocol):
    """How many wrong challenge passwords are taken in, from one source and from all together."""

    def note_wrong(self, remote: str) -> None:
        """Count a wrong one that came from the address *remote*."""

    def is_exhausted(self, remote: str) -> bool:
        """Whether there were too many, from where *remote* is or from everywhere."""


class QueryLimit(Protocol):
    """How many queries are answered to one source (RFC 8894 7.8)."""

    def admits(self, remote: str) -> bool:
        """Count a query that came from the address *remote*, and say whether there is room for it."""


class Store(Protocol):
    """Where the outcomes are kept."""

    def transact(self, work: Callable[[Repository], T]) -> T:
        """Run *work* as one transaction, and return what it returns once that is durable.

        What *work* raises undoes all it did. It may run on another thread, beside others' work,
        and must not call the store. Where another server was faster it is undone and run anew, so
        that whatever it notes elsewhere has to be noted anew as well.

        Raises:
            StoreUnavailable: The store could not write.

        """

    def read(self, work: Callable[[Repository], T]) -> T:
        """Run *work*, which only reads, on one state of the store, whoever writes meanwhile.

        Raises:
            StoreUnavailable: The store could not be read.

        """

    @property
    def one_at_a_time(self) -> bool:
        """Whether its transactions wait for each other: what computes in one keeps all others waiting."""

    def glance(self, work: Callable[[Repository], T]) -> T:
        """Run *work*, which asks for little, on what is committed now.

        It costs a fraction of :meth:`read`, and what it saw may be over by the time that it returns.

        Raises:
            StoreUnavailable: The store could not be read.

        """
