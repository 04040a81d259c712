"""Which files of a data folder are kept in a backup, and which may be put into one."""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from app.backup.archive import MOST_FILE, MOST_FILES
from app.data_folder import DataFolder, DataFolderError

# What a server that runs is told by, what is not finished, and what is the database's.
_PASSING = re.compile(
    r"reload\.(mark|toml)|settings\.in-force\.json|restore\.new-.*|recordings|"
    r".*\.new(-.*)?|.*\.db(-wal|-shm|-journal)?"
)
# Windows would make something else of some of these.
_PART = re.compile(r'[^\x00-\x1f<>:"/\\|?*]{1,200}')
_TRIES = 20


@dataclass(frozen=True, slots=True)
class FolderFile:
    """A file's content, and when it was written, in seconds since 1970."""

    content: bytes
    modified: int


@dataclass(frozen=True, slots=True)
class FolderFiles:
    """The files by their paths in the folder, with slashes; *left_out* are those too large to be of it."""

    files: dict[str, FolderFile]
    left_out: tuple[Path, ...]


def collect_files(folder: DataFolder, apart: frozenset[Path]) -> FolderFiles:
    """Read all files of the folder but those *apart*, as they were at one moment.

    A change of the CA is a renaming: if there was one meanwhile, they are read anew.

    Raises:
        OSError: One cannot be read.
        DataFolderError: There is far more than a data folder has.

    """
    for tries_left in reversed(range(_TRIES)):
        before = folder.cas
        try:
            found = _read(folder.path, apart)
        except FileNotFoundError:
            if not tries_left:
                raise
        else:
            if folder.cas == before or not tries_left:
                return found
    raise FileNotFoundError(folder.ca)


def is_wanted(path: str) -> bool:
    """Whether a path, with slashes, is one that a backup keeps and a restore may write below a folder."""
    parts = PurePosixPath(path).parts
    return (
        "/".join(parts) == path
        and ".." not in parts
        and all(_PART.fullmatch(part) and not part.endswith((".", " ")) for part in parts)
        and not any(_PASSING.fullmatch(part) for part in parts)
    )


def _read(top: Path, apart: frozenset[Path]) -> FolderFiles:
    files: dict[str, FolderFile] = {}
    left_out, octets = [], 0
    for path in _walk(top):
        name = path.relative_to(top).as_posix()
        if not is_wanted(name) or path.resolve() in apart:
            continue
        if not path.is_file() or path.stat().st_size > MOST_FILE:
            left_out.append(path)
            continue
        files[name] = FolderFile(path.read_bytes(), int(path.stat().st_mtime))
        octets += len(files[name].content)
        if octets > MOST_FILES:
            raise DataFolderError(f"{top} holds far more than a CA: move elsewhere what is none of it")
    return FolderFiles(files, tuple(left_out))


def _walk(top: Path) -> Iterator[Path]:
    """Every file, also where a folder is a link to elsewhere, each folder once."""
    seen = set()
    for place, folders, names in os.walk(top, followlinks=True, onerror=_raise):
        real = os.path.realpath(place)
        if real in seen or _PASSING.fullmatch(Path(place).name):
            folders.clear()
            continue
        seen.add(real)
        folders.sort()
        yield from (Path(place) / name for name in sorted(names))


def _raise(error: OSError) -> None:
    raise error
