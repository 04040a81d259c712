"""How many certificates a subject may have in force, and which of them go where it is one too many."""

from datetime import datetime

from ca.errors import TooManyActive
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

    What is *renewed* by it, and what that had renewed, counts no more than once: while a device renews it
    has two for a time, and that is what renewing is.

    Raises:
        TooManyActive: The subject has as many as it may.

    """
    if not profile.max_active:
        return []
    active = repository.find_active(subject_key(profile.name, content.subject), now)
    others = [one for one in active if one.serial != renewed and not _is_renewed(one, active)]
    surplus = len(others) + 1 - profile.max_active
    if surplus <= 0 or profile.when_full is WhenFull.ALLOW:
        return []
    if profile.when_full is WhenFull.REFUSE:
        raise TooManyActive(
            f"this subject has as many certificates in force as it may have, {profile.max_active}",
            detail=", ".join(one.serial for one in others),
        )
    return others[:surplus]


def _is_renewed(one: StoredCertificate, active: list[StoredCertificate]) -> bool:
    """Whether another certificate in force came in its place."""
    return any(other.renewed_from == one.serial for other in active)
