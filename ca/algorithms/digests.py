"""Digest algorithms (RFC 3370 2, RFC 5754 2) by name and OID."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass

from cryptography.hazmat.primitives import hashes

from ca.asn1 import writer


@dataclass(frozen=True, slots=True, eq=False)
class Digest:
    """A digest algorithm. There is one instance of each, so ``is`` compares them."""

    name: str
    oid: str
    primitive: hashes.HashAlgorithm
    # Built once: every message carries the AlgorithmIdentifier twice.
    identifier: bytes
    _hash: Callable[..., "hashlib._Hash"]

    def of(self, data: bytes) -> bytes:
        """The digest of *data*."""
        return self._hash(data, usedforsecurity=False).digest()


def _digest(name: str, oid: str, primitive: hashes.HashAlgorithm) -> Digest:
    # RFC 5754 2: absent parameters are right for SHA-2, NULL must be accepted. NULL is sent,
    # because iOS, sscep and the Ruby of old were only ever seen with it.
    identifier = writer.sequence(writer.oid(oid), writer.NULL)
    return Digest(name, oid, primitive, identifier, getattr(hashlib, primitive.name))


MD5 = _digest("MD5", "1.2.840.113549.2.5", hashes.MD5())  # noqa: S303 - read from Cisco IOS, legacy level only
SHA1 = _digest("SHA-1", "1.3.14.3.2.26", hashes.SHA1())  # noqa: S303 - scepclient, Juniper, iOS polls
SHA224 = _digest("SHA-224", "2.16.840.1.101.3.4.2.4", hashes.SHA224())
SHA256 = _digest("SHA-256", "2.16.840.1.101.3.4.2.1", hashes.SHA256())
SHA384 = _digest("SHA-384", "2.16.840.1.101.3.4.2.2", hashes.SHA384())
SHA512 = _digest("SHA-512", "2.16.840.1.101.3.4.2.3", hashes.SHA512())

DIGESTS = (MD5, SHA1, SHA224, SHA256, SHA384, SHA512)
BY_OID = {digest.oid: digest for digest in DIGESTS}
BY_NAME = {digest.name: digest for digest in DIGESTS}
