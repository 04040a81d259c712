"""The data folder: which file lies where, made whole or not at all and with the rights that secrets need."""

import errno
import os
import secrets
import shutil
import stat
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from app.ca_folder import CaFolder, CaFolders
from app.hints import command

SECRET_OCTETS = 32
# What a start or a verb that was killed left behind is looked at by nobody, and there are private keys in
# it; one that runs is done long before.
LEFTOVER_SECONDS = 600
# How the names of folders begin in which a restore gathers what it will put in place.
RESTORING = "restore.new-"


class DataFolderError(Exception):
    """A file of the folder is not what it should be; the text says which and what to do."""


@dataclass(frozen=True, slots=True)
class DataFolder:
    """One folder to copy is one CA to move.

    ``ca/`` comes last into a new one: where it is, the secret and the database were.
    """

    path: Path

    @property
    def ca(self) -> Path:
        """What belongs to the CA itself."""
        return self.path / "ca"

    @property
    def has_ca(self) -> bool:
        """Whether there is a CA, or at least the half of one."""
        return self.ca.exists()

    @property
    def cas(self) -> CaFolders:
        """The CAs that there are by now: of today, next and former."""
        return CaFolders.look(self.ca)

    @property
    def current_ca(self) -> CaFolder:
        """The files of the CA of today."""
        return self.cas.current

    @property
    def ca_certificate(self) -> Path:
        """Its certificate, PEM."""
        return self.current_ca.certificate

    @property
    def ca_key(self) -> Path:
        """Its private key, PEM (PKCS #8)."""
        return self.current_ca.key

    @property
    def ca_chain(self) -> Path:
        """The certificates above it, PEM; absent where there are none."""
        return self.current_ca.chain

    @property
    def settings(self) -> Path:
        """The settings file, which need not be there."""
        return self.path / "scepbox.toml"

    @property
    def reload_mark(self) -> Path:
        """What tells those who serve to take settings in; an octet longer each time."""
        return self.path / "reload.mark"

    @property
    def reloaded_settings(self) -> Path:
        """The settings that they are to take in, as they were when they were found in order."""
        return self.path / "reload.toml"

    @property
    def settings_in_force(self) -> Path:
        """The settings that the server has taken in last, and the path of the file they came from."""
        return self.path / "settings.in-force.json"

    @property
    def admin_password(self) -> Path:
        """The Argon2id hash of the administrator's password; absent where none was set."""
        return self.path / "admin.hash"

    @property
    def metrics_token(self) -> Path:
        """The hash of the token for ``/metrics``; absent where none was made."""
        return self.path / "metrics.hash"

    @property
    def secret(self) -> Path:
        """The key under which challenge passwords are kept."""
        return self.path / "secrets.key"

    @property
    def recordings(self) -> Path:
        """The folder of recorded exchanges."""
        return self.path / "recordings"

    @property
    def unfinished_restore(self) -> Path | None:
        """What a restore that was killed left behind; None where there is no such thing."""
        return next(iter(sorted(self.path.glob(f"{RESTORING}*"))), None)

    @property
    def database(self) -> Path:
        """The SQLite database, where the settings name no other."""
        return (self.path / "scepbox.db").resolve()

    def command(self, words: str) -> str:
        """The command line of a verb for this folder, to tell people."""
        return command(words, self.path)

    def make(self) -> None:
        """Make the folder, for its owner alone."""
        self.path.mkdir(mode=0o700, parents=True, exist_ok=True)

    def make_secret(self) -> None:
        """Make the secret, unless there is one."""
        with suppress(FileExistsError):
            write_private(self.secret, secrets.token_hex(SECRET_OCTETS).encode() + b"\n")

    def remake_damaged_secret(self) -> None:
        """Make the secret anew if it is none; for a folder in which nothing was ever kept under it."""
        if self.secret.exists() and _secret_in(self.secret) is None:
            self.secret.unlink()
        self.make_secret()

    def load_secret(self) -> bytes:
        """Read the secret.

        Raises:
            OSError: It cannot be read.
            DataFolderError: It is missing, or the file is not one of ours.

        """
        after = "(no challenge password made so far is known then)"
        try:
            secret = _secret_in(self.secret)
        except FileNotFoundError:
            raise DataFolderError(
                f"{self.secret} is missing: bring it back from a backup, "
                f"or go on without it by `{self.command('init --make-missing')}` {after}"
            ) from None
        if secret is None:
            raise DataFolderError(
                f"{self.secret} is damaged: bring it back from a backup, "
                f"or remove it and run `{self.command('init --make-missing')}` {after}"
            )
        return secret

    def put_ca(self, files: dict[str, bytes], place: Path | None = None) -> None:
        """Put a CA in its *place*, ``ca/``, with all of *files* on the disk, or not at all.

        Raises:
            FileExistsError: There is one already, perhaps another start's that was faster.

        """
        place = place or self.ca
        self.remove_leftovers()
        beside = Path(tempfile.mkdtemp(prefix="ca.new-", dir=self.path))
        try:
            give_to_owner(beside)
            for name, content in files.items():
                write_private(beside / name, content)
            rename_folder(beside, place)
        finally:
            shutil.rmtree(beside, ignore_errors=True)
        sync_folder(place.parent)

    def remove_leftovers(self) -> None:
        """Remove what starts and verbs that were killed left behind some time ago."""
        for pattern in (
            "ca.new*",
            f"{RESTORING}*",
            f"{self.secret.name}.new-*",
            "admin.hash.new-*",
            "metrics.hash.new-*",
            "reload.*.new-*",
            f"{self.ca.name}/**/*.new-*",
        ):
            # A folder that somebody renames meanwhile is looked through another time.
            with suppress(OSError):
                for path in self.path.glob(pattern):
                    _remove_if_old(path)


def _remove_if_old(path: Path) -> None:
    with suppress(OSError):
        if time.time() - path.stat().st_mtime < LEFTOVER_SECONDS:
            return
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()


def write_private(path: Path, content: bytes) -> None:
    """Write a new file that its owner alone may read: whole and on the disk, or not at all.

    Raises:
        FileExistsError: It is there already.

    """
    with private_file(path) as file:
        file.write(content)


def replace_private(path: Path, content: bytes) -> None:
    """Write a file that its owner alone may read, in the place of one that may be there.

    Raises:
        OSError: It cannot be written, or on Windows is just being read.

    """
    with private_file(path, replace=True) as file:
        file.write(content)


@contextmanager
def private_file(path: Path, *, replace: bool = False) -> Iterator[IO[bytes]]:
    """A file that its owner alone may read, open to be written: whole and on the disk, or not at all.

    It has another name beside *path* until then, and *path* only where all went well.

    Raises:
        FileExistsError: There is one already, and it is not to be replaced.
        OSError: It cannot be written.

    """
    with _told_of(path):
        descriptor, name = tempfile.mkstemp(prefix=f"{path.name}.new-", dir=path.parent)
    beside = Path(name)
    try:
        with _told_of(path), os.fdopen(descriptor, "w+b") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        give_to_owner(beside)
        if replace:
            beside.replace(path)
        else:
            name_file(beside, path)
    finally:
        beside.unlink(missing_ok=True)
    sync_folder(path.parent)


def give_to_owner(path: Path) -> None:
    """Give what root has just made in a folder to that folder's owner.

    The server may run as another user than whoever types a verb, and has to read it.
    """
    if not hasattr(os, "geteuid") or os.geteuid() != 0:
        return
    owner, own = path.parent.stat(), path.lstat()
    if (own.st_uid, own.st_gid) != (owner.st_uid, owner.st_gid):
        os.chown(path, owner.st_uid, owner.st_gid, follow_symlinks=False)


def rename_folder(folder: Path, place: Path) -> None:
    """Rename a folder to what must be free: at once and whole.

    Raises:
        FileExistsError: There is something at *place*.

    """
    try:
        folder.rename(place)
    except OSError:
        # Which error it is differs from system to system.
        if not place.exists():
            raise
        raise _taken(place) from None


def touch_private(path: Path) -> None:
    """Make an empty file that its owner alone may read; one that is there stays as it is."""
    with suppress(FileExistsError):
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        give_to_owner(path)


def sync_folder(path: Path) -> None:
    """See onto the disk what was named, renamed or removed in a folder.

    Windows cannot open folders and writes their entries by itself; some network file systems
    cannot be asked either.
    """
    if os.name == "nt":
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise
    finally:
        os.close(descriptor)


def readable_by_others(path: Path) -> bool:
    """Whether more than the owner may read a file. Windows' rights are another matter."""
    if os.name == "nt":
        return False
    try:
        return bool(path.stat().st_mode & (stat.S_IRGRP | stat.S_IROTH))
    except OSError:
        # Missing, or in a folder that is somebody else's: whoever loads it says so.
        return False


def _secret_in(path: Path) -> bytes | None:
    """The secret in the file, None where it holds anything else."""
    try:
        secret = bytes.fromhex(path.read_text("ascii").strip())
    except ValueError:
        return None
    return secret if len(secret) == SECRET_OCTETS else None


def name_file(beside: Path, path: Path) -> None:
    """Give a finished file its name, which must be free; *beside* may be left for the caller to remove.

    Raises:
        FileExistsError: It is not.

    """
    try:
        if os.name == "nt":
            # Windows' rename never overwrites.
            beside.rename(path)
        else:
            os.link(beside, path)
    except FileExistsError:
        raise _taken(path) from None
    except OSError as error:
        # exFAT and some network file systems have no links.
        if os.name == "nt" or error.errno not in (errno.EPERM, errno.ENOTSUP, errno.ENOSYS):
            raise
        if path.exists():
            raise _taken(path) from None
        beside.rename(path)


def _taken(path: Path) -> FileExistsError:
    return FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path))


@contextmanager
def _told_of(path: Path) -> Iterator[None]:
    """Have what goes wrong with the file beside *path* told of *path*: nobody knows the other name."""
    try:
        yield
    except OSError as error:
        if error.errno is None or not (error.filename is None or f"{path.name}.new-" in str(error.filename)):
            raise
        raise OSError(error.errno, os.strerror(error.errno), str(path)) from error
