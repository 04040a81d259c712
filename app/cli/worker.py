"""One process that serves: its server, and the store, the outbox and the counts that are its alone."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from app.clock import utc_now
from app.config import ConfigError
from app.crl_watch import CrlWatch
from app.http.server import WebServer
from app.indexer import Indexer
from app.notifier import Notifier
from app.recorder.recorder import Recorder
from app.settings import Change
from app.store import SqlRepository, SqlStore
from ca.errors import StoreUnavailable
from ca.journal import log_line
from ca.ports import AuditEntry
from ca.tally import RefusalTally

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Worker:
    """Serves until it is told to stop. *take_in* reloads the settings for whom it is told.

    Of all workers one has an *indexer*.
    """

    server: WebServer
    store: SqlStore
    notifier: Notifier
    recorder: Recorder
    indexer: Indexer | None
    crls: CrlWatch
    tally: RefusalTally
    take_in: Callable[[str], Change]

    def run(self, lifeline: int | None = None) -> None:
        """Serve until told to stop, or until the file descriptor *lifeline* comes to its end."""
        self.notifier.start()
        self.recorder.start()
        self.crls.start()
        if self.indexer:
            self.indexer.start()
        self.server.run(lifeline)
        self.notifier.stop()
        self.recorder.stop()
        self.crls.stop()
        if self.indexer:
            self.indexer.stop()
        self._tell_rest()
        # Closed last of all, SQLite leaves one file.
        self.store.close()

    def stop(self) -> None:
        """Have :meth:`run` finish what is in flight and return. May be called by a signal handler."""
        self.server.stop()

    def reload(self) -> None:
        """Take in the settings anew. May be called by a signal handler, which may interrupt anything."""
        self.server.soon(self._reload)

    def _reload(self) -> None:
        try:
            # Whoever sent the signal is this user or root.
            self.take_in("server, by SIGHUP")
        except ConfigError as error:
            for problem in str(error).splitlines():
                log.error(log_line(reason="the settings were not taken in", detail=problem))

    def _tell_rest(self) -> None:
        """Write into the audit log how many refusals it does not have."""
        for entry in self.tally.rest(utc_now()):
            write_audit(self.store, entry)


def write_audit(store: SqlStore, entry: AuditEntry) -> None:
    """Write an entry of what is done already, or tell the log why it is missing."""
    try:
        store.transact(partial(SqlRepository.add_audit, entry=entry))
    except StoreUnavailable as error:
        log.error(log_line(reason="the audit log cannot be written", detail=error))


def log_audit_head(store: SqlStore) -> None:
    """Have the log say where the audit log ends: kept elsewhere, it shows if that is cut or written anew."""
    try:
        log.info(log_line(audit_head=store.read(lambda repository: repository.audit_head())))
    except StoreUnavailable as error:
        log.error(log_line(reason="the audit log cannot be read", detail=error))
