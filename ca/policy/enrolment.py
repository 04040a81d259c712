"""The decision on an enrolment: a living certificate of ours, or a challenge password, or no."""

from dataclasses import dataclass
from datetime import datetime

from ca.errors import ChallengeRejected, ChallengeReused, RenewalRefused, TooManyGuesses
from ca.journal import Exchange
from ca.policy.challenges import ChallengeKey, check_bounds
from ca.policy.guesses import UNLIMITED
from ca.policy.renewal import renewal_objection
from ca.ports import GoodChallenge, GuessLimit, Repository, StoredCertificate
from ca.profiles import CertificateContent, Grants, Profile
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

    def check_not_renewal(self, request: EnrolmentRequest) -> None:
        """Check that what no certificate of ours signed is an enrolment.

        A self-signed certificate never counts for anything (RFC 8894 2.4).

        Raises:
            RenewalRefused: It can only be a renewal.

        """
        if request.is_renewal and not request.signer.is_self_issued:
            raise RenewalRefused("the renewal is not signed by a certificate of this CA")

    def is_renewal(
        self,
        request: EnrolmentRequest,
        renewed: StoredCertificate,
        content: CertificateContent,
        profile: Profile,
        now: datetime,
        *,
        moves: bool = False,
    ) -> bool:
        """Whether *renewed*, which signed *request*, authorises it; if not, a challenge must.

        That counts for PKCSReq as for RenewalReq (macOS, certmonger and sscep renew by PKCSReq). It
        *moves* where another CA is asked than the one that issued what it renews.

        Raises:
            RenewalRefused: It can only be a renewal, and is not one that may be had.
            BadAlgorithm: The same, for the digest of its signature.

        """
        objection = renewal_objection(request, renewed, self.issuers, content, profile, now, moves=moves)
        if objection is None:
            return True
        if self.is_only_renewal(request):
            raise objection
        return False

    def is_only_renewal(self, request: EnrolmentRequest) -> bool:
        """Whether nothing but the certificate that signed *request* can authorise it.

        An ordinary enrolment may be signed by any certificate, an old one of ours too.
        """
        return request.is_renewal or request.csr.challenge_password is None

    def spend_challenge(
        self, request: EnrolmentRequest, exchange: Exchange, repository: Repository
    ) -> GoodChallenge | None:
        """Use up the challenge password of *request*; what is refused after that gives it back.

        None where the profile asks for none, because a person or a validator decides on each request.

        Raises:
            ChallengeRejected: There is none, or it is not good.

        """
        profile = exchange.profile
        if not profile.challenge_required:
            if profile.manual_approval or profile.validator:
                return None
            # Nothing else authorises a first enrolment: without, nothing does.
            raise ChallengeRejected(detail=f"profile {profile.name} takes renewals only")
        mac, now, remote = self._mac(request), exchange.received_at, exchange.peer.remote
        guessable = not self.guesses.is_exhausted(remote)
        try:
            challenge = repository.spend_challenge(
                mac, profile.name, str(request.csr.subject), now, guessable=guessable
            )
        except ChallengeRejected as rejection:
            raise self._counted(rejection, remote) from rejection
        exchange.challenge_id = challenge.id
        return challenge

    def find_challenge(
        self, request: EnrolmentRequest, exchange: Exchange, repository: Repository
    ) -> GoodChallenge:
        """What :meth:`spend_challenge` would find; nothing is used up and no guess counted.

        Raises:
            ChallengeRejected: There is none, or it is not good.

        """
        guessable = not self.guesses.is_exhausted(exchange.peer.remote)
        return repository.find_challenge(
            self._mac(request), exchange.profile.name, exchange.received_at, guessable=guessable
        )

    def _mac(self, request: EnrolmentRequest) -> bytes:
        challenge_password = request.csr.challenge_password
        if challenge_password is None:
            raise ChallengeRejected(detail="the CSR has no challengePassword")
        return self.challenge_key.mac(challenge_password)

    def check_bounds(
        self,
        challenge: GoodChallenge,
        request: EnrolmentRequest,
        content: CertificateContent,
        grants: Grants,
        remote: str,
    ) -> None:
        """Check that the certificate will name just what *challenge* was made for.

        Raises:
            ChallengeRejected: It is for other names.

        """
        try:
            check_bounds(challenge, request.csr.subject, content, grants)
        except ChallengeRejected as rejection:
            raise self._counted(rejection, remote) from rejection

    def _counted(self, rejection: ChallengeRejected, remote: str) -> ChallengeRejected:
        """Count a challenge password that is not accepted, and say so in the log where there were too many.

        Every one counts, whatever is wrong with it: who could tell by the count whether a guess hit one
        that is spent, expired or another's would have learnt something.
        """
        exhausted = self.guesses.is_exhausted(remote)
        self.guesses.note_wrong(remote)
        # Nobody guessed the one that is known to have been good.
        if not exhausted or isinstance(rejection, ChallengeReused):
            return rejection
        why = "too many wrong guesses from this address or altogether; try again in a minute"
        return TooManyGuesses(detail=f"{rejection.detail}; {why}")
