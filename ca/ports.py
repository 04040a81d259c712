"""What the inner ring needs from outside, as Protocols, and the records that cross the border."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol, TypeAlias, TypeVar

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
class StoredCrl:
    """A CRL as it is kept. *issuer* stands for the name and key that signed it.

    *der* is empty where the CA may not sign CRLs; its *number* changes with each revocation even so.
    """

    issuer: str
    number: int
    der: bytes
    this_update: datetime
    next_update: datetime


@dataclass(frozen=True, slots=True)
class SpentChallenge:
    """A challenge password that was just used: the names it is bound to, none for any."""

    id: int
    subject: str | None
    subject_alt_names: tuple[str, ...] | None


class Repository(Protocol):
    """The store as one transaction sees it."""

    def find_answered(
        self, request_key: bytes, transaction_key: bytes, now: datetime
    ) -> list[AnsweredRequest]:
        """Requests with either key whose certificate is neither revoked nor expired, newest first."""

    def find_certificate(self, serial: str) -> StoredCertificate | None:
        """The certificate of that serial number."""

    def spend_challenge(self, mac: bytes, profile: str, now: datetime) -> SpentChallenge:
        """Use up the challenge password of that MAC.

        Raises:
            ChallengeRejected: It is unknown, used, expired, or of another profile.

        """

    def add_certificate(self, certificate: StoredCertificate) -> None:
        """Keep an issued certificate."""

    def add_request(self, request: RequestRecord) -> None:
        """Keep a request, however it ended."""

    def revoke_certificate(self, serial: str, at: datetime, reason: str) -> bool:
        """Mark a certificate as revoked. False where it is revoked already, or there is none."""

    def change_reason(self, serial: str, before: str, after: str) -> bool:
        """Give another reason for a revocation, which keeps its time. False where *before* is not it."""

    def release_certificate(self, serial: str, reason: str) -> bool:
        """Take back a revocation for *reason*. False where it is not revoked for that."""

    def list_revoked(self, since: datetime | None) -> list[StoredCertificate]:
        """Revoked certificates; with *since* those alone that ended or were revoked then or later."""

    def find_crl(self, issuer: str) -> StoredCrl | None:
        """The newest CRL of an issuer."""

    def last_crl_number(self) -> int:
        """The highest number that any CRL had; 0 before the first."""

    def put_crl(self, crl: StoredCrl) -> None:
        """Keep a CRL in the place of its issuer's last one."""


class Store(Protocol):
    """Where the outcomes are kept."""

    def transact(self, work: Callable[[Repository], T]) -> T:
        """Run *work* as one transaction, and return what it returns once that is durable.

        What *work* raises undoes all it did. It may run on another thread, beside others' work,
        and must not call the store.

        Raises:
            StoreUnavailable: The store could not write.

        """
