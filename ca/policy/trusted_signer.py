"""Requests signed with a certificate of another CA that this one trusts: whoever holds it enrols devices.

Factories and device managements give each device a certificate of their own first, or sign for it
(RFC 8894 2.3 leaves open whose certificate signs). It is a validator like those that live elsewhere.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from ca.asn1 import Asn1Error
from ca.ports import Allowed, Applicant, Denied, Verdict
from ca.profiles import TextPattern
from ca.x509.certificate import Certificate
from ca.x509.chain import ChainBroken, check_chain


@dataclass(frozen=True, slots=True)
class TrustedSigner:
    """Allows what is signed with a certificate of one of *issuers*.

    The certificate has to be in date, no CA's own, and its subject (RFC 4514 text) has to fit *subject*
    where that is given. Certificates in between come with the message. There is no revocation: whoever
    lost such a certificate takes its CA out of the settings.
    """

    name: str
    issuers: tuple[Certificate, ...]
    subject: TextPattern | None = None
    wants_notifications: bool = False

    def decide(self, applicant: Applicant) -> Verdict:
        """Say yes to whom one of the CAs vouches for."""
        reason = "the request is not signed with a certificate that is trusted to enrol devices"
        try:
            signer = Certificate.load(applicant.signer)
            between = [Certificate.load(der) for der in applicant.signer_chain]
            if signer.is_ca:
                return Denied(reason, f"{signer.subject} is a CA")
        except Asn1Error as error:
            return Denied(reason, str(error))
        return self._check(signer, between, applicant, reason)

    def _check(
        self, signer: Certificate, between: Sequence[Certificate], applicant: Applicant, reason: str
    ) -> Verdict:
        broken = "there is no CA"
        for issuer in self.issuers:
            try:
                check_chain(signer, issuer, applicant.received_at, between)
            except ChainBroken as error:
                broken = str(error)
                continue
            # Only now, as until then the text is anybody's.
            if self.subject is not None and not self.subject.fullmatch(str(signer.subject)):
                return Denied(reason, f"{signer.subject} does not fit {self.subject.pattern}")
            return Allowed(note=f"signed by {signer.subject}, whom {issuer.subject} vouches for")
        return Denied(reason, f"{signer.subject}: {broken}")
