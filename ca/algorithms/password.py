"""Keys out of passwords (PBKDF2, RFC 8018 5.2), and content keys wrapped under them (RFC 3211 2.3)."""

import os
from dataclasses import dataclass
from functools import lru_cache

from cryptography.hazmat.primitives.kdf.pbkdf2 import PBKDF2HMAC

from ca.algorithms import ciphers, digests
from ca.algorithms.ciphers import AES_128_CBC, Cipher
from ca.algorithms.digests import Digest
from ca.algorithms.identifier import AlgorithmIdentifier
from ca.algorithms.levels import CryptoLevel
from ca.asn1 import Asn1Error, Element, tags, writer
from ca.errors import BadAlgorithm

PBKDF2 = "1.2.840.113549.1.5.12"
PWRI_KEK = "1.2.840.113549.1.9.16.3.9"
# A tenth of a second for us; for who guesses at a person's password the same with every guess.
ITERATIONS = 600_000
# Other writers are not to cost more than a second or two.
MAX_ITERATIONS = 5_000_000
SALT_OCTETS = 16
MAX_SALT_OCTETS = 64
MAX_WRAPPED_OCTETS = 128
# Fleets share a password, and a lost reply is asked for again: each would cost as much anew.
_KEPT_KEYS = 64
_PRFS = {
    "1.2.840.113549.2.7": digests.SHA1,
    "1.2.840.113549.2.8": digests.SHA224,
    "1.2.840.113549.2.9": digests.SHA256,
    "1.2.840.113549.2.10": digests.SHA384,
    "1.2.840.113549.2.11": digests.SHA512,
}
_PRF_OID = {digest.name: oid for oid, digest in _PRFS.items()}


@dataclass(frozen=True, slots=True)
class KeyDerivation:
    """The parameters of PBKDF2; *key_octets* is None where they do not say."""

    salt: bytes
    iterations: int
    prf: Digest
    key_octets: int | None = None

    @classmethod
    def read(cls, element: Element) -> "KeyDerivation":
        """Read a keyDerivationAlgorithm, which RFC 5652 6.2.4 tags ``[0]``.

        Raises:
            Asn1Error: It cannot be read.
            BadAlgorithm: It is another algorithm, or dearer than anybody needs.

        """
        kind, parameters = element.expect(tags.CONTEXT_0_CONSTRUCTED).parts(2, 2)
        if kind.oid() != PBKDF2:
            raise BadAlgorithm("unknown key derivation", detail=kind.oid())
        salt, iterations, *rest = parameters.sequence(2, 4)
        key_octets = rest.pop(0).integer() if rest and rest[0].tag == tags.INTEGER else None
        # RFC 8018 A.2: absent is HMAC with SHA-1.
        prf = AlgorithmIdentifier.read(rest[0]).oid if rest else _PRF_OID[digests.SHA1.name]
        if prf not in _PRFS:
            raise BadAlgorithm("unknown pseudorandom function in PBKDF2", detail=prf)
        found = cls(salt.octets(), iterations.integer(), _PRFS[prf], key_octets)
        if not 1 <= found.iterations <= MAX_ITERATIONS or len(found.salt) > MAX_SALT_OCTETS:
            raise BadAlgorithm(f"PBKDF2 of more than {MAX_ITERATIONS} iterations or {MAX_SALT_OCTETS} octets")
        return found

    def identifier(self) -> bytes:
        """The DER under the tag ``[0]``. The length of the key is the cipher's, and left out."""
        prf = writer.sequence(writer.oid(_PRF_OID[self.prf.name]), writer.NULL)
        parameters = writer.sequence(writer.octet_string(self.salt), writer.integer(self.iterations), prf)
        return writer.encode(tags.CONTEXT_0_CONSTRUCTED, writer.oid(PBKDF2) + parameters)

    def derive(self, password: str, octets: int) -> bytes:
        """A key of so many *octets* out of the UTF-8 of *password*."""
        derived = PBKDF2HMAC(self.prf.primitive, octets, self.salt, self.iterations)
        return derived.derive(password.encode())


@dataclass(frozen=True, slots=True)
class KeyWrap:
    """PWRI-KEK around a block cipher in CBC mode (RFC 3211 2.3)."""

    cipher: Cipher
    iv: bytes

    @classmethod
    def new(cls) -> "KeyWrap":
        """AES-128 with a fresh IV."""
        return cls(AES_128_CBC, os.urandom(AES_128_CBC.block_octets))

    @classmethod
    def read(cls, element: Element, level: CryptoLevel) -> "KeyWrap":
        """Read a keyEncryptionAlgorithm.

        Raises:
            Asn1Error: It cannot be read.
            BadAlgorithm: It is another, or its cipher is not accepted at *level*.

        """
        identifier = AlgorithmIdentifier.read(element)
        if identifier.oid != PWRI_KEK or identifier.parameters is None:
            raise BadAlgorithm("unknown encryption of the key under a password", detail=identifier.oid)
        inner = AlgorithmIdentifier.read(identifier.parameters)
        cipher = ciphers.BY_OID.get(inner.oid)
        if cipher is None or cipher.authenticated:
            raise BadAlgorithm("unknown cipher for the key under a password", detail=inner.oid)
        level.check_cipher(cipher)
        iv = inner.parameters.octets() if inner.parameters else b""
        if len(iv) != cipher.block_octets:
            raise Asn1Error("the IV does not fit the cipher")
        return cls(cipher, iv)

    def identifier(self) -> bytes:
        """The DER AlgorithmIdentifier."""
        inner = writer.sequence(writer.oid(self.cipher.oid), writer.octet_string(self.iv))
        return writer.sequence(writer.oid(PWRI_KEK), inner)

    def wrap(self, kek: bytes, key: bytes) -> bytes:
        """Encrypt a content *key* twice, after its length and the complement of its first octets."""
        block = self.cipher.block_octets
        marked = bytes((len(key), *_complement(key))) + key
        # RFC 3211 2.3.1: whole blocks, and two at least.
        padded = marked + os.urandom(max(2 * block - len(marked), -len(marked) % block))
        inner = self.cipher.encrypt_blocks(kek, self.iv, padded)
        return self.cipher.encrypt_blocks(kek, inner[-block:], inner)

    def unwrap(self, kek: bytes, wrapped: bytes) -> bytes | None:
        """Undo :meth:`wrap`; None where the password is wrong."""
        block = self.cipher.block_octets
        if len(wrapped) % block or not 2 * block <= len(wrapped) <= MAX_WRAPPED_OCTETS:
            return None
        # RFC 3211 2.3.2: the IV of the outer pass is the last block of the inner one.
        last = self.cipher.decrypt_blocks(kek, wrapped[-2 * block : -block], wrapped[-block:])
        padded = self.cipher.decrypt_blocks(kek, self.iv, self.cipher.decrypt_blocks(kek, last, wrapped))
        key = padded[4 : 4 + padded[0]]
        fits = len(key) == padded[0] and _complement(key) == padded[1:4]
        return key if fits else None


@lru_cache(maxsize=_KEPT_KEYS)
def sealing_key(password: str) -> tuple[KeyDerivation, bytes]:
    """What :meth:`KeyWrap.wrap` needs to write under *password*: a derivation, and the key it gives.

    The salt is this process's own for each password; the content keys are fresh all the same.
    """
    derivation = KeyDerivation(os.urandom(SALT_OCTETS), ITERATIONS, digests.SHA256)
    return derivation, derivation.derive(password, AES_128_CBC.key_octets)


def _complement(key: bytes) -> bytes:
    return bytes(octet ^ 0xFF for octet in key[:3])
