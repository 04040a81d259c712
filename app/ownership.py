"""Whether the configured database is this folder's: asked before anything else is done with it."""

from contextlib import suppress
from functools import partial

from app.clock import utc_now
from app.data_folder import DataFolder, DataFolderError
from app.store import SqlRepository, SqlStore
from app.succession import load_known
from ca.issuing.root import CaUnusable
from ca.x509.certificate import Certificate


def require_own(store: SqlStore, folder: DataFolder, database: str, *, anew: bool = False) -> None:
    """See to it that *store*, called *database*, knows the CAs of *folder*, or one at least, and its secret.

    A database without anything becomes this folder's, as soon as there is a CA. *anew* is for who knows that
    its CA or secret is lost.

    Raises:
        DataFolderError: It is another's.
        StoreUnavailable: It cannot be read or written.

    """
    cas: tuple[Certificate, ...] = ()
    # Without one nothing is issued; who needs it says what is wrong with it.
    with suppress(OSError, CaUnusable):
        cas = load_known(folder.cas)
    if not cas:
        return
    found = store.read(partial(SqlRepository.find_ownership, cas=cas))
    if anew or not (found.stranger or found.is_complete):
        # Another folder may have been faster.
        found = store.transact(partial(SqlRepository.take_ownership, cas=cas, now=utc_now(), anew=anew))
    if found.stranger:
        raise DataFolderError(
            f"{database} does not belong to {folder.path}: {found.stranger}; copy ca/ and secrets.key from "
            "the server that uses it, or bring them back from a backup (see docs/operations.md)"
        )
