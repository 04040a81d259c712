"""What GetNextCACert answers: the next CA's certificates, signed by the CA of today (RFC 8894 4.7.1)."""

from collections.abc import Callable
from datetime import datetime, timedelta

from ca.identity import Identities
from ca.ports import Clock
from ca.scep import codec
from ca.x509.certificate import Certificate

# Anybody may ask, and a signature costs as much as an enrolment: one is good for so long.
KEPT = timedelta(hours=1)


class Announcement:
    """The answer, which is signed by what GetCACert shows: clients hold nothing else to check it with.

    *certificates* are those that GetCACert will give once the next CA is the one of today.
    """

    def __init__(
        self, identity: Identities, certificates: Callable[[datetime], tuple[Certificate, ...]], clock: Clock
    ) -> None:
        self._identity = identity
        self._certificates = certificates
        self._clock = clock
        self._body = b""
        self._said: list[Certificate] = []
        self._signed_at: datetime | None = None

    def body(self) -> bytes:
        """The DER to send."""
        now = self._clock()
        signer, certificates = self._identity.at(now)[0], self._certificates(now)
        said = [signer.certificate, *certificates]
        fresh = self._signed_at is not None and timedelta(0) <= now - self._signed_at < KEPT
        if not fresh or said != self._said:
            self._body = codec.encode_next_ca_certificates(certificates, signer.certificate, signer.key, now)
            self._said, self._signed_at = said, now
        return self._body
