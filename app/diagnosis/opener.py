"""What ``inspect`` was given to open envelopes with and to judge by."""

from dataclasses import dataclass, field, replace
from datetime import datetime

from cryptography.hazmat.primitives.asymmetric import rsa

from ca.algorithms.keys import PrivateKey
from ca.errors import BadAlgorithm, BadRequest, EnvelopeUnreadable
from ca.scep.codec import envelope_cipher, open_envelope
from ca.x509.certificate import Certificate


@dataclass(frozen=True, slots=True)
class Closed:
    """Why an envelope did not open, in words; *by_key*: with another key it may."""

    why: str
    by_key: bool


@dataclass(frozen=True, slots=True)
class Opener:
    """*certificate* is whom the envelope should be for; *now* is what validity is held to.

    *certified* is the DER of the SubjectPublicKeyInfo of the CSR, where a reply answers one that is known.
    *guessed* says that nobody knows whether *key* or *password* is the recipient's: that it does not open an
    envelope is then no fault of the message.
    """

    now: datetime
    key: PrivateKey | None = field(default=None, repr=False)
    certificate: Certificate | None = None
    password: str | None = field(default=None, repr=False)
    certified: bytes | None = None
    guessed: bool = False

    @property
    def can_try(self) -> bool:
        """Whether there is anything to open an envelope with."""
        return isinstance(self.key, rsa.RSAPrivateKey) or self.password is not None

    def open(self, envelope: bytes) -> "bytes | Closed":
        """What is inside *envelope*, or why it did not open."""
        key = self.key if isinstance(self.key, rsa.RSAPrivateKey) else None
        is_readable = False
        try:
            envelope_cipher(envelope)
            is_readable = True
            return open_envelope(envelope, key, self.password)
        except EnvelopeUnreadable as error:
            # Its own words are a server's, of the server's key.
            return Closed(error.detail, by_key=is_readable)
        except (BadAlgorithm, BadRequest) as error:
            return Closed(f"{error} ({error.detail})" if error.detail else str(error), by_key=False)

    def for_another(self) -> "Opener":
        """The same for a message that is not for whom it was given: nothing is asked of its recipient."""
        return replace(self, certificate=None, guessed=True)
