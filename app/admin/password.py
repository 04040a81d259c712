"""The administrator's password: kept as its Argon2id hash in a file of the data folder, and compared.

Who may try how often is not decided here.
"""

import hmac
import os
import secrets
import time
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import TypeAlias

from argon2 import PasswordHasher
from argon2.exceptions import Argon2Error, InvalidHashError, VerifyMismatchError

from app.data_folder import replace_private

# RFC 9106 4, the second recommendation: 64 MiB, three passes, four lanes.
_HASHER = PasswordHasher()
_MADE_OCTETS = 18
LEAST_CHARACTERS = 12
# More than anybody types; what is longer is not worth hashing.
MOST_OCTETS = 1024
# For so long a password that was right is known again without hashing it.
REMEMBERED_SECONDS = 300.0
_Stamp: TypeAlias = tuple[int, int, int] | None


class PasswordUnusable(Exception):
    """The file is there and holds no hash; the text says so."""


def make_password() -> str:
    """A password that nobody can guess."""
    return secrets.token_urlsafe(_MADE_OCTETS)


def write_password(path: Path, password: str) -> None:
    """Keep *password* as its hash, in the place of one that may be there.

    Raises:
        OSError: The file cannot be written.

    """
    replace_private(path, f"{_HASHER.hash(password)}\n".encode())


class AdminPassword:
    """The password in the file at *path*, which may be set anew while this is in use.

    One that was right is remembered for a few minutes, as a MAC under a key that this process alone
    has; a change of the file ends that.
    """

    def __init__(self, path: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self._path = path
        self._clock = clock
        self._key = secrets.token_bytes(32)
        self._right = b""
        self._until = 0.0
        self._stamp: _Stamp = None

    def is_set(self) -> bool:
        """Whether there is one."""
        return self._look() is not None

    def is_remembered(self, password: str) -> bool:
        """Whether it is the one that was right a moment ago; costs next to nothing."""
        stamp = self._look()
        known = stamp is not None and stamp == self._stamp and self._clock() < self._until
        return hmac.compare_digest(self._mac(password), self._right) and known

    def verify(self, password: str) -> bool:
        """Whether it is right: takes tens of milliseconds, 64 MiB, and lets other threads run meanwhile.

        Raises:
            PasswordUnusable: The file cannot be read or holds no hash.

        """
        stamp = self._look()
        try:
            kept = self._path.read_text("ascii").strip()
            _HASHER.verify(kept, password)
        except VerifyMismatchError:
            return False
        except (OSError, ValueError, InvalidHashError, Argon2Error) as error:
            raise PasswordUnusable(f"{self._path} holds no password that can be checked") from error
        self._right, self._stamp = self._mac(password), stamp
        self._until = self._clock() + REMEMBERED_SECONDS
        return True

    def _look(self) -> _Stamp:
        try:
            found = os.stat(self._path)
        except OSError:
            return None
        return found.st_mtime_ns, found.st_ino, found.st_size

    def _mac(self, password: str) -> bytes:
        return hmac.digest(self._key, password.encode("utf-8", "surrogateescape"), sha256)
