"""The outbox: tells validators what came of the requests that they had a part in.

A notification is kept in the transaction that issues, and forgotten once it was delivered: what dies in
between leads to another try, and perhaps to one too many. Each serving process has one of these.
"""

import logging
import threading
from collections.abc import Mapping
from concurrent.futures import Future, wait
from datetime import datetime, timedelta
from functools import partial

from app.daemon_pool import DaemonPool
from app.store import SqlStore
from app.store.notifications import ClaimedNotification
from app.validators.notified import NotDelivered, Notified
from ca.errors import StoreUnavailable
from ca.journal import log_line
from ca.ports import Clock

log = logging.getLogger(__name__)
# Of each validator.
AT_ONCE = 8
# How often it is looked for what other processes have left.
LOOK_SECONDS = 5.0
GIVE_UP_AFTER = timedelta(days=3)
# At the end, for what is on its way; whatever is not told by then is tried again by the next start.
DRAIN_SECONDS = 2.0
_JOIN_SECONDS = DRAIN_SECONDS + 3.0


class Notifier:
    """Delivers what is due, in a thread of its own, to *notified* by name.

    Without anybody to tell there is no thread, and nothing is looked for. It is started in the process
    that it serves, after any fork.
    """

    def __init__(self, store: SqlStore, notified: Mapping[str, Notified], clock: Clock) -> None:
        self._store = store
        self._notified = notified
        self._clock = clock
        self._pools: dict[str, DaemonPool] = {}
        self._under_way: dict[Future[None], ClaimedNotification] = {}
        self._woken = threading.Event()
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin, if there is anybody to tell."""
        if self._notified and self._thread is None:
            self._store.on_notification = self.wake
            self._thread = threading.Thread(target=self._run, name="notifier", daemon=True)
            self._thread.start()

    def use(self, notified: Mapping[str, Notified]) -> None:
        """Tell these from now on, as changed settings say."""
        self._notified = notified
        self.start()

    def wake(self) -> None:
        """Look now: something was added."""
        self._woken.set()

    def stop(self) -> None:
        """End within seconds. Nothing touches the store afterwards."""
        self._stopping.set()
        self.wake()
        if self._thread is not None:
            self._thread.join(_JOIN_SECONDS)

    def _run(self) -> None:
        while not self._stopping.is_set():
            self._woken.clear()
            try:
                seconds = self._deliver_due()
            except StoreUnavailable as error:
                log.warning(log_line(reason="notifications cannot be looked for", detail=error))
                seconds = LOOK_SECONDS
            except Exception:
                # It must not end here: nobody would start it again.
                log.exception("the notifier met a fault of the server")
                seconds = LOOK_SECONDS
            if seconds:
                self._woken.wait(seconds)
        try:
            self._drain()
        except StoreUnavailable as error:
            log.warning(log_line(reason="it could not be kept what was told", detail=error))

    def _deliver_due(self) -> float:
        """Begin to deliver what is due, and say for how many seconds there is nothing more to do.

        Each validator has places of its own: one that hangs keeps nobody else waiting.
        """
        self._forget_told()
        first = self._store.read(lambda repository: repository.next_by_validator())
        free = {name: AT_ONCE - self._count_under_way(name) for name in first}
        # Who has no place free is looked at when one of his own ends, which wakes us.
        waiting = [name for name in first if free[name]]
        now, began = self._clock(), False
        for name in waiting:
            if first[name] <= now:
                self._begin(name, free[name], now)
                began = True
        if began:
            return 0.0
        return min([LOOK_SECONDS, *((first[name] - now).total_seconds() for name in waiting)])

    def _begin(self, name: str, most: int, now: datetime) -> None:
        """Have up to *most* delivered that are due for the validator *name*."""
        claimed = self._store.transact(lambda repository: repository.claim_notifications(now, most, name))
        pool = self._pools.setdefault(name, DaemonPool(AT_ONCE, f"notifying {name}", most_queued=AT_ONCE))
        for one in claimed:
            future = pool.submit(partial(self._tell, one))
            self._under_way[future] = one
            future.add_done_callback(lambda _: self.wake())

    def _count_under_way(self, name: str) -> int:
        return sum(one.notification.validator == name for one in self._under_way.values())

    def _forget_told(self) -> None:
        """Settle those that have ended, and forget what is told or given up."""
        ended = [future for future in self._under_way if future.done()]
        told = [one.id for future in ended if self._settle(future, one := self._under_way.pop(future))]
        if told:
            self._store.transact(lambda repository: repository.remove_notifications(told))

    def _drain(self) -> None:
        """Give what is on its way a moment to arrive."""
        if self._under_way:
            wait(list(self._under_way), timeout=DRAIN_SECONDS)
            self._forget_told()

    def _tell(self, claimed: ClaimedNotification) -> None:
        notification = claimed.notification
        if not claimed.is_readable:
            raise NotDelivered("it was kept under another secrets.key: bring that back from a backup")
        notified = self._notified.get(notification.validator)
        if notified is None:
            raise NotDelivered("there is no such validator in the settings, or it wants no notifications")
        notified.notify(notification)

    def _settle(self, future: Future[None], claimed: ClaimedNotification) -> bool:
        """Say how it ended, and whether that was the end of it."""
        notification = claimed.notification
        fields = {
            "notification": notification.kind,
            "validator": notification.validator,
            "transaction_id": notification.transaction_id,
        }
        error = future.exception()
        if error is None:
            log.info(log_line(**fields, outcome="delivered"))
            return True
        if not isinstance(error, NotDelivered):
            log.error("a notification met a fault of the server", exc_info=error)
        why = str(error) if isinstance(error, NotDelivered) else type(error).__name__
        given_up = self._clock() - claimed.created_at >= GIVE_UP_AFTER
        if given_up:
            reason = f"it could not be delivered in {GIVE_UP_AFTER.days} days and is given up"
            log.error(log_line(**fields, outcome="lost", reason=reason, detail=why))
        else:
            again = f"{claimed.next_at:%Y-%m-%dT%H:%M:%SZ}"
            log.warning(
                log_line(**fields, outcome="not delivered", detail=why, attempt=claimed.attempts, again=again)
            )
        return given_up
