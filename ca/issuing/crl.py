"""The list of revoked certificates (RFC 5280 5): complete, version 2, and never older than it may be.

It is put together here for the reason that certificates are: the issuer keeps the very bytes of the
CA's subject. One CRL of each CA is kept in the store, so that all processes give the same. A revocation
adds to it; all of it is read from the store again where an entry has to leave or to change.
"""

import logging
from collections.abc import Iterable
from datetime import datetime, timedelta
from hashlib import sha256

from ca.asn1 import Asn1Error, split, tags, writer
from ca.issuing.authority import BACKDATE, Authority
from ca.issuing.reasons import Reason
from ca.journal import log_line
from ca.ports import Repository, Revocation, StoredCrl
from ca.x509 import oids
from ca.x509.certificate import Certificate
from ca.x509.extensions import Extension

log = logging.getLogger(__name__)
CRL_LIFETIME = timedelta(days=7)
# A revocation may be of an earlier time than the last CRL and not be on it: the clocks of two servers
# differ, and a transaction waits for another. Nobody's clock is wrong by more, and nobody waits longer.
OVERLAP = timedelta(days=1)
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
    return not _is_in_first_half(kept, kept.this_update, now)


def _is_in_first_half(kept: StoredCrl, since: datetime, now: datetime) -> bool:
    # One of the future was made by a clock that was wrong; minutes are what two hosts may differ.
    return -BACKDATE <= now - since < (kept.next_update - kept.this_update) / 2


def publish_crl(
    authority: Authority, repository: Repository, now: datetime, lifetime: timedelta = CRL_LIFETIME
) -> StoredCrl:
    """Make a new CRL of all that the store has as revoked, and keep it."""
    now = now.replace(microsecond=0)
    # Asked for first: whoever makes a CRL of a later number has to see what this one lists.
    last_number = repository.last_crl_number()
    before = repository.find_crl(issuer_id(authority.certificate))
    return _rebuild(authority, repository, last_number, before, now, lifetime)


def extend_crl(
    authority: Authority, repository: Repository, now: datetime, lifetime: timedelta = CRL_LIFETIME
) -> StoredCrl:
    """Make a new CRL of the entries of the last one and of what was revoked since, and keep it.

    Where there is none, it is damaged, or half of its time has gone by since all was read from the store,
    that is done again.
    """
    now = now.replace(microsecond=0)
    last_number = repository.last_crl_number()
    before = repository.find_crl(issuer_id(authority.certificate))
    entries = None if before is None else _lasting_entries(authority, before, now)
    if before is None or entries is None:
        return _rebuild(authority, repository, last_number, before, now, lifetime)
    recent = repository.list_revoked(authority.issuer_key, revoked_since=before.this_update - OVERLAP)
    listed = set(split(entries))
    entries += b"".join(entry for entry in map(_entry, recent) if entry not in listed)
    return _keep(authority, repository, entries, last_number, now, lifetime, before.rebuilt_at)


def _rebuild(
    authority: Authority,
    repository: Repository,
    last_number: int,
    before: StoredCrl | None,
    now: datetime,
    lifetime: timedelta,
) -> StoredCrl:
    entries = b""
    if authority.may_sign_crls:
        # RFC 5280 3.3: an entry stays until a CRL later than the certificate's end had it.
        start = min(before.this_update, now) if before else None
        entries = encode_entries(
            repository.list_revoked(
                authority.issuer_key, revoked_since=start and start - OVERLAP, ended_since=start
            )
        )
    return _keep(authority, repository, entries, last_number, now, lifetime, now)


def _keep(
    authority: Authority,
    repository: Repository,
    entries: bytes,
    last_number: int,
    now: datetime,
    lifetime: timedelta,
    rebuilt_at: datetime,
) -> StoredCrl:
    # The time is the least, so that a database brought back from a backup falls behind no CRL.
    number = max(last_number + 1, int(now.timestamp()))
    der = sign_crl(authority, entries, number, now, now + lifetime) if authority.may_sign_crls else b""
    crl = StoredCrl(issuer_id(authority.certificate), number, der, now, now + lifetime, rebuilt_at)
    repository.put_crl(crl)
    return crl


def _lasting_entries(authority: Authority, kept: StoredCrl, now: datetime) -> bytes | None:
    """The entries of the last CRL, one after another; None where the next one is not to be made of them."""
    is_fresh = not is_due(kept, now) and _is_in_first_half(kept, kept.rebuilt_at, now)
    if not is_fresh or not authority.may_sign_crls or not kept.der:
        return None
    try:
        return _read_entries(authority, kept)
    except Asn1Error as error:
        reason = "the CRL that was kept is damaged, and is made anew"
        log.warning(log_line(reason=reason, number=kept.number, detail=error))
        return None


def _read_entries(authority: Authority, kept: StoredCrl) -> bytes:
    """The entries of a CRL as they stand in it.

    What is signed again has to be what was signed before, whoever else can write to the database.

    Raises:
        Asn1Error: It is not what *authority* signed at that time.

    """
    # RFC 5280 5.1.2: version, signature, issuer, thisUpdate, nextUpdate; [0] follows where nothing is listed.
    version, _, _, this_update, _, revoked, *_ = authority.read_structure(kept.der, least=6)
    if version.raw != _VERSION_2 or this_update.time() != kept.this_update:
        raise Asn1Error("another one was in its place")
    return revoked.content if revoked.tag == tags.SEQUENCE else b""


def sign_crl(
    authority: Authority, entries: bytes, number: int, this_update: datetime, next_update: datetime
) -> bytes:
    """The DER of a CertificateList of *entries*, which are DER, one after another."""
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


def encode_entries(revoked: Iterable[Revocation]) -> bytes:
    """The DER of the entries of a CRL, one after another."""
    return b"".join(map(_entry, revoked))


def _entry(one: Revocation) -> bytes:
    reason = reason_code(one.reason)
    extensions = reason and writer.sequence(Extension(oids.REASON_CODE, False, reason).encode())
    return writer.sequence(writer.integer(int(one.serial, 16)), writer.time(one.revoked_at), extensions)
