"""One OCSP request in, one response out, with the answers that are asked for often kept for a while."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache

from ca.algorithms import digests
from ca.asn1 import read
from ca.deviations import Deviations
from ca.issuing.authority import Authority
from ca.issuing.crl import issuer_id
from ca.issuing.status import RevocationStatus
from ca.journal import log_line
from ca.ocsp.errors import OcspRefusal, ResponseStatus
from ca.ocsp.request import CertId, OcspRequest, read_request
from ca.ocsp.response import CertStatus, encode_response
from ca.ocsp.signer import OcspSigner
from ca.ports import Repository
from ca.x509.certificate import Certificate

log = logging.getLogger(__name__)
# How long an answer is good for. Who keeps it that long learns of a revocation that much later.
ANSWER_LIFETIME = timedelta(hours=1)
# Some 2 KiB each, in every process.
MAX_KEPT = 1024
# MD5 tells no issuer from another.
_DIGESTS = {one.oid: one for one in (digests.SHA1, digests.SHA256, digests.SHA384, digests.SHA512)}


@dataclass(frozen=True, slots=True)
class OcspAnswer:
    """A response in DER; *until* is when another one is to be had, None where it is not to be kept."""

    der: bytes
    produced_at: datetime | None = None
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class _Found:
    """What the store knew when the newest CRL was *number*."""

    statuses: list[tuple[CertId, CertStatus]]
    number: int


class OcspResponder:
    """Answers for the certificates of one CA. *signer* gives the delegated responder for a time."""

    def __init__(self, status: RevocationStatus, signer: Callable[[datetime], OcspSigner]) -> None:
        self._status = status
        self._signer = signer
        self._kept: dict[tuple[bytes, ...], OcspAnswer] = {}
        self._kept_for = 0

    def answers_about(self, request: OcspRequest) -> bool:
        """Whether a certificate that is asked about is of this CA."""
        certificate = self._status.authority.certificate
        return any(_is_issuer(certificate, one) for one in request.certificates)

    def answer(self, request: OcspRequest) -> OcspAnswer:
        """Answer a request that was read.

        Raises:
            OcspRefusal: It is about another CA's certificates.
            StoreUnavailable: The store could not be asked.

        """
        kept_as = tuple(one.der for one in request.certificates)
        now = self._status.clock().replace(microsecond=0)
        if request.nonce is None:
            kept = self._find_kept(kept_as, now)
            if kept is not None:
                return kept
        found = self._look_up(request.certificates, now)
        signer = self._signer(now)
        until = min(now + ANSWER_LIFETIME, signer.certificate.not_valid_after)
        der = encode_response(found.statuses, request.nonce, signer, now, until)
        if request.nonce is not None:
            return OcspAnswer(der)
        answer = OcspAnswer(der, now, until)
        # One that is not known now may be issued in a moment.
        if found.number == self._kept_for and all(status.known for _, status in found.statuses):
            if len(self._kept) >= MAX_KEPT:
                self._kept.clear()
            self._kept[kept_as] = answer
        return answer

    def _find_kept(self, kept_as: tuple[bytes, ...], now: datetime) -> OcspAnswer | None:
        """An answer that still holds: nothing was revoked since, and half of its time is left."""
        number = self._status.crl().number
        if number != self._kept_for:
            self._kept.clear()
            self._kept_for = number
        kept = self._kept.get(kept_as)
        if kept is None or kept.produced_at is None:
            return None
        return kept if timedelta(0) <= now - kept.produced_at < ANSWER_LIFETIME / 2 else None

    def _look_up(self, asked: tuple[CertId, ...], now: datetime) -> _Found:
        authority = self._status.authority
        ours = [_is_issuer(authority.certificate, one) for one in asked]
        if not any(ours) or now >= authority.not_after:
            # RFC 5019 2.2.3: it cannot say anything about them with authority.
            raise OcspRefusal(ResponseStatus.unauthorized, "about certificates of another CA")

        def work(repository: Repository) -> _Found:
            number = repository.find_crl_number(issuer_id(authority.certificate))
            statuses = [
                (one, _status_of(one, authority, repository) if known else CertStatus(False))
                for one, known in zip(asked, ours, strict=True)
            ]
            return _Found(statuses, number)

        return self._status.store.read(work)


class OcspResponders:
    """Answers for all CAs of this server, that of today first: the issuer in the question chooses.

    One answer has one signer, so of a question about certificates of several CAs the others' are unknown.
    """

    def __init__(self, responders: Sequence[OcspResponder]) -> None:
        self._responders = responders

    def respond(self, body: bytes) -> OcspAnswer:
        """Answer the request *body*.

        Raises:
            StoreUnavailable: The store could not be asked.

        """
        try:
            request = read_request(body)
            asked = (one for one in self._responders if one.answers_about(request))
            return next(asked, self._responders[0]).answer(request)
        except OcspRefusal as refusal:
            log.info(log_line(ocsp=refusal.status.name, reason=refusal))
            return OcspAnswer(refusal.encode())


def _status_of(one: CertId, authority: Authority, repository: Repository) -> CertStatus:
    stored = repository.find_certificate(f"{one.serial_number:x}")
    if stored is None or not authority.has_issued(stored.der):
        return CertStatus(False)
    return CertStatus(True, stored.revoked_at, stored.reason)


def _is_issuer(certificate: Certificate, one: CertId) -> bool:
    hashes = _issuer_hashes(certificate.subject_der, certificate.spki, one.digest)
    return (one.issuer_name_hash, one.issuer_key_hash) == hashes


@lru_cache(maxsize=64)
def _issuer_hashes(name: bytes, spki: bytes, algorithm: str) -> tuple[bytes, bytes] | None:
    """The two digests of a CertID (RFC 6960 4.1.1); None by an algorithm that is not used here."""
    digest = _DIGESTS.get(algorithm)
    if digest is None:
        return None
    key = read(spki, "subjectPublicKeyInfo", Deviations()).sequence(2)[1].bits()
    return digest.of(name), digest.of(key)
