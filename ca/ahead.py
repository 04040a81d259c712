"""Certificates signed before their transaction, where it looks as if all will be granted.

A store that writes for one at a time keeps all others waiting while a certificate is signed within a
transaction, which takes longer than all else in there. So the signature is made before, once the challenge
password was seen to be good. The transaction decides as if nothing had been signed, and takes the certificate
if it comes to the same; if not, nobody ever sees that one.
"""

from dataclasses import dataclass
from functools import partial

from ca.errors import ScepError, StoreUnavailable
from ca.issuing.authority import Authority
from ca.issuing.content import certificate_content
from ca.issuing.reserved import check_not_reserved
from ca.journal import Exchange
from ca.policy.challenges import challenge_grants
from ca.policy.enrolment import EnrolmentPolicy
from ca.policy.keys import check_key
from ca.policy.recipient import check_own_key
from ca.ports import GoodChallenge, Repository, Store, StoredCertificate
from ca.profiles import CertificateContent, Grants, Lint, Profile
from ca.scep.messages import EnrolmentRequest
from ca.transactions import is_known


@dataclass(frozen=True, slots=True)
class SignedAhead:
    """A certificate that nobody has yet, of *content*, which follows from *grants*."""

    certificate: StoredCertificate
    content: CertificateContent
    grants: Grants


def sign_ahead(
    request: EnrolmentRequest,
    exchange: Exchange,
    policy: EnrolmentPolicy,
    store: Store,
    issuer: Authority,
    authorities: tuple[Authority, ...],
) -> SignedAhead | None:
    """The certificate that *issuer* will probably issue.

    None where none is signed before it is granted: what does not hang on a challenge password alone, what
    would be refused or was answered already, and where the store lets transactions run side by side.
    """
    profile = exchange.profile
    if not store.one_at_a_time or not _is_settled(request, profile):
        return None
    try:
        check_own_key(request)
        check_key(request.csr, profile.keys)
        challenge = store.glance(partial(_find_challenge, request, exchange, policy))
        if challenge is None:
            return None
        grants = challenge_grants(challenge, profile)
        content = certificate_content(request.csr, profile, grants)
        check_not_reserved(content.subject, [one.reserved for one in authorities])
        certificate = issuer.sign_certificate(
            request.csr, content, profile, exchange.transaction.transaction_id, exchange.received_at
        )
    except (ScepError, StoreUnavailable):
        # The transaction comes to the same, and whoever asks hears of it from there.
        return None
    return SignedAhead(certificate, content, grants)


def _find_challenge(
    request: EnrolmentRequest, exchange: Exchange, policy: EnrolmentPolicy, repository: Repository
) -> GoodChallenge | None:
    """The challenge password of a new request; None for one that was answered already.

    Raises:
        ChallengeRejected: It is not good.

    """
    challenge = policy.find_challenge(request, exchange, repository)
    return None if is_known(request, exchange, repository) else challenge


def _is_settled(request: EnrolmentRequest, profile: Profile) -> bool:
    """Whether a challenge password alone decides."""
    decides = profile.challenge_required and not profile.manual_approval and not profile.validator
    is_first = request.signer.is_self_issued and not request.is_renewal
    return decides and is_first and profile.lint is Lint.OFF
