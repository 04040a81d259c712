"""Has each process know the newest CRLs, whoever asks it for them: they go on while the database is away."""

import logging
import threading
from collections.abc import Sequence

from ca.errors import StoreUnavailable
from ca.issuing.status import RevocationStatus
from ca.ports import StoredCrl

log = logging.getLogger(__name__)
# A number is read for each CA, and its CRL where there is a newer one.
LOOK_SECONDS = 2.0
_JOIN_SECONDS = 1.0


class CrlWatch:
    """Looks for what other processes have made, in a thread of its own. Started after any fork.

    *known* are the CRLs that this process knows: all that are served from here share them.
    """

    def __init__(self) -> None:
        self.known: dict[str, StoredCrl] = {}
        self._statuses: Sequence[RevocationStatus] = ()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="CRLs", daemon=True)

    def use(self, statuses: Sequence[RevocationStatus]) -> None:
        """Look after these from now on."""
        self._statuses = statuses

    def look(self) -> None:
        """Know the newest CRL of each CA.

        Raises:
            StoreUnavailable: The database cannot be read.

        """
        for one in self._statuses:
            one.look()

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End; a look that hangs is left to itself."""
        self._stopping.set()
        self._thread.join(_JOIN_SECONDS)

    def _run(self) -> None:
        while not self._stopping.wait(LOOK_SECONDS):
            try:
                self.look()
            except StoreUnavailable:
                # Whoever needs the database tells the log.
                continue
            except Exception:
                # It must not end here: nobody would start it again.
                log.exception("looking for CRLs met a fault of the server")
