"""What ``inspect`` was given to open envelopes with and to judge by."""

from dataclasses import dataclass, field
from datetime import datetime

from cryptography.hazmat.primitives.asymmetric import rsa

from ca.algorithms.keys import PrivateKey
from ca.errors import BadAlgorithm, BadRequest, EnvelopeUnreadable
from ca.scep.codec import open_envelope
from ca.x509.certificate import Certificate


@dataclass(frozen=True, slots=True)
class Opener:
    """*certificate* is whom the envelope should be for; *now* is what validity is held to.

    *certified* is the DER of the SubjectPublicKeyInfo of the CSR, where a reply answers one that is known.
    """

    now: datetime
    key: PrivateKey | None = field(default=None, repr=False)
    certificate: Certificate | None = None
    password: str | None = field(default=None, repr=False)
    certified: bytes | None = None

    @property
    def can_try(self) -> bool:
        """Whether there is anything to open an envelope with."""
        return isinstance(self.key, rsa.RSAPrivateKey) or self.password is not None

    def open(self, envelope: bytes) -> bytes | str:
        """What is inside *envelope*, or in words why it did not open."""
        key = self.key if isinstance(self.key, rsa.RSAPrivateKey) else None
        try:
            return open_envelope(envelope, key, self.password)
        except EnvelopeUnreadable as error:
            # Its own words are a server's, of the server's key.
            return error.detail
        except (BadAlgorithm, BadRequest) as error:
            return f"{error} ({error.detail})" if error.detail else str(error)
