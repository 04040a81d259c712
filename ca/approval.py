"""A person's decision on a request that waits: a certificate, or a refusal with its reason.

The certificate is signed here, at the decision, and not at the device's next poll: it is refused
where it can no longer be had while somebody is there to read why, and the listener needs no CA key.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from ca.deviations import Deviations
from ca.errors import BadAlgorithm, BadRequest, DecisionImpossible, RenewalRefused
from ca.issuing.authority import Authority
from ca.issuing.content import certificate_content
from ca.issuing.crl import CRL_LIFETIME, issuer_id
from ca.issuing.draft import check_lint
from ca.issuing.reserved import check_not_reserved
from ca.journal import log_line
from ca.policy.active import find_surplus, make_room
from ca.policy.keys import check_key, check_key_use
from ca.policy.renewal import find_renewed, standing_objection
from ca.policy.renewal_names import renewal_grants
from ca.ports import (
    AuditEntry,
    Clock,
    HeldContent,
    Linter,
    Notification,
    QueuedRequest,
    Repository,
    RequestRecord,
    Store,
    StoredCertificate,
)
from ca.profiles import CertificateContent, Grants, Lint, Profile
from ca.succession import OtherCa, find_asked, moves_on
from ca.x509.certificate import Certificate
from ca.x509.request import CertificationRequest, UnprovenRequest

MAX_REASON = 200


@dataclass(frozen=True, slots=True)
class Approval:
    """What came of an approval: the certificate, what the linter objects to in it, and the serial numbers
    of those that were revoked to make room for it.
    """

    certificate: StoredCertificate
    lint: tuple[str, ...] = ()
    revoked: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Draft:
    """What would be issued, for the linter."""

    authority: Authority
    csr: CertificationRequest
    content: CertificateContent
    profile: Profile


class _NeedsLint(Exception):
    """*draft* has to be linted, outside of the transaction that this undoes (see ``consultation``)."""

    def __init__(self, draft: _Draft) -> None:
        super().__init__()
        self.draft = draft


@dataclass(frozen=True, slots=True)
class _Linted:
    """A content that was linted, and what the linter objects to in it."""

    content: CertificateContent | None = None
    objections: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ApprovalDesk:
    """Where a person approves and rejects, in whatever process.

    *memory* is how long a refusal is told to a device that asks again; *others* are the CAs beside
    the one of today. A request gets its certificate from the CA that it was sent to. *notified* are the
    validators that are told what came of the requests that they had a part in. *actor* is who decides,
    for the audit log.
    """

    authority: Authority
    store: Store
    clock: Clock
    profiles: Mapping[str, Profile]
    memory: timedelta
    others: tuple[OtherCa, ...] = ()
    notified: frozenset[str] = frozenset()
    linter: Linter | None = None
    crl_lifetime: timedelta = CRL_LIFETIME
    actor: str = "operator"

    def approve(self, request_id: int) -> Approval:
        """Issue what was asked for, once; the device gets it when it polls.

        It is linted beforehand, for that takes seconds in a process that has just begun, and nobody else
        can write while a transaction is open.

        Raises:
            DecisionImpossible: It does not wait; or it would be refused now, and goes on waiting.
            StoreUnavailable: Nothing was issued.

        """
        linted = _Linted()
        while True:
            try:
                return self._attempt(request_id, linted)
            except _NeedsLint as need:
                linted = self._lint(need.draft)

    def reject(self, request_id: int, reason: str) -> int | None:
        """Refuse it for good; the device hears *reason* when it polls.

        Nothing was issued for the challenge password that authorised the request, and so that gets
        its use back: who was rejected for a mistake can mend it without a new password. Its number is
        returned, None where there is none to use again.

        Raises:
            ValueError: *reason* is none that a device can be told.
            DecisionImpossible: It does not wait.
            StoreUnavailable: Nothing was changed.

        """
        reason = check_reason(reason)
        return self.store.transact(lambda repository: self._reject(request_id, reason, repository))

    def _attempt(self, request_id: int, linted: _Linted) -> Approval:
        return self.store.transact(lambda repository: self._approve(request_id, repository, linted))

    def _lint(self, draft: _Draft) -> _Linted:
        try:
            objections = check_lint(
                self.linter, draft.authority, draft.csr, draft.content, draft.profile, self.clock()
            )
        except BadRequest as refusal:
            raise DecisionImpossible(f"cannot be issued any more, only rejected: {refusal}") from refusal
        return _Linted(draft.content, objections)

    def _approve(self, request_id: int, repository: Repository, linted: _Linted) -> Approval:
        now = self.clock()
        queued, held = _find_waiting(request_id, repository, now)
        record = queued.record
        profile = self._profile(record.profile)
        authority = find_asked(held.issuer, self.authority, self.others, now)
        try:
            # It was proven on its arrival, but the profile may accept less by now.
            csr = UnprovenRequest(held.csr, Deviations()).read(profile.crypto, Deviations())
            check_key(csr, profile.keys)
            content = self._content(csr, record, held, profile, repository, authority)
            renewed = repository.find_certificate(record.renewal_of) if record.renewal_of else None
            check_not_reserved(content.subject, [one.reserved for one in self._authorities])
            check_key_use(csr, content, profile, renewed, repository, now)
            surplus = find_surplus(content, profile, record.renewal_of, repository, now)
            if profile.lint is not Lint.OFF and linted.content != content:
                raise _NeedsLint(_Draft(authority, csr, content, profile))
            make_room(surplus, self._authorities, repository, now, self.crl_lifetime)
            is_asked = issuer_id(authority.certificate) == held.issuer
            certificate = authority.sign_certificate(
                csr,
                content,
                profile,
                record.transaction_id,
                now,
                renewed_from=record.renewal_of,
                # Each CA tells of its own certificates only.
                status=held.status if is_asked else b"",
            )
        except (BadAlgorithm, BadRequest) as refusal:
            raise DecisionImpossible(f"cannot be issued any more, only rejected: {refusal}") from refusal
        repository.add_certificate(certificate)
        repository.settle_issued(request_id, certificate.serial, now)
        self._announce(record, held, repository, now, certificate=certificate.der)
        revoked = tuple(one.serial for one in surplus)
        detail = log_line(
            serial=certificate.serial,
            subject=certificate.subject,
            profile=profile.name,
            lint=",".join(linted.objections),
            revoked=",".join(revoked),
        )
        self._audit("approve", request_id, "issued", detail, repository, now)
        return Approval(certificate, linted.objections, revoked)

    def _reject(self, request_id: int, reason: str, repository: Repository) -> int | None:
        now = self.clock()
        queued, held = _find_waiting(request_id, repository, now)
        repository.settle_refused(request_id, reason, now, now + self.memory)
        self._announce(queued.record, held, repository, now, reason=reason)
        detail = log_line(reason=reason, subject=queued.record.subject, profile=queued.record.profile)
        self._audit("reject", request_id, "refused", detail, repository, now)
        return queued.record.challenge_id if repository.restore_challenge(request_id) else None

    def _audit(
        self,
        action: str,
        request_id: int,
        outcome: str,
        detail: str,
        repository: Repository,
        now: datetime,
    ) -> None:
        target = f"request {request_id}"
        repository.add_audit(AuditEntry(now, self.actor, action, target, outcome, "operator", detail))

    def _profile(self, name: str) -> Profile:
        if name not in self.profiles:
            raise DecisionImpossible(f"is of profile {name}, which is not in the settings any more")
        return self.profiles[name]

    @property
    def _authorities(self) -> tuple[Authority, ...]:
        return (self.authority, *(other.authority for other in self.others))

    def _announce(
        self,
        record: RequestRecord,
        held: HeldContent,
        repository: Repository,
        now: datetime,
        *,
        certificate: bytes = b"",
        reason: str = "",
    ) -> None:
        """Have the validator that was asked about it told what a person decided."""
        if held.validator in self.notified:
            kind = "issued" if certificate else "failed"
            told = Notification(
                held.validator, kind, record.profile, record.transaction_id, held.csr, certificate, reason
            )
            repository.add_notification(told, now)

    def _content(
        self,
        csr: CertificationRequest,
        record: RequestRecord,
        held: HeldContent,
        profile: Profile,
        repository: Repository,
        authority: Authority,
    ) -> CertificateContent:
        """What the certificate holds, by the profile of today and what was vouched for then.

        A renewal asked for in time stays one, however long a person takes, but not once revoked.
        """
        if record.renewal_of is None:
            return certificate_content(csr, profile, Grants.from_json(held.grants))
        signer = Certificate.load(held.signer)
        issuers = [one.certificate for one in self._authorities]
        renewed = find_renewed(signer, issuers, repository)
        if renewed is None:
            raise RenewalRefused("the certificate that signed this renewal is not of this CA")
        content = certificate_content(csr, profile, renewal_grants(csr, renewed, profile))
        moves = moves_on(renewed.der, authority, self.authority, self.others)
        objection = standing_objection(
            signer, renewed, issuers, content, profile, record.received_at, moves=moves
        )
        if objection is not None:
            raise objection
        if profile.renewal_same_names:
            return content
        return certificate_content(csr, profile, Grants.from_json(held.grants))


def check_reason(reason: str) -> str:
    """*reason* without the spaces around it, fit for a failInfoText (RFC 8894 3.2.1.4).

    Raises:
        ValueError: It is empty, too long, or not one line of text.

    """
    reason = reason.strip()
    if not 1 <= len(reason) <= MAX_REASON or not reason.isprintable():
        raise ValueError(f"a reason has 1 to {MAX_REASON} printable characters in one line")
    return reason


def _find_waiting(
    request_id: int, repository: Repository, now: datetime
) -> tuple[QueuedRequest, HeldContent]:
    queued = repository.find_request(request_id, now)
    if queued is None:
        raise DecisionImpossible("is not known")
    if queued.status == "issued":
        raise DecisionImpossible(f"was issued already: certificate {queued.record.serial}")
    if queued.status != "pending" or queued.content is None:
        raise DecisionImpossible(f"was refused already: {queued.record.reason}; the device has to ask anew")
    return queued, queued.content
