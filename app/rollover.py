"""Changing the CA of today for the next one: each change one renaming of one folder.

Of several who change it at once the first one to rename the folder wins, and the others find nothing
to rename: no lock is needed, and no word to the servers, which look for themselves.
"""

import os
import re
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from app.ca_folder import CaFolders
from app.data_folder import (
    LEFTOVER_SECONDS,
    DataFolder,
    give_to_owner,
    rename_folder,
    replace_private,
    sync_folder,
)

# Most file systems tell at once that a folder has changed. The rest are looked at this often.
LOOK_SECONDS = 1.0
# What servers write into it themselves, and what is not whole yet.
_OWN = re.compile(r"ocsp\.pem|.*\.new-")
_TRIES = 20
_NAP_SECONDS = 0.1


class NoNextCa(Exception):
    """There is none to activate or to give up, or another was faster."""


def put_next(folder: DataFolder, files: dict[str, bytes]) -> None:
    """Put the next CA in its place, with all of *files* on the disk, or not at all.

    Raises:
        FileExistsError: There is one already.

    """
    folder.put_ca(files, folder.cas.next.path)


def activate_next(folder: DataFolder, now: datetime) -> None:
    """Make the next CA the one of today. The former stays where it is.

    Raises:
        NoNextCa: There is none.

    """
    folders = folder.cas
    folder.remove_leftovers()
    try:
        # Whoever serves must be able to read what was prepared, by an administrator's own means perhaps.
        for path in (folders.next.path, *folders.next.path.iterdir()):
            give_to_owner(path)
        # Nobody reads it before the folder has its new name.
        replace_private(folders.next.activated, f"{now:%Y-%m-%dT%H:%M:%S}+00:00\n".encode())
    except FileNotFoundError as error:
        raise NoNextCa from error
    _rename_next(folders, folders.place_of_activated)


def abort_next(folder: DataFolder) -> None:
    """Give the next CA up. It is kept aside: what it issued meanwhile can still be revoked.

    Raises:
        NoNextCa: There is none.

    """
    folders = folder.cas
    folder.remove_leftovers()
    _rename_next(folders, folders.place_of_aborted)


def _rename_next(folders: CaFolders, place: Path) -> None:
    for tries_left in reversed(range(_TRIES)):
        try:
            rename_folder(folders.next.path, place)
            break
        except (FileNotFoundError, FileExistsError) as error:
            raise NoNextCa from error
        except PermissionError:
            # Windows renames no folder in which somebody is just reading a file.
            if os.name != "nt" or not tries_left:
                raise
            time.sleep(_NAP_SECONDS)
    sync_folder(folders.root)


class CaWatch:
    """Tells whether the CAs of a folder have changed, for the price of one look at the clock of a folder.

    Now and then it clears away what killed verbs left there, which a running server would keep for ever.
    """

    def __init__(self, folder: DataFolder) -> None:
        self._folder = folder
        self._root = folder.ca
        self._tidied_at = -float(LEFTOVER_SECONDS)
        self._changed_at = -1
        self._looked_at = -LOOK_SECONDS
        self._seen: object = None

    def __call__(self) -> object:
        """What is another value, in the sense of ``!=``, after each change."""
        now = time.monotonic()
        try:
            changed_at = os.stat(self._root).st_mtime_ns
            if changed_at != self._changed_at or now - self._looked_at >= LOOK_SECONDS:
                seen = self._look()
                if seen != self._seen:
                    self._seen = seen
                self._changed_at, self._looked_at = changed_at, now
                if now - self._tidied_at >= LEFTOVER_SECONDS:
                    self._tidied_at = now
                    self._folder.remove_leftovers()
        except OSError:
            # What was there is served until it is there again.
            pass
        return self._seen

    def _look(self) -> object:
        folders = CaFolders.look(self._root)
        # Of those beside the CA of today the files too: one that was left out may be mended, and one may
        # be given up and cleared away, and another made, between two looks.
        return folders, frozenset(state for one in folders.all()[1:] for state in _states(one.path))


def _states(folder: Path) -> Iterator[object]:
    """What changes with each file of a CA that is not the server's own to renew."""
    try:
        for entry in os.scandir(folder):
            if _OWN.match(entry.name) is None and entry.is_file():
                found = entry.stat()
                yield entry.path, found.st_ino, found.st_mtime_ns, found.st_ctime_ns
    except OSError as error:
        # It may be another user's.
        yield folder, error.errno
