"""What brings the index for searching on while a server runs: one thread, in the first of its processes."""

import logging
import threading
import time

from app.store import SqlStore
from ca.errors import StoreUnavailable
from ca.journal import log_line

log = logging.getLogger(__name__)
# How often it is looked for what was enrolled meanwhile, and after it could not be done.
LOOK_SECONDS = 10.0
AGAIN_SECONDS = 600.0
# Between two steps, for each second that one took: it has no hurry, and others need the processor.
_REST = 2.0
_JOIN_SECONDS = 3.0


class Indexer:
    """Started in the process that it serves, after any fork."""

    def __init__(self, store: SqlStore) -> None:
        self._store = store
        self._stopping = threading.Event()
        self._told = ""
        self._thread = threading.Thread(target=self._run, name="indexer", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End after the step that is under way; one that takes long is left to itself."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(_JOIN_SECONDS)

    def _run(self) -> None:
        # A start is busy enough.
        seconds = LOOK_SECONDS
        while not self._stopping.wait(seconds):
            try:
                seconds = self._step()
            except StoreUnavailable as error:
                self._tell(str(error))
                seconds = AGAIN_SECONDS
            except Exception:
                # It must not end here: nobody would start it again.
                log.exception("the index for searching met a fault of the server")
                seconds = AGAIN_SECONDS

    def _step(self) -> float:
        """Do one, and say for how many seconds there is nothing more to do."""
        began = time.monotonic()
        has_more = self._store.index_names()
        self._told = ""
        return _REST * (time.monotonic() - began) if has_more else LOOK_SECONDS

    def _tell(self, detail: str) -> None:
        """Have the log say once why searches look at all certificates."""
        if detail != self._told:
            self._told = detail
            log.warning(log_line(reason="there is no index for searching, or not all of it", detail=detail))
