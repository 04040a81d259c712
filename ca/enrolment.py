"""The road of an enrolment from a proven request to a certificate, a wait or a refusal.

All that is decided is decided in one transaction; what has to be asked outside of it is asked between
two (see ``consultation``).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta

from ca.ahead import SignedAhead, sign_ahead
from ca.algorithms.keys import key_label
from ca.consultation import Findings, NeedsLint, NeedsVerdict
from ca.errors import SubjectRefused, ValidatorDenied, ValidatorUnavailable, WishRefused
from ca.issuing.authority import Authority
from ca.issuing.content import certificate_content, check_wishes, requested_names
from ca.issuing.crl import issuer_id
from ca.issuing.draft import check_lint
from ca.issuing.reserved import check_not_reserved
from ca.journal import Exchange
from ca.laps import Stage
from ca.policy.active import find_surplus, make_room
from ca.policy.challenges import challenge_grants
from ca.policy.enrolment import EnrolmentPolicy
from ca.policy.keys import check_key, check_key_use
from ca.policy.queue import Queue
from ca.policy.recipient import check_own_key
from ca.policy.renewal import find_renewed
from ca.policy.renewal_names import grants_over, renewal_grants, says_otherwise, settled_grants
from ca.policy.trusted_signer import TrustedSigner
from ca.ports import (
    Allowed,
    Applicant,
    Deferred,
    Denied,
    GoodChallenge,
    Linter,
    Repository,
    Store,
    StoredCertificate,
    Validator,
    Verdict,
)
from ca.profiles import NO_GRANTS, CertificateContent, Grants, Lint, Profile
from ca.scep.messages import EnrolmentRequest, Pending
from ca.succession import Asked, OtherCa, moves_on
from ca.tally import RefusalTally
from ca.transactions import GRANTED_ELSEWHERE, earlier_answer


@dataclass(frozen=True, slots=True)
class Enrolments:
    """Decides on enrolments and renewals, and issues what is granted.

    *consult* has the validator of that name asked, and *elsewhere* something computed that takes long;
    both let others be answered meanwhile.
    """

    authority: Authority
    policy: EnrolmentPolicy
    store: Store
    queue: Queue
    others: tuple[OtherCa, ...]
    crl_lifetime: timedelta
    validators: Mapping[str, Validator]
    linter: Linter | None
    consult: Callable[[str, Callable[[], Verdict]], Verdict]
    elsewhere: Callable[[Callable[[], object]], None]
    tally: RefusalTally

    def answer(
        self, request: EnrolmentRequest, exchange: Exchange, asked: Asked
    ) -> StoredCertificate | Pending:
        """Issue, once, or keep the request for who decides on it.

        Raises:
            ScepError: It is refused.
            StoreUnavailable: The outcome could not be kept; nothing was issued.

        """
        exchange.laps.enter(Stage.DECIDE)
        found = Findings(
            ahead=sign_ahead(request, exchange, self.policy, self.store, asked.issuer, self._authorities)
        )
        while True:
            try:
                return self._attempt(request, exchange, asked, found)
            except NeedsVerdict:
                found = replace(found, verdict=self._ask(request, exchange))
            except NeedsLint as need:
                self._lint(request, exchange, asked, need.content)
                found = replace(found, linted=need.content)

    def _attempt(
        self, request: EnrolmentRequest, exchange: Exchange, asked: Asked, found: Findings
    ) -> StoredCertificate | Pending:
        # Where another server was faster, it is done anew.
        return exchange.laps.transact(
            self.store, lambda store: self._enrol(request, exchange.anew(), store, asked, found)
        )

    def _enrol(
        self,
        request: EnrolmentRequest,
        exchange: Exchange,
        repository: Repository,
        asked: Asked,
        found: Findings,
    ) -> StoredCertificate | Pending:
        renewed = find_renewed(request.signer, self.policy.issuers, repository)
        if renewed is not None:
            earlier = earlier_answer(request, exchange, renewed.serial, repository, asked)
            if earlier is not None:
                return earlier
        check_key(request.csr, exchange.profile.keys)
        renewal = self._renewal(request, renewed, exchange, asked)
        if renewal is None:
            check_own_key(request)
            earlier = earlier_answer(request, exchange, None, repository, asked)
            if earlier is not None:
                return earlier
        basis = renewed.serial if renewed and renewal else None
        if exchange.granted_before is not None:
            exchange.rule = GRANTED_ELSEWHERE
            grants = settled_grants(exchange.granted_before)
            content = certificate_content(request.csr, exchange.profile, grants)
            self._check_subject(content)
            return self._issue(request, content, exchange, repository, asked, basis)
        return self._decide(request, renewed, renewal, exchange, repository, asked, found)

    def _decide(
        self,
        request: EnrolmentRequest,
        renewed: StoredCertificate | None,
        renewal: tuple[CertificateContent, Grants] | None,
        exchange: Exchange,
        repository: Repository,
        asked: Asked,
        found: Findings,
    ) -> StoredCertificate | Pending:
        """Ask all who have to say yes to a new request, the dearest last, and do what they say."""
        profile, now = exchange.profile, exchange.received_at
        basis = renewed.serial if renewed and renewal else None
        challenge = None
        if renewal is None or request.needs_challenge:
            challenge = self.policy.spend_challenge(request, exchange, repository)
        verdict = self._verdict(request, exchange, found, renews=renewal is not None)
        grants = _grants(challenge, verdict, exchange)
        if renewal is not None and profile.renewal_same_names:
            content, grants = renewal
            if verdict is not None and says_otherwise(verdict.grants, grants):
                exchange.add_note("names that the validator says do not count: renewal_same_names = true")
        else:
            grants = grants if renewal is None else grants_over(grants, renewal[1])
            content = _content(request, profile, grants, found.ahead)
        self._check_subject(content)
        exchange.dropped = content.dropped
        if challenge is not None:
            self.policy.check_bounds(challenge, request, content, grants, exchange.peer.remote)
        check_key_use(request.csr, content, profile, renewed if renewal else None, repository, now)
        surplus = find_surplus(content, profile, basis, repository, now)
        exchange.rule = _rule(basis, challenge, exchange)
        if profile.manual_approval or isinstance(verdict, Deferred):
            return self._hold(request, grants, exchange, repository, asked)
        if profile.lint is not Lint.OFF and found.linted != content:
            raise NeedsLint(content)
        make_room(surplus, self._authorities, repository, now, self.crl_lifetime)
        for one in surplus:
            exchange.superseded(one.serial)
        ahead = found.ahead if found.ahead and found.ahead.content is content else None
        return self._issue(request, content, exchange, repository, asked, basis, ahead)

    def _check_subject(self, content: CertificateContent) -> None:
        check_not_reserved(content.subject, [one.reserved for one in self._authorities])

    @property
    def _authorities(self) -> tuple[Authority, ...]:
        return (self.authority, *(other.authority for other in self.others))

    def _renewal(
        self,
        request: EnrolmentRequest,
        renewed: StoredCertificate | None,
        exchange: Exchange,
        asked: Asked,
    ) -> tuple[CertificateContent, Grants] | None:
        """What a renewal would hold, and by which grants, that *renewed* authorises.

        None where a challenge has to.
        """
        if renewed is None:
            self.policy.check_not_renewal(request)
            return None
        profile = exchange.profile
        grants = renewal_grants(request.csr, renewed, profile)
        try:
            content = certificate_content(request.csr, profile, grants)
        except (SubjectRefused, WishRefused):
            if self.policy.is_only_renewal(request):
                raise
            # A challenge password may vouch for what the old certificate does not.
            return None
        moves = moves_on(renewed.der, asked.issuer, self.authority, self.others)
        is_renewal = self.policy.is_renewal(
            request, renewed, content, profile, exchange.received_at, moves=moves
        )
        return (content, grants) if is_renewal else None

    def _verdict(
        self, request: EnrolmentRequest, exchange: Exchange, found: Findings, *, renews: bool
    ) -> Allowed | Deferred | None:
        """What the profile's validator says, None where it is not asked.

        Raises:
            NeedsVerdict: It has not said anything yet.

        """
        profile = exchange.profile
        if not profile.validator or (renews and not profile.validate_renewals):
            return None
        if found.verdict is None:
            # Whom nobody could allow that is not asked about.
            check_wishes(request.csr)
            raise NeedsVerdict
        return found.verdict

    def _ask(self, request: EnrolmentRequest, exchange: Exchange) -> Allowed | Deferred:
        """Ask the profile's validator, outside of any transaction.

        Raises:
            ValidatorDenied: It says no.
            ValidatorUnavailable: It says nothing, or there is none of that name: nothing is issued then.

        """
        exchange.laps.enter(Stage.CONSULT)
        name = exchange.profile.validator
        validator = self.validators.get(name)
        if validator is None:
            raise ValidatorUnavailable(detail=f"there is no validator {name}")
        applicant = _applicant(request, exchange)
        if isinstance(validator, TrustedSigner):
            # It asks nobody, and so waits behind nobody.
            verdict = validator.decide(applicant)
        else:
            verdict = self.consult(name, lambda: validator.decide(applicant))
        if isinstance(verdict, Denied):
            raise ValidatorDenied(verdict.reason, detail=f"validator {name}: {verdict.detail}")
        exchange.validator = name
        exchange.note = verdict.note
        exchange.announced = request.csr.der if validator.wants_notifications else b""
        return verdict

    def _lint(
        self, request: EnrolmentRequest, exchange: Exchange, asked: Asked, content: CertificateContent
    ) -> None:
        """Have what would be issued looked at, outside of any transaction.

        Raises:
            LintRefused: It breaks a rule, and the profile blocks that.

        """
        exchange.laps.enter(Stage.CONSULT)
        profile, now = exchange.profile, exchange.received_at

        def look() -> None:
            exchange.lint = check_lint(self.linter, asked.issuer, request.csr, content, profile, now)

        self.elsewhere(look)

    def _issue(
        self,
        request: EnrolmentRequest,
        content: CertificateContent,
        exchange: Exchange,
        repository: Repository,
        asked: Asked,
        basis: str | None,
        ahead: SignedAhead | None = None,
    ) -> StoredCertificate:
        """Issue what is granted, by the CA that is asked, and keep it."""
        if ahead is not None:
            certificate = ahead.certificate
        else:
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
        exchange.write_audit(repository, self.tally)
        if exchange.announced:
            repository.add_notification(exchange.notification(certificate.der), exchange.received_at)
        return certificate

    def _hold(
        self,
        request: EnrolmentRequest,
        grants: Grants,
        exchange: Exchange,
        repository: Repository,
        asked: Asked,
    ) -> Pending:
        """Keep a request that is granted but for a person's word. Its challenge password stays spent."""
        profile, remote = exchange.profile.name, exchange.peer.remote
        content = self.queue.admit(request, profile, remote, repository, exchange.received_at)
        exchange.held(exchange.subject)
        issuer = asked.issuer
        kept = replace(
            content,
            issuer=issuer_id(issuer.certificate),
            status=issuer.status,
            grants=grants.to_json(),
            validator=exchange.validator if exchange.announced else "",
        )
        repository.add_held(exchange.record(), kept)
        exchange.write_audit(repository, self.tally)
        return Pending()


def _content(
    request: EnrolmentRequest, profile: Profile, grants: Grants, ahead: SignedAhead | None
) -> CertificateContent:
    if ahead is not None and ahead.grants == grants:
        return ahead.content
    return certificate_content(request.csr, profile, grants)


def _grants(
    challenge: GoodChallenge | None, verdict: Allowed | Deferred | None, exchange: Exchange
) -> Grants:
    """What challenge password and validator vouch for together; the validator knows better."""
    grants = NO_GRANTS if challenge is None else challenge_grants(challenge, exchange.profile)
    return grants if verdict is None else verdict.grants.over(grants)


def _rule(basis: str | None, challenge: GoodChallenge | None, exchange: Exchange) -> str:
    """What granted a request, for the audit log: all that had to say yes."""
    said = [f"renewal of {basis}"] if basis else []
    if challenge is not None:
        said.append(f"challenge {challenge.id}")
    if exchange.validator:
        said.append(f"validator {exchange.validator}")
    return ", ".join(said) or "approval by hand"


def _applicant(request: EnrolmentRequest, exchange: Exchange) -> Applicant:
    csr = request.csr
    return Applicant(
        profile=exchange.profile.name,
        transaction_id=exchange.transaction.transaction_id,
        message_type=request.message.message_type.label,
        csr=csr.der,
        signer=request.signer.der,
        signer_chain=tuple(one.der for one in request.message.companions),
        challenge_password=csr.challenge_password,
        subject=str(csr.subject),
        subject_alt_names=tuple(map(str, requested_names(csr))),
        key_type=key_label(csr.public_key),
        renewal_of=exchange.renewal_of or "",
        remote=exchange.peer.remote,
        client=exchange.peer.client,
        received_at=exchange.received_at,
    )
