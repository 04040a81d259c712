"""Revoking a certificate: for which reasons, and the new CRL that goes with it (RFC 5280 5.3.1)."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from ca.issuing.authority import Authority
from ca.issuing.crl import extend_crl, publish_crl
from ca.issuing.reasons import Reason
from ca.ports import Repository, StoredCertificate

_HOLD = Reason.certificateHold.name


class RevocationRefused(Exception):
    """The certificate's status cannot be changed so; the text says why."""


def revoke(
    stored: StoredCertificate,
    reason: Reason,
    authorities: Sequence[Authority],
    repository: Repository,
    now: datetime,
    crl_lifetime: timedelta,
) -> None:
    """Revoke a certificate, and make the CRL that says so, in the transaction of *repository*.

    The CRL is that of whichever of the *authorities*, today's and former ones, issued it.

    ``certificateHold`` is a revocation that can be taken back: ``removeFromCRL`` does that, and any
    other reason makes it final, from the time of the hold on. Whatever the reason was, it may turn out
    later that the key was stolen.

    Raises:
        RevocationRefused: It is revoked already, was never on hold, or is another CA's.

    """
    now = now.replace(microsecond=0)
    issuer = next((one for one in authorities if one.has_issued(stored.der)), None)
    if issuer is None:
        raise RevocationRefused("another CA issued it, and this one cannot revoke it")
    write_crl = publish_crl
    if reason is Reason.removeFromCRL:
        done = repository.release_certificate(stored.serial, _HOLD)
    elif stored.reason is not None and _may_become(Reason[stored.reason], reason):
        done = repository.change_reason(stored.serial, stored.reason, reason.name)
    else:
        done = repository.revoke_certificate(stored.serial, now, reason.name, issuer.issuer_key)
        # Nothing that stands on the CRL changes.
        write_crl = extend_crl
    if not done:
        raise RevocationRefused(_objection(stored, reason))
    write_crl(issuer, repository, now, crl_lifetime)


def _may_become(before: Reason, reason: Reason) -> bool:
    if before is Reason.certificateHold:
        return reason is not before
    return reason is Reason.keyCompromise and reason is not before


def _objection(stored: StoredCertificate, reason: Reason) -> str:
    if stored.revoked_at is None:
        return "it is not revoked; removeFromCRL takes back a certificateHold and nothing else"
    since = f"{stored.revoked_at:%Y-%m-%d %H:%M} UTC, {stored.reason}"
    if reason is Reason.removeFromCRL:
        return f"it is revoked for good ({since}): only a certificateHold can be taken back"
    return f"it is revoked already ({since})"
