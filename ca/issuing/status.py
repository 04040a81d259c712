"""The CRL as this process knows it, looked at anew twice a second.

Every revocation makes a CRL of another number, whichever process it happens in: whoever knows the
number of the newest knows whether anything has changed.
"""

from datetime import datetime, timedelta

from ca.errors import StoreUnavailable
from ca.issuing.authority import Authority
from ca.issuing.crl import CRL_LIFETIME, current_crl
from ca.ports import Clock, Store, StoredCrl

# A revocation shows within a second, and a flood of questions costs two reads a second.
LOOK_AGAIN = timedelta(seconds=0.5)


class RevocationStatus:
    """The newest CRL of one CA."""

    def __init__(
        self, authority: Authority, store: Store, clock: Clock, lifetime: timedelta = CRL_LIFETIME
    ) -> None:
        self.authority = authority
        self.store = store
        self.clock = clock
        self.lifetime = lifetime
        self._crl: StoredCrl | None = None
        self._looked_at: datetime | None = None

    def crl(self) -> StoredCrl:
        """The newest CRL, at most half a second old in its news.

        Raises:
            StoreUnavailable: The store could not be asked.

        """
        now = self.clock()
        fresh = self._looked_at is not None and timedelta(0) <= now - self._looked_at < LOOK_AGAIN
        if self._crl is None or not fresh:
            self._crl = self.store.transact(
                lambda repository: current_crl(self.authority, repository, now, self.lifetime)
            )
            self._looked_at = now
        return self._crl

    def published(self) -> StoredCrl:
        """The newest CRL; while the store is away the one that is known, for as long as it is good.

        Raises:
            StoreUnavailable: None is known that is.

        """
        try:
            return self.crl()
        except StoreUnavailable:
            if self._crl is None or self.clock() >= self._crl.next_update:
                raise
            return self._crl
