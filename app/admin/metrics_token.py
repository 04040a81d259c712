"""The token with which Prometheus is let in to ``/metrics``, and to nothing else; kept as its hash.

The administrator's password would do as well, but it makes challenge passwords, and does not belong into
the settings of another program.
"""

import hmac
import secrets
from hashlib import sha256
from pathlib import Path

from app.data_folder import replace_private

# Nobody guesses it, so that a plain hash will do, and nobody counts guesses.
TOKEN_OCTETS = 24
_MAX_HEADER = 200


def make_token(path: Path) -> str:
    """Make a token, keep its hash at *path* in the place of any before, and return it.

    Raises:
        OSError: The file cannot be written.

    """
    token = secrets.token_urlsafe(TOKEN_OCTETS)
    replace_private(path, f"{_digest(token)}\n".encode())
    return token


class MetricsToken:
    """The token whose hash is in the file at *path*, which may be set anew, or not be there."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def is_in(self, header: str) -> bool:
        """Whether an ``Authorization`` has it, as RFC 6750 2.1 writes it."""
        scheme, _, token = header.partition(" ")
        if len(header) > _MAX_HEADER or scheme.lower() != "bearer":
            return False
        try:
            kept = self._path.read_bytes().strip()
        except OSError:
            return False
        return hmac.compare_digest(_digest(token.strip()).encode(), kept)


def _digest(token: str) -> str:
    return sha256(token.encode("utf-8", "surrogateescape")).hexdigest()
