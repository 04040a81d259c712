"""The decision on an enrolment: a living certificate of ours, or a challenge password, or no."""

from dataclasses import dataclass
from datetime import datetime

from ca.errors import ChallengeRejected, ChallengeReused, RenewalRefused, TooManyGuesses
from ca.policy.challenges import ChallengeKey, check_bounds
from ca.policy.guesses import UNLIMITED
from ca.policy.renewal import renewal_objection
from ca.ports import GuessLimit, Repository, SpentChallenge, StoredCertificate
from ca.profiles import CertificateContent, Profile
from ca.scep.messages import EnrolmentRequest
from ca.x509.certificate import Certificate


@dataclass(frozen=True, slots=True)
class EnrolmentPolicy:
    """Who may have a certificate from *issuer*.

    *others* are further CAs of this server, former ones for one: their certificates renew too.
    *guesses* counts wrong challenge passwords.
    """

    issuer: Certificate
    challenge_key: ChallengeKey
    others: tuple[Certificate, ...] = ()
    guesses: GuessLimit = UNLIMITED

    @property
    def issuers(self) -> tuple[Certificate, ...]:
        """Every CA of this server."""
        return (self.issuer, *self.others)

    def renewal_basis(
        self,
        request: EnrolmentRequest,
        renewed: StoredCertificate | None,
        content: CertificateContent,
        profile: Profile,
        now: datetime,
        *,
        moves: bool = False,
    ) -> str | None:
        """The serial number of the certificate that authorises *request*, None if a challenge must.

        *renewed* is the certificate of ours that signed the request, if one did. That counts for
        PKCSReq as for RenewalReq (macOS, certmonger and sscep renew by PKCSReq). A self-signed
        certificate never counts for anything (RFC 8894 2.4). It *moves* where another CA is asked than
        the one that issued what it renews.

        Raises:
            RenewalRefused: It can only be a renewal, and is not one that may be had.
            BadAlgorithm: The same, for the digest of its signature.

        """
        if renewed is None:
            if request.is_renewal and not request.signer.is_self_issued:
                raise RenewalRefused("the renewal is not signed by a certificate of this CA")
            return None
        objection = renewal_objection(request, renewed, self.issuers, content, profile, now, moves=moves)
        if objection is None:
            return renewed.serial
        # An ordinary enrolment may be signed by any certificate, an old one of ours too.
        if request.is_renewal or request.csr.challenge_password is None:
            raise objection
        return None

    def spend_challenge(
        self,
        request: EnrolmentRequest,
        content: CertificateContent,
        profile: Profile,
        repository: Repository,
        now: datetime,
        remote: str,
    ) -> int | None:
        """Use up the challenge password of *request*, which came from *remote*, and return its number.

        Checked last of all.

        None where the profile asks for none, because a person decides on each request.

        Raises:
            ChallengeRejected: There is none, it is not good, or it is for other names.

        """
        if not profile.challenge_required:
            if profile.manual_approval:
                return None
            # Nothing but a challenge or a person authorises a first enrolment: without, nothing does.
            raise ChallengeRejected(detail=f"profile {profile.name} takes renewals only")
        challenge_password = request.csr.challenge_password
        if challenge_password is None:
            raise ChallengeRejected(detail="the CSR has no challengePassword")
        return self._spend(challenge_password, content, profile, repository, now, remote).id

    def _spend(
        self,
        challenge_password: str,
        content: CertificateContent,
        profile: Profile,
        repository: Repository,
        now: datetime,
        remote: str,
    ) -> SpentChallenge:
        """Use it up, unless it could be a guess and there were too many of them.

        Every one that is not accepted counts, whatever is wrong with it: who could tell by the count
        whether a guess hit one that is spent, expired or another's would have learnt something.
        """
        exhausted = self.guesses.is_exhausted(remote)
        mac, subject = self.challenge_key.mac(challenge_password), str(content.subject)
        try:
            challenge = repository.spend_challenge(mac, profile.name, subject, now, guessable=not exhausted)
            check_bounds(challenge, content)
        except ChallengeRejected as rejection:
            self.guesses.note_wrong(remote)
            # Nobody guessed the one that is known to have been good.
            if not exhausted or isinstance(rejection, ChallengeReused):
                raise
            why = "too many wrong guesses from this address or altogether; try again in a minute"
            raise TooManyGuesses(detail=f"{rejection.detail}; {why}") from rejection
        return challenge
