"""How many certificates a subject may have in force, and which of them go where it is one too many."""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from ca.errors import TooManyActive
from ca.issuing.authority import Authority
from ca.issuing.reasons import Reason
from ca.issuing.revocation import RevocationRefused, revoke
from ca.ports import Repository, StoredCertificate
from ca.profiles import CertificateContent, Profile, WhenFull, subject_key


def find_surplus(
    content: CertificateContent,
    profile: Profile,
    renewed: str | None,
    repository: Repository,
    now: datetime,
) -> list[StoredCertificate]:
    """The certificates that have to be revoked to make room for one more, the oldest first.

    With a certificate go those that it had renewed: they would count again without it.

    While a device renews it has two for a time, and that is what renewing is: of each line of renewals the
    two newest count as one. What is older and in force still counts by itself, or a line had no end.

    Raises:
        TooManyActive: The subject has as many as it may.

    """
    if not profile.max_active or profile.when_full is WhenFull.ALLOW:
        return []
    key = subject_key(profile.name, content.subject, content.subject_alt_names)
    active = repository.find_active(key, now)
    replaced = _replaced(active) | {renewed}
    newest = [one for one in active if one.serial not in replaced]
    excused = _replaced(newest) | {renewed}
    others = [one for one in active if one.serial not in excused]
    surplus = len(others) + 1 - profile.max_active
    if surplus <= 0:
        return []
    if profile.when_full is WhenFull.REFUSE:
        raise TooManyActive(
            f"this subject has as many certificates in force as it may have, {profile.max_active}",
            detail=", ".join(one.serial for one in others),
        )
    return _with_replaced(others[:surplus], active, renewed)


def make_room(
    surplus: Sequence[StoredCertificate],
    authorities: Sequence[Authority],
    repository: Repository,
    now: datetime,
    crl_lifetime: timedelta,
) -> None:
    """Revoke *surplus*, in the transaction of *repository*.

    Raises:
        TooManyActive: One cannot be revoked here.

    """
    for one in surplus:
        try:
            revoke(one, Reason.superseded, authorities, repository, now, crl_lifetime)
        except RevocationRefused as error:
            raise TooManyActive(
                "this subject has as many certificates in force as it may have",
                detail=f"{one.serial} cannot be revoked to make room: {error}",
            ) from error


def _replaced(certificates: Iterable[StoredCertificate]) -> set[str | None]:
    """The serial numbers of what *certificates* came in the place of."""
    return {one.renewed_from for one in certificates}


def _with_replaced(
    gone: list[StoredCertificate], active: list[StoredCertificate], renewed: str | None
) -> list[StoredCertificate]:
    """*gone*, and with them whatever is left without a certificate that came in its place."""
    while True:
        left = [one for one in active if one not in gone]
        bare = _replaced(gone) - _replaced(left) - {renewed}
        more = [one for one in left if one.serial in bare]
        if not more:
            return gone
        gone = [*gone, *more]
