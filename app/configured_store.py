"""The store that the settings name."""

from pathlib import Path

from app.config import Config
from app.data_folder import DataFolder
from app.store import (
    ALONE,
    DatabaseUrl,
    Sharing,
    SqlStore,
    StoreKeys,
    open_store,
    postgresql_url,
    sqlite_url,
)
from ca.errors import StoreUnavailable


def database_url(folder: DataFolder, config: Config) -> DatabaseUrl:
    """The configured database, or SQLite in the folder.

    Raises:
        OSError: The file with its password cannot be read.
        StoreUnavailable: There is none in it.

    """
    section = config.database
    if not section.url:
        return sqlite_url(folder.database)
    if not section.password_file:
        return section.url
    return postgresql_url(section.url, _read_password(Path(section.password_file)))


def open_configured_store(
    folder: DataFolder, config: Config, sharing: Sharing = ALONE, *, as_it_is: bool = False
) -> SqlStore:
    """Open the store, whose file has to be there; *as_it_is* leaves its schema alone.

    Raises:
        StoreUnavailable: It cannot be opened.
        DataFolderError: There is no secret for its audit log and what it seals.

    """
    keys = StoreKeys.of_secret(folder.load_secret())
    url = database_url(folder, config)
    return open_store(url, sharing, keys=keys, as_it_is=as_it_is, must_exist=True)


def _read_password(path: Path) -> str:
    try:
        password = path.read_bytes().decode("utf-8-sig").rstrip("\r\n")
    except UnicodeDecodeError:
        password = ""
    if not password or "\n" in password:
        raise StoreUnavailable(f"{path} has to hold the password in one line of UTF-8 text, and nothing else")
    return password
