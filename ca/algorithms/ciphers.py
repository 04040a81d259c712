"""Content-encryption algorithms (RFC 3370 5, RFC 3565, RFC 5084): seal and open, and no more."""

import os
from dataclasses import dataclass

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.decrepit.ciphers.algorithms import TripleDES
from cryptography.hazmat.primitives.ciphers import Cipher as PrimitiveCipher
from cryptography.hazmat.primitives.ciphers import algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.padding import PKCS7

GCM_NONCE_OCTETS = 12
GCM_TAG_OCTETS = 16


@dataclass(frozen=True, slots=True, eq=False)
class Cipher:
    """A content cipher. There is one instance of each, so ``is`` compares them."""

    name: str
    oid: str
    key_octets: int
    block_octets: int
    authenticated: bool = False

    def _primitive(self, key: bytes, iv: bytes) -> PrimitiveCipher[modes.CBC]:
        if self.block_octets == 16:
            return PrimitiveCipher(algorithms.AES(key), modes.CBC(iv))
        # Single DES is 3DES with one key thrice; OpenSSL 3 has it no other way by default.
        return PrimitiveCipher(TripleDES(key * 3 if len(key) == 8 else key), modes.CBC(iv))

    def encrypt(self, key: bytes, iv: bytes, data: bytes) -> bytes:
        """CBC with PKCS #7 padding (RFC 5652 6.3)."""
        padder = PKCS7(self.block_octets * 8).padder()
        return self.encrypt_blocks(key, iv, padder.update(data) + padder.finalize())

    def decrypt(self, key: bytes, iv: bytes, data: bytes) -> bytes | None:
        """Undo :meth:`encrypt`; None where the padding is wrong."""
        unpadder = PKCS7(self.block_octets * 8).unpadder()
        padded = self.decrypt_blocks(key, iv, data)
        try:
            return unpadder.update(padded) + unpadder.finalize()
        except ValueError:
            return None

    def encrypt_blocks(self, key: bytes, iv: bytes, blocks: bytes) -> bytes:
        """CBC of whole blocks."""
        encryptor = self._primitive(key, iv).encryptor()
        return encryptor.update(blocks) + encryptor.finalize()

    def decrypt_blocks(self, key: bytes, iv: bytes, blocks: bytes) -> bytes:
        """Undo :meth:`encrypt_blocks`."""
        decryptor = self._primitive(key, iv).decryptor()
        return decryptor.update(blocks) + decryptor.finalize()

    def seal(self, key: bytes, nonce: bytes, data: bytes) -> tuple[bytes, bytes]:
        """GCM without associated data: the ciphertext and the 16-octet tag (RFC 5084 3.2)."""
        sealed = AESGCM(key).encrypt(nonce, data, None)
        return sealed[:-GCM_TAG_OCTETS], sealed[-GCM_TAG_OCTETS:]

    def unseal(self, key: bytes, nonce: bytes, data: bytes, tag: bytes, associated: bytes) -> bytes | None:
        """Undo :meth:`seal`; None where the tag is wrong. Tags of 12 to 16 octets are read."""
        mode = modes.GCM(nonce, tag, min_tag_length=GCM_NONCE_OCTETS)
        decryptor = PrimitiveCipher(algorithms.AES(key), mode).decryptor()
        decryptor.authenticate_additional_data(associated)
        try:
            return decryptor.update(data) + decryptor.finalize()
        except (InvalidTag, ValueError):  # the one or the other, by what OpenSSL says went wrong
            return None

    def new_key(self) -> bytes:
        """A fresh random content-encryption key."""
        return os.urandom(self.key_octets)


DES_CBC = Cipher("DES-CBC", "1.3.14.3.2.7", 8, 8)
DES_EDE3_CBC = Cipher("DES-EDE3-CBC", "1.2.840.113549.3.7", 24, 8)
AES_128_CBC = Cipher("AES-128-CBC", "2.16.840.1.101.3.4.1.2", 16, 16)
AES_192_CBC = Cipher("AES-192-CBC", "2.16.840.1.101.3.4.1.22", 24, 16)
AES_256_CBC = Cipher("AES-256-CBC", "2.16.840.1.101.3.4.1.42", 32, 16)
AES_128_GCM = Cipher("AES-128-GCM", "2.16.840.1.101.3.4.1.6", 16, 16, authenticated=True)
AES_192_GCM = Cipher("AES-192-GCM", "2.16.840.1.101.3.4.1.26", 24, 16, authenticated=True)
AES_256_GCM = Cipher("AES-256-GCM", "2.16.840.1.101.3.4.1.46", 32, 16, authenticated=True)

CIPHERS = (
    DES_CBC,
    DES_EDE3_CBC,
    AES_128_CBC,
    AES_192_CBC,
    AES_256_CBC,
    AES_128_GCM,
    AES_192_GCM,
    AES_256_GCM,
)
BY_OID = {cipher.oid: cipher for cipher in CIPHERS}
BY_NAME = {cipher.name: cipher for cipher in CIPHERS}
