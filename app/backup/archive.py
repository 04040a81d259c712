"""The container of a backup: a ZIP file with a manifest, written in one go and read with distrust.

ZIP because every system opens it, each member can be read by itself, and it may be larger than 4 GiB.
"""

import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from hashlib import sha256
from pathlib import Path
from typing import IO, Self

from app.backup.manifest import FOLDER, MANIFEST, BackupDamaged, Manifest, Member, member_of_table
from app.store.exchange import BadRow, decode_row

_CHUNK = 1 << 18
# A request is at most 2 MiB, and octets are kept as base64.
_MOST_LINE = 1 << 24
_MOST_MANIFEST = 1 << 22
# Of the files of a data folder, each and together.
MOST_FILE, MOST_FILES = 1 << 20, 1 << 26
# Certificates and hashes hardly get smaller by more.
_COMPRESSION = 1


class ArchiveWriter:
    """Writes members one after the other, with what the manifest says of them. Leaving it closes it."""

    def __init__(self, file: IO[bytes]) -> None:
        self._zip = zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=_COMPRESSION)
        self.members: dict[str, Member] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        # What is wrong with the disk was told already, or finish() tells it.
        with suppress(OSError, ValueError):
            self._zip.close()

    def add(self, name: str, chunks: Iterable[bytes], modified: int | None = None) -> None:
        """Write a member, however long it is."""
        digest, octets = sha256(), 0
        with self._zip.open(name, "w", force_zip64=True) as member:
            for chunk in chunks:
                digest.update(chunk)
                octets += len(chunk)
                member.write(chunk)
        self.members[name] = Member(octets=octets, modified=modified, sha256=digest.hexdigest())

    def finish(self, manifest: Manifest) -> None:
        """Write the manifest, and the directory that makes it a ZIP file."""
        self._zip.writestr(MANIFEST, manifest.model_dump_json(indent=1))
        self._zip.close()


class Archive:
    """A backup that is read. Only what the manifest names is, and no more of it than that says.

    Nothing is ever unpacked by the names in it.
    """

    def __init__(self, path: Path, file: zipfile.ZipFile) -> None:
        self._path = path
        self._zip = file
        infos = file.infolist()
        if MANIFEST not in file.NameToInfo or file.NameToInfo[MANIFEST].file_size > _MOST_MANIFEST:
            raise BackupDamaged(f"it has no {MANIFEST}")
        with file.open(MANIFEST) as member:
            self.manifest = Manifest.read(member.read(_MOST_MANIFEST))
        members = self.manifest.members
        if sorted(one.filename for one in infos) != sorted([*members, MANIFEST]):
            raise BackupDamaged("what is in it is not what its manifest names")
        for name, member_info in members.items():
            if file.NameToInfo[name].file_size != member_info.octets:
                raise BackupDamaged(f"{name} is not as long as it was")
        lengths = [one.octets for name, one in members.items() if name.startswith(FOLDER)]
        if max(lengths, default=0) > MOST_FILE or sum(lengths) > MOST_FILES:
            raise BackupDamaged("its files are larger than those of any data folder")

    @property
    def files(self) -> list[str]:
        """The files of the data folder, as paths in it with slashes."""
        return [name.removeprefix(FOLDER) for name in self.manifest.members if name.startswith(FOLDER)]

    @property
    def octets(self) -> int:
        """How long everything in it is, unpacked."""
        return sum(one.octets for one in self.manifest.members.values())

    def verify(self, on_octets: Callable[[int], object] = lambda _: None) -> None:
        """Read everything once, and compare it with the manifest.

        *on_octets* is called with how many more were read.

        Raises:
            BackupDamaged: It is not what was written.

        """
        for name, told in self.manifest.members.items():
            digest = sha256()
            with self._opened(name) as member:
                while chunk := member.read(_CHUNK):
                    digest.update(chunk)
                    on_octets(len(chunk))
            if digest.hexdigest() != told.sha256:
                raise BackupDamaged(f"{self._path}: {name} is damaged: its SHA-256 is another one")

    def modified(self, name: str) -> int | None:
        """When a file of the data folder was written, in seconds since 1970; None where nobody knows."""
        return self.manifest.members[FOLDER + name].modified

    def read_file(self, name: str) -> bytes:
        """The content of a file of the data folder.

        Raises:
            BackupDamaged: It cannot be read.

        """
        with self._opened(FOLDER + name) as member:
            return member.read(MOST_FILE)

    def rows(self, table: str) -> Iterator[list[object]]:
        """The rows of a table, one by one.

        Raises:
            BackupDamaged: One is none, or there are more or fewer of them than there should be.

        """
        shape, count = self.manifest.tables[table], 0
        with self._opened(member_of_table(table)) as member:
            while line := member.readline(_MOST_LINE):
                count += 1
                try:
                    yield decode_row(line, shape.columns)
                except BadRow as error:
                    raise BackupDamaged(f"{self._path}: row {count} of {table}: {error}") from error
        if count != shape.rows:
            raise BackupDamaged(f"{self._path}: {table} has {count} rows, and not {shape.rows}")

    @contextmanager
    def _opened(self, name: str) -> Iterator[IO[bytes]]:
        with _distrusting(self._path), self._zip.open(name) as member:
            yield member


@contextmanager
def open_archive(path: Path) -> Iterator[Archive]:
    """A backup to read.

    Raises:
        OSError: The file cannot be read.
        BackupDamaged: It is no backup.

    """
    with path.open("rb") as file:
        with _distrusting(path):
            container = zipfile.ZipFile(file)
            archive = Archive(path, container)
        with container:
            yield archive


@contextmanager
def _distrusting(path: Path) -> Iterator[None]:
    """Have whatever zipfile makes of a damaged file told as such, and by its name."""
    try:
        yield
    except BackupDamaged as error:
        text = str(error)
        raise BackupDamaged(text if text.startswith(str(path)) else f"{path}: {text}") from error
    except zipfile.BadZipFile as error:
        raise BackupDamaged(f"{path} is no backup, or not the whole of one: {error}") from error
    except (zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError, OverflowError) as error:
        raise BackupDamaged(f"{path} is damaged: {error}") from error
