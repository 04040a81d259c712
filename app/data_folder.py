"""The data folder: which file lies where, made with the rights that secrets need."""

import os
import secrets
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

SECRET_OCTETS = 32


class DataFolderError(Exception):
    """A file of the folder is not what it should be; the text says which and what to do."""


@dataclass(frozen=True, slots=True)
class DataFolder:
    """One folder to copy is one CA to move."""

    path: Path

    @property
    def ca_certificate(self) -> Path:
        """The CA certificate, PEM."""
        return self.path / "ca" / "ca.pem"

    @property
    def ca_key(self) -> Path:
        """Its private key, PEM (PKCS #8)."""
        return self.path / "ca" / "ca.key"

    @property
    def ca_chain(self) -> Path:
        """The certificates above an imported CA, PEM; absent where there are none."""
        return self.path / "ca" / "chain.pem"

    @property
    def settings(self) -> Path:
        """The settings file, which need not be there."""
        return self.path / "scepbox.toml"

    @property
    def secret(self) -> Path:
        """The key under which challenge passwords are kept."""
        return self.path / "secrets.key"

    def database_url(self) -> str:
        """SQLite in this folder."""
        return f"sqlite:///{(self.path / 'scepbox.db').resolve().as_posix()}"

    def make(self) -> None:
        """Make the folder, for its owner alone."""
        self.path.mkdir(mode=0o700, parents=True, exist_ok=True)

    def load_secret(self) -> bytes:
        """Read the secret, made on first use.

        Raises:
            OSError: It cannot be read or written.
            DataFolderError: The file is not one of ours.

        """
        with suppress(FileExistsError):
            write_private(self.secret, secrets.token_hex(SECRET_OCTETS).encode() + b"\n")
        try:
            secret = bytes.fromhex(self.secret.read_text("ascii").strip())
        except ValueError:
            secret = b""
        if len(secret) != SECRET_OCTETS:
            raise DataFolderError(
                f"{self.secret} is damaged: bring it back from a backup; without it no challenge is known"
            )
        return secret


def write_private(path: Path, content: bytes) -> None:
    """Write a new file that its owner alone may read, and see it onto the disk.

    Raises:
        FileExistsError: It is there already.

    """
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
