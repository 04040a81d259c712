"""Bringing a backup back: into a folder and a database that have nothing in them, all of it or nothing.

The files are gathered in ``restore.new-…`` in the folder itself, which may be another disk's. As long as
that is there and ``ca/`` is not, no server starts; and ``ca/`` comes last.
"""

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from app.backup.archive import Archive
from app.backup.folder_files import is_wanted
from app.backup.making import Progress
from app.backup.manifest import BackupDamaged, CannotRestore
from app.data_folder import RESTORING, DataFolder, give_to_owner, name_file, rename_folder, sync_folder
from app.store import DatabaseUrl, sqlite_url
from app.store.filling import filling
from app.store.presence import find_database_file
from app.store.records import AuditHead

_CA, _SETTINGS, _SECRET = "ca", "scepbox.toml", "secrets.key"
_AT_ONCE = 500
# More than so many octets are told in MiB.
_MANY = 10 << 20
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)


@dataclass(frozen=True, slots=True)
class Restorer:
    """Restores *archive*, which was verified, into *folder* and into the database at *url*.

    Where *keeps_settings* there is a settings file in the folder, which stays instead of the backup's.
    """

    archive: Archive
    folder: DataFolder
    url: DatabaseUrl
    keeps_settings: bool

    def restore(self, progress: Progress) -> None:
        """Do it.

        Raises:
            CannotRestore: There is not enough room.
            BackupDamaged: What is in it is not a data folder, or not the rows of its tables.
            StoreUnavailable: The database cannot be made, or is in use.
            OSError: A file cannot be written.

        """
        names = self._names()
        made = not self.folder.path.exists()
        self.folder.make()
        place = Path(tempfile.mkdtemp(prefix=RESTORING, dir=self.folder.path.resolve()))
        try:
            give_to_owner(place)
            self._require_room()
            self._gather(place, names)
            self._put(place, self._fill(place, progress))
        finally:
            shutil.rmtree(place, ignore_errors=True)
            if made and not any(self.folder.path.iterdir()):
                self.folder.path.rmdir()

    def _names(self) -> list[str]:
        names = self.archive.files
        for name in names:
            if not is_wanted(name):
                raise BackupDamaged(f"{name!r} in it is no name of a file of a data folder")
        if _SECRET not in names or not any(name.startswith(f"{_CA}/") for name in names):
            raise BackupDamaged(f"it has no {_SECRET}, or no CA")
        return [name for name in names if not (self.keeps_settings and name == _SETTINGS)]

    def _require_room(self) -> None:
        free, needed = shutil.disk_usage(self.folder.path).free, self.archive.octets
        if find_database_file(self.url) and free < needed:
            unit, octets = ("MiB", 1 << 20) if needed > _MANY else ("KiB", 1 << 10)
            raise CannotRestore(
                f"{self.folder.path} has {free // octets} {unit} free, and the backup is "
                f"{-(-needed // octets)} {unit} long: make room, or name another folder with --data"
            )

    def _gather(self, place: Path, names: list[str]) -> None:
        for name in names:
            path = place / name
            for parent in reversed(path.relative_to(place).parents[:-1]):
                (place / parent).mkdir(mode=0o700, exist_ok=True)
                give_to_owner(place / parent)
            with os.fdopen(os.open(path, _NEW, 0o600), "wb") as file:
                file.write(self.archive.read_file(name))
                file.flush()
                modified = self.archive.modified(name)
                if modified is not None:
                    os.utime(path, (modified, modified))
                os.fsync(file.fileno())
            give_to_owner(path)
            sync_folder(path.parent)

    def _fill(self, place: Path, progress: Progress) -> Path | None:
        """Fill the database, and return the file that has yet to be given its name, if it is a file."""
        manifest, file = self.archive.manifest, find_database_file(self.url)
        beside = None
        if file is not None:
            # Where it can be given its name without being copied.
            stage = place if file.parent == self.folder.path.resolve() else file.parent
            descriptor, name = tempfile.mkstemp(prefix=f"{file.name}.new-", dir=stage)
            os.close(descriptor)
            beside = Path(name)
        head = AuditHead(manifest.audit_head.number, bytes.fromhex(manifest.audit_head.chain))
        progress.begin(sum(shape.rows for shape in manifest.tables.values()))
        try:
            with filling(sqlite_url(beside) if beside else self.url, manifest.schema_revision) as database:
                database.check_tables({name: shape.columns for name, shape in manifest.tables.items()})
                for name, shape in manifest.tables.items():
                    rows = _telling(self.archive.rows(name), progress.advance)
                    database.fill(name, list(shape.columns), rows)
                database.finish(head)
            if beside is not None:
                _sync(beside)
                give_to_owner(beside)
        except BaseException:
            if beside is not None:
                beside.unlink()
            raise
        return beside

    def _put(self, place: Path, database: Path | None) -> None:
        """Give everything its name, ``ca/`` last; what has one is taken away again if the rest fails."""
        with ExitStack() as undo:
            file = find_database_file(self.url)
            if database is not None and file is not None:
                undo.callback(database.unlink, missing_ok=True)
                name_file(database, file)
                undo.callback(file.unlink, missing_ok=True)
                sync_folder(file.parent)
            for path in sorted(place.iterdir(), key=lambda one: (one.name == _CA, one.name)):
                target = self.folder.path / path.name
                if path == database:
                    continue
                if path.is_dir():
                    rename_folder(path, target)
                    undo.callback(shutil.rmtree, target, ignore_errors=True)
                else:
                    name_file(path, target)
                    undo.callback(target.unlink, missing_ok=True)
            sync_folder(self.folder.path)
            undo.pop_all()
        if database is not None:
            database.unlink(missing_ok=True)


def _telling(rows: Iterator[list[object]], advance: Callable[[int], object]) -> Iterator[list[object]]:
    """The rows, and word of every few hundred."""
    count = 0
    for count, row in enumerate(rows, 1):
        yield row
        if not count % _AT_ONCE:
            advance(_AT_ONCE)
    advance(count % _AT_ONCE)


def _sync(path: Path) -> None:
    with path.open("r+b") as file:
        os.fsync(file.fileno())
