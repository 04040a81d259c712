"""The store that the settings name."""

from dataclasses import dataclass
from pathlib import Path

from app.config import Config
from app.data_folder import DataFolder
from app.ownership import require_own
from app.store import (
    ALONE,
    DatabaseUrl,
    Sharing,
    SqlStore,
    StoreKeys,
    database_name,
    open_store,
    postgresql_url,
    sqlite_url,
)
from ca.errors import StoreUnavailable


def database_url(folder: DataFolder, config: Config) -> DatabaseUrl:
    """The configured database, or SQLite in the folder; its password is read when it is opened."""
    section = config.database
    if not section.url:
        return sqlite_url(folder.database)
    if not section.password_file:
        return section.url
    return postgresql_url(section.url, PasswordFile(Path(section.password_file)))


def open_configured_store(
    folder: DataFolder,
    config: Config,
    sharing: Sharing = ALONE,
    *,
    as_it_is: bool = False,
    anew: bool = False,
) -> SqlStore:
    """Open the store, whose file has to be there, and which has to be that of the folder's CA and secret.

    *as_it_is* leaves its schema alone, and does not ask whose it is. *anew* makes it the folder's.

    Raises:
        StoreUnavailable: It cannot be opened.
        DataFolderError: There is no secret for its audit log and what it seals, or it is another's.

    """
    keys, url = StoreKeys.of_secret(folder.load_secret()), database_url(folder, config)
    store = open_store(url, sharing, keys=keys, as_it_is=as_it_is, must_exist=True)
    try:
        if not as_it_is:
            require_own(store, folder, database_name(url), anew=anew)
    except BaseException:
        store.close()
        raise
    return store


@dataclass(frozen=True, slots=True)
class PasswordFile:
    """A password as it is in a file at the moment."""

    path: Path

    def __str__(self) -> str:
        """Read it.

        Raises:
            OSError: The file cannot be read.
            StoreUnavailable: There is none in it.

        """
        try:
            password = self.path.read_bytes().decode("utf-8-sig").rstrip("\r\n")
        except UnicodeDecodeError:
            password = ""
        if not password or "\n" in password:
            raise StoreUnavailable(
                f"{self.path} has to hold the password in one line of UTF-8 text, and nothing else"
            )
        return password
