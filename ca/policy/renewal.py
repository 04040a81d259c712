"""Renewal by the old certificate (RFC 8894 2.3): is it ours, alive, due, and for the same names?"""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from hmac import compare_digest

from ca.algorithms.digests import SHA1
from ca.algorithms.levels import CryptoLevel
from ca.errors import BadAlgorithm, RenewalRefused, ScepError
from ca.ports import Repository, StoredCertificate
from ca.profiles import CertificateContent, Profile
from ca.scep.messages import EnrolmentRequest
from ca.x509.certificate import Certificate
from ca.x509.chain import ChainBroken, check_chain
from ca.x509.general_names import GeneralName, is_sid_uri


def find_renewed(
    signer: Certificate, issuers: Sequence[Certificate], repository: Repository
) -> StoredCertificate | None:
    """The certificate of ours that signed a message, None where the signer is anybody else.

    The whole certificate is compared: issuer and serial number alone can be written into any.
    *issuers* are all CAs of this server.
    """
    if all(signer.issuer_der != issuer.subject_der for issuer in issuers):
        return None
    stored = repository.find_certificate(f"{signer.serial_number:x}")
    return stored if stored and compare_digest(stored.der, signer.der) else None


def renewal_objection(
    request: EnrolmentRequest,
    renewed: StoredCertificate,
    issuers: Sequence[Certificate],
    content: CertificateContent,
    profile: Profile,
    now: datetime,
    *,
    moves: bool,
) -> ScepError | None:
    """Why *renewed* does not authorise another certificate; None where it does.

    The objection is returned and not raised, because it ends a RenewalReq but only sends a
    PKCSReq with a challenge password on to the next check.
    """
    objection = standing_objection(request.signer, renewed, issuers, content, profile, now, moves=moves)
    if objection is not None:
        return objection
    # RFC 8894 7.9 excuses SHA-1 by the other checks there are; here there is none.
    if request.message.digest is SHA1 and profile.crypto is not CryptoLevel.LEGACY:
        return BadAlgorithm("a renewal must be signed over SHA-256 or better")
    return None


def standing_objection(
    signer: Certificate,
    renewed: StoredCertificate,
    issuers: Sequence[Certificate],
    content: CertificateContent,
    profile: Profile,
    now: datetime,
    *,
    moves: bool,
) -> RenewalRefused | None:
    """Why *renewed*, whoever signed with it and how, authorises nothing; None where it does.

    It may do so at any time where the device *moves* from one CA to another by it.
    """
    due = renewed.not_after - timedelta(days=profile.renewal_days)
    if renewed.revoked_at is not None:
        return RenewalRefused("the certificate that signed this renewal is revoked")
    if not renewed.not_before <= now <= renewed.not_after:
        return RenewalRefused("the certificate that signed this renewal is not valid now")
    if not _verifies(signer, issuers, now):
        return RenewalRefused("the certificate that signed this renewal does not verify")
    if renewed.profile != profile.name:
        return RenewalRefused("the certificate to renew is of another profile", detail=renewed.profile)
    if profile.renewal_days and now < due and not moves:
        return RenewalRefused(f"it is too early to renew: from {due:%Y-%m-%d} on")
    if not profile.renewal_same_names:
        return None
    if not signer.subject.matches(content.subject):
        return RenewalRefused("a renewal keeps the subject of the old certificate")
    if _names(signer.subject_alt_names) != _names(content.subject_alt_names):
        return RenewalRefused("a renewal keeps the subjectAltNames of the old certificate")
    return None


def _names(names: Iterable[GeneralName]) -> frozenset[GeneralName]:
    """All but security identifiers: those are kept anyway, in the form that the profile says by now."""
    return frozenset(name for name in names if not is_sid_uri(name))


def _verifies(signer: Certificate, issuers: Sequence[Certificate], now: datetime) -> bool:
    """Let OpenSSL confirm that the key of one of our CAs signed the old certificate."""
    for issuer in issuers:
        # Names are compared first, as reading certificates into OpenSSL is the dear part of it.
        if signer.issuer_der == issuer.subject_der and _is_signed(signer, issuer, now):
            return True
    return False


def _is_signed(signer: Certificate, issuer: Certificate, now: datetime) -> bool:
    try:
        check_chain(signer, issuer, now)
    except ChainBroken:
        return False
    return True
