"""The CRL as this process knows it, looked at anew twice a second.

Every revocation makes a CRL of another number, whichever process it happens in: whoever knows the
number of the newest knows whether anything has changed.
"""

import logging
from datetime import datetime, timedelta

from ca.errors import StoreUnavailable
from ca.issuing.authority import Authority
from ca.issuing.crl import CRL_LIFETIME, current_crl, is_due, issuer_id
from ca.journal import log_line
from ca.ports import Clock, Repository, Store, StoredCrl

log = logging.getLogger(__name__)
# A revocation shows within a second, and a flood of questions costs two reads a second.
LOOK_AGAIN = timedelta(seconds=0.5)
# Who waits for a database that cannot write keeps everybody else of his process waiting.
WRITE_AGAIN = timedelta(minutes=1)


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
        self._failed_at: datetime | None = None

    def crl(self) -> StoredCrl:
        """The newest CRL, at most half a second old in its news.

        While the store cannot be asked, or the next CRL cannot be kept, the one that is known goes on
        for as long as it is good.

        Raises:
            StoreUnavailable: There is none that is good, and none could be made.

        """
        now = self.clock()
        if self._crl is None or not _is_within(LOOK_AGAIN, self._looked_at, now):
            self._crl = self._look(now)
            self._looked_at = now
        return self._crl

    def _look(self, now: datetime) -> StoredCrl:
        issuer, kept = issuer_id(self.authority.certificate), self._crl
        try:
            # Looking keeps out of the way of those who write: it needs neither their turn nor their lock.
            kept = self.store.read(lambda repository: _newest(repository, issuer, kept))
            if kept is not None and not is_due(kept, now):
                return kept
            return self._renew(now)
        except StoreUnavailable:
            if kept is None or not kept.this_update <= now < kept.next_update:
                raise
            return kept

    def _renew(self, now: datetime) -> StoredCrl:
        if _is_within(WRITE_AGAIN, self._failed_at, now):
            raise StoreUnavailable("the next CRL could not be kept a moment ago")
        try:
            return self.store.transact(
                lambda repository: current_crl(self.authority, repository, now, self.lifetime)
            )
        except StoreUnavailable as error:
            self._failed_at = now
            log.error(log_line(reason="the next CRL cannot be kept", detail=error))
            raise


def _newest(repository: Repository, issuer: str, known: StoredCrl | None) -> StoredCrl | None:
    """The newest CRL, which is not fetched where it is the one that is known: it may have megabytes."""
    if known is not None and repository.find_crl_number(issuer) in (known.number, 0):
        return known
    return repository.find_crl(issuer)


def _is_within(span: timedelta, since: datetime | None, now: datetime) -> bool:
    """Whether *since* is no longer ago; a clock that was set back has no such times."""
    return since is not None and timedelta(0) <= now - since < span
