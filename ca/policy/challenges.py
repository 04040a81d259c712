"""Challenge passwords (RFC 8894 2.4, 7.3): making them, keeping them as a MAC, and their bounds."""

import hmac
import secrets
from dataclasses import dataclass
from hashlib import sha256

from ca.errors import ChallengeRejected
from ca.issuing.alternative_names import granted_names
from ca.ports import GoodChallenge
from ca.profiles import CertificateContent, Grants, Profile, Source
from ca.x509.general_names import GeneralName, is_sid_uri
from ca.x509.name import Name

# 144 random bits, in characters that every string type and every device's keyboard has.
CHALLENGE_OCTETS = 18


@dataclass(frozen=True, slots=True)
class ChallengeKey:
    """The key under which challenge passwords are kept."""

    _key: bytes

    def mac(self, challenge_password: str) -> bytes:
        """HMAC-SHA-256 of the UTF-8 text: case and every space count."""
        return hmac.digest(self._key, b"challenge\0" + challenge_password.encode(), sha256)


def new_challenge() -> str:
    """A challenge password that nobody can guess."""
    return secrets.token_urlsafe(CHALLENGE_OCTETS)


def challenge_grants(challenge: GoodChallenge, profile: Profile) -> Grants:
    """What a challenge password vouches for: a security identifier, and names where the profile says so."""
    return Grants(
        challenge.subject if profile.subject.source is Source.CHALLENGE else None,
        challenge.subject_alt_names if profile.san.source is Source.CHALLENGE else None,
        challenge.sid or "",
    )


def check_bounds(
    challenge: GoodChallenge, requested: Name, content: CertificateContent, grants: Grants
) -> None:
    """Check that the certificate will name just what the challenge was made for.

    The subject may be bound as the device asks for it, as the profile makes it, or as the *grants* from
    which *content* was made have it. A challenge bound to a subject certifies no subjectAltName beyond
    those it was bound to, and those that are granted.

    Raises:
        ChallengeRejected: It is for other names.

    """
    if challenge.subject is not None and challenge.subject != grants.subject:
        bound_to = Name.from_text(challenge.subject)
        if not (bound_to.matches(content.subject) or bound_to.matches(requested)):
            raise ChallengeRejected(detail=f"challenge {challenge.id} is bound to {challenge.subject}")
    if challenge.subject is None and challenge.subject_alt_names is None:
        return
    bound = {GeneralName.from_text(text) for text in challenge.subject_alt_names or ()}
    bound.update(granted_names(grants))
    if {name for name in content.subject_alt_names if not is_sid_uri(name)} - bound:
        raise ChallengeRejected(detail=f"challenge {challenge.id} is bound to other subjectAltNames")
