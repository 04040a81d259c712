"""The list of revoked certificates (RFC 5280 5): complete, version 2, and never older than it may be.

It is put together here for the reason that certificates are: the issuer keeps the very bytes of the
CA's subject. One CRL of each CA is kept in the store, so that all processes give the same.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta
from hashlib import sha256

from ca.asn1 import tags, writer
from ca.issuing.authority import BACKDATE, Authority
from ca.issuing.reasons import Reason
from ca.ports import Repository, StoredCertificate, StoredCrl
from ca.x509 import oids
from ca.x509.certificate import Certificate
from ca.x509.extensions import Extension

CRL_LIFETIME = timedelta(days=7)
_VERSION_2 = writer.integer(1)


def reason_code(reason: str | None) -> bytes:
    """The DER of a CRLReason; empty for ``unspecified``, which is not to be written (RFC 5280 5.3.1)."""
    number = Reason[reason or Reason.unspecified.name]
    return writer.encode(tags.ENUMERATED, bytes((number,))) if number else b""


def issuer_id(certificate: Certificate) -> str:
    """What the CRL of a CA is kept under: its name and its key."""
    return sha256(certificate.subject_der + certificate.spki).hexdigest()


def current_crl(
    authority: Authority, repository: Repository, now: datetime, lifetime: timedelta = CRL_LIFETIME
) -> StoredCrl:
    """The CRL that is kept, or a new one where half of its time is over or there is none."""
    kept = repository.find_crl(issuer_id(authority.certificate))
    if kept and not is_due(kept, now):
        return kept
    return publish_crl(authority, repository, now, lifetime)


def is_due(kept: StoredCrl, now: datetime) -> bool:
    """Whether it is time for the next one: half of its time is over."""
    # One of the future was made by a clock that was wrong; minutes are what two hosts may differ.
    return not -BACKDATE <= now - kept.this_update < (kept.next_update - kept.this_update) / 2


def publish_crl(
    authority: Authority, repository: Repository, now: datetime, lifetime: timedelta = CRL_LIFETIME
) -> StoredCrl:
    """Make a new CRL and keep it."""
    now = now.replace(microsecond=0)
    issuer = issuer_id(authority.certificate)
    # Asked for first: whoever makes a CRL of a later number has to see what this one lists.
    last_number = repository.last_crl_number()
    before = repository.find_crl(issuer)
    # RFC 5280 3.3: an entry stays until a CRL later than the certificate's end had it.
    revoked = repository.list_revoked(min(before.this_update, now) if before else None)
    # The time is the least, so that a database brought back from a backup falls behind no CRL.
    number = max(last_number + 1, int(now.timestamp()))
    der = b""
    if authority.may_sign_crls:
        entries = (one for one in revoked if authority.has_issued(one.der))
        der = sign_crl(authority, entries, number, now, now + lifetime)
    crl = StoredCrl(issuer, number, der, now, now + lifetime)
    repository.put_crl(crl)
    return crl


def sign_crl(
    authority: Authority,
    revoked: Iterable[StoredCertificate],
    number: int,
    this_update: datetime,
    next_update: datetime,
) -> bytes:
    """The DER of a CertificateList."""
    entries = b"".join(map(_entry, revoked))
    extensions = writer.sequence(
        authority.authority_key_identifier,
        Extension(oids.CRL_NUMBER, False, writer.integer(number)).encode(),
    )
    return authority.sign_structure(
        _VERSION_2,
        authority.algorithm,
        authority.certificate.subject_der,
        writer.time(this_update),
        writer.time(next_update),
        # RFC 5280 5.1.2.6: absent where there are none.
        writer.sequence(entries) if entries else b"",
        writer.explicit(0, extensions),
    )


def _entry(one: StoredCertificate) -> bytes:
    if one.revoked_at is None:
        raise ValueError("a CRL lists revoked certificates")
    reason = reason_code(one.reason)
    extensions = reason and writer.sequence(Extension(oids.REASON_CODE, False, reason).encode())
    return writer.sequence(writer.integer(int(one.serial, 16)), writer.time(one.revoked_at), extensions)
