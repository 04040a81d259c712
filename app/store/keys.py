"""The keys that a store needs, of the data folder's secret; none of them is in the database.

What is kept of a request is the whole CSR, and its challenge password is an attribute of that: it is
sealed, so that who has the database alone, or a backup of it, has no password that is still good.
"""

import hmac
import os
from dataclasses import dataclass, field
from hashlib import sha256

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from app.store.audit import AuditKey

_SEALED = b"\x01"
# NIST SP 800-38D 8.2.2: of 96 bits by chance, good for 2^32 rows under one key.
_NONCE_OCTETS = 12


class WrongSecret(Exception):
    """Something was sealed under another secret, or moved to another row."""


@dataclass(frozen=True, slots=True)
class ContentKey:
    """Seals requests with AES-256-GCM."""

    _key: bytes = field(repr=False)

    def seal(self, content: bytes, *row: str) -> bytes:
        """*content* as it is kept in that *row*, and can be read in no other."""
        nonce = os.urandom(_NONCE_OCTETS)
        return _SEALED + nonce + AESGCM(self._key).encrypt(nonce, content, _name(row))

    def unseal(self, kept: bytes, *row: str) -> bytes:
        """What :meth:`seal` made *kept* of; the DER that earlier versions kept is as it is.

        Raises:
            WrongSecret: It was sealed with another key, or in another row.

        """
        if not kept.startswith(_SEALED):
            return kept
        nonce, sealed = kept[1 : 1 + _NONCE_OCTETS], kept[1 + _NONCE_OCTETS :]
        try:
            return AESGCM(self._key).decrypt(nonce, sealed, _name(row))
        except (InvalidTag, ValueError) as error:
            raise WrongSecret from error


@dataclass(frozen=True, slots=True)
class StoreKeys:
    """That of the audit log, and that of the requests."""

    audit: AuditKey
    content: ContentKey

    @classmethod
    def of_secret(cls, secret: bytes) -> "StoreKeys":
        """Those that belong to a data folder's *secret*."""
        return cls(AuditKey.of_secret(secret), ContentKey(hmac.digest(secret, b"requests at rest", sha256)))


def _name(row: tuple[str, ...]) -> bytes:
    return "\0".join(row).encode()
