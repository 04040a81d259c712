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
# Who waits for a database that cannot write, or hangs, keeps everybody else of his process waiting.
WRITE_AGAIN = timedelta(minutes=1)
READ_AGAIN = timedelta(seconds=10)


class RevocationStatus:
    """The newest CRL of one CA. *known* are the CRLs that this process knows, by what stands for their CA."""

    def __init__(
        self,
        authority: Authority,
        store: Store,
        clock: Clock,
        lifetime: timedelta = CRL_LIFETIME,
        known: dict[str, StoredCrl] | None = None,
    ) -> None:
        self.authority = authority
        self.store = store
        self.clock = clock
        self.lifetime = lifetime
        self._issuer = issuer_id(authority.certificate)
        self._known = {} if known is None else known
        self._looked_at: datetime | None = None
        self._unread_at: datetime | None = None
        self._failed_at: datetime | None = None

    def crl(self) -> StoredCrl:
        """The newest CRL, at most half a second old in its news.

        While the store cannot be asked, or the next CRL cannot be kept, the one that is known goes on
        for as long as it is good.

        Raises:
            StoreUnavailable: There is none that is good, and none could be made.

        """
        now = self.clock()
        crl = self._known.get(self._issuer)
        if crl is None or not _is_within(LOOK_AGAIN, self._looked_at, now):
            crl = self._known[self._issuer] = self._look(now)
            self._looked_at = now
        return crl

    def look(self) -> None:
        """Know the newest CRL that there is, so that it is there when the store is not. Makes none.

        Another thread than that of :meth:`crl` may do it: who meets the other is behind for one look.

        Raises:
            StoreUnavailable: The store cannot be read.

        """
        if crl := self._read():
            self._known[self._issuer] = crl
        self._unread_at = None

    def _look(self, now: datetime) -> StoredCrl:
        kept = self._known.get(self._issuer)
        try:
            if _is_within(READ_AGAIN, self._unread_at, now):
                raise StoreUnavailable("the database could not be read a moment ago")
            kept = self._read()
            if kept is not None and not is_due(kept, now):
                return kept
            return self._renew(now)
        except StoreUnavailable as error:
            if kept is None:
                raise StoreUnavailable(f"this process has seen no CRL since its start: {error}") from error
            if not _is_good(kept, now):
                raise
            return kept

    def _read(self) -> StoredCrl | None:
        known = self._known.get(self._issuer)
        try:
            # Looking keeps out of the way of those who write: it needs neither their turn nor their lock.
            return self.store.read(lambda repository: _newest(repository, self._issuer, known))
        except StoreUnavailable:
            # Now: it may have taken as long as a database that hangs.
            self._unread_at = self.clock()
            raise

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


def _is_good(crl: StoredCrl, now: datetime) -> bool:
    return crl.this_update <= now < crl.next_update


def _is_within(span: timedelta, since: datetime | None, now: datetime) -> bool:
    """Whether *since* is no longer ago; a clock that was set back has no such times."""
    return since is not None and timedelta(0) <= now - since < span
