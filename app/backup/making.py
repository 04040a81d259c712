"""Making a backup, while the server goes on."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from app import VERSION
from app.backup.archive import ArchiveWriter
from app.backup.folder_files import FolderFile, collect_files
from app.backup.manifest import FOLDER, Head, Manifest, TableShape, member_of_table
from app.clock import utc_now
from app.data_folder import DataFolder, DataFolderError, private_file
from app.store import SqlRepository

# Rows that go into the archive at a time.
_AT_ONCE = 200


@dataclass(frozen=True, slots=True)
class Progress:
    """Who is told how far it is: *begin* of how many rows there are, *advance* of how many more are done."""

    begin: Callable[[int], object]
    advance: Callable[[int], object]


@dataclass(frozen=True, slots=True)
class Made:
    """A backup that was made, and the files that were too large to be in it."""

    manifest: Manifest
    octets: int
    left_out: tuple[Path, ...]


@dataclass(frozen=True, slots=True)
class BackupMaker:
    """Makes a backup of *folder* and of the database, of that *kind*, that belongs to it.

    *settings* is the text of the settings file that counts, None where there is none; *apart* are files
    of the folder that are none of it, such as the database's.
    """

    folder: DataFolder
    kind: str
    settings: str | None
    apart: frozenset[Path]

    def make(self, repository: SqlRepository, target: Path, progress: Progress, *, replace: bool) -> Made:
        """Write it to *target*, whole and on the disk or not at all, from a transaction that only reads.

        Raises:
            FileExistsError: There is a file already, and it is not to be replaced.
            OSError: A file cannot be read or written.
            DataFolderError: What a CA cannot be without is missing, or there is far more than a CA.
            StoreUnavailable: A row holds what its columns cannot.

        """
        snapshot = repository.snapshot()
        # After the database: each CA that issued what is in there is in the folder then.
        found = collect_files(self.folder, self.apart | {target.resolve()})
        files = dict(found.files)
        if self.settings is not None:
            now = int(utc_now().timestamp())
            files[self.folder.settings.name] = FolderFile(self.settings.encode(), now)
        self._require(files)
        counts = {name: snapshot.count(name) for name in snapshot.tables}
        progress.begin(sum(counts.values()))
        with private_file(target, replace=replace) as file, ArchiveWriter(file) as archive:
            for name, one in files.items():
                archive.add(FOLDER + name, [one.content], one.modified)
            for name in snapshot.tables:
                lines = _in_chunks(snapshot.lines(name), progress.advance)
                archive.add(member_of_table(name), lines)
            manifest = Manifest(
                program=VERSION,
                created_at=utc_now().replace(microsecond=0),
                database=self.kind,
                schema_revision=snapshot.revision,
                audit_head=Head(number=snapshot.audit_head.number, chain=snapshot.audit_head.chain.hex()),
                tables={
                    name: TableShape(columns=dict(columns), rows=counts[name])
                    for name, columns in snapshot.tables.items()
                },
                members=archive.members,
            )
            archive.finish(manifest)
            return Made(manifest, file.tell(), found.left_out)

    def _require(self, files: dict[str, FolderFile]) -> None:
        current = self.folder.current_ca
        for path in (self.folder.secret, current.certificate, current.key):
            if path.relative_to(self.folder.path).as_posix() not in files:
                raise DataFolderError(f"{path} is missing: without it a backup would be worth nothing")


def _in_chunks(lines: Iterator[bytes], advance: Callable[[int], object]) -> Iterator[bytes]:
    """Some lines at a time, which is what compressing and hashing are fast with."""
    some: list[bytes] = []
    for line in lines:
        some.append(line)
        if len(some) == _AT_ONCE:
            yield b"".join(some)
            advance(len(some))
            some.clear()
    yield b"".join(some)
    advance(len(some))
