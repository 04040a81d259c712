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
class OwnerKey:
    """Marks the CAs of a database as those of the folder with this secret."""

    _key: bytes = field(repr=False)

    def mac(self, issuer: str) -> bytes:
        """The mark of the CA that is kept under *issuer* (see :func:`ca.issuing.crl.issuer_id`)."""
        return hmac.digest(self._key, issuer.encode(), sha256)


@dataclass(frozen=True, slots=True)
class StoreKeys:
    """That of the audit log, that of the requests, and that of whose the database is."""

    audit: AuditKey
    content: ContentKey
    owner: OwnerKey

    @classmethod
    def of_secret(cls, secret: bytes) -> "StoreKeys":
        """Those that belong to a data folder's *secret*."""
        content = ContentKey(hmac.digest(secret, b"requests at rest", sha256))
        owner = OwnerKey(hmac.digest(secret, b"authorities of the database", sha256))
        return cls(AuditKey.of_secret(secret), content, owner)


def _name(row: tuple[str, ...]) -> bytes:
    return "\0".join(row).encode()
