"""Who opens envelopes and signs replies: a certificate and its RSA key, which for a RA change with time."""

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from cryptography.hazmat.primitives.asymmetric import rsa

from ca.x509.certificate import Certificate


@dataclass(frozen=True, slots=True)
class ScepIdentity:
    """The certificate and RSA key that open envelopes and sign replies.

    In CA mode they are the CA's own; in RA mode the registration authority's, and then nothing but
    issuing touches the CA's key.
    """

    certificate: Certificate
    key: rsa.RSAPrivateKey

    def at(self, now: datetime) -> "tuple[ScepIdentity, ...]":
        """The one that there is at any time (see :class:`Identities`)."""
        return (self,)


class Identities(Protocol):
    """The identities of a CA, which for a RA change with time."""

    def at(self, now: datetime) -> tuple[ScepIdentity, ...]:
        """Those that count at *now*: the one that GetCACert shows, then others that still open."""


class NoIdentity:
    """Of a CA that nobody is to write to any more."""

    def at(self, now: datetime) -> tuple[ScepIdentity, ...]:
        """None at any time."""
        return ()
