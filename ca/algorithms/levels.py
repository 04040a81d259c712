"""The three levels of strictness: what each accepts, and with what a reply answers. No mathematics."""

from enum import StrEnum

from ca.algorithms.ciphers import AES_128_CBC, DES_CBC, DES_EDE3_CBC, Cipher
from ca.algorithms.digests import MD5, SHA256, SHA384, SHA512, Digest
from ca.errors import BadAlgorithm


class CryptoLevel(StrEnum):
    """How much of the past is accepted."""

    MODERN = "modern"
    COMPATIBLE = "compatible"
    LEGACY = "legacy"

    def accepts_digest(self, digest: Digest) -> bool:
        """Whether a signature over *digest* counts. RFC 8894 2.9 forbids MD5 and tolerates SHA-1."""
        if self is CryptoLevel.MODERN:
            return digest in (SHA256, SHA384, SHA512)
        return self is CryptoLevel.LEGACY or digest is not MD5

    def accepts_cipher(self, cipher: Cipher) -> bool:
        """Whether an envelope may come under *cipher*.

        micromdm's scepclient and old Cisco routers send single DES whatever is advertised.
        """
        return self is not CryptoLevel.MODERN or cipher not in (DES_CBC, DES_EDE3_CBC)

    def check_digest(self, digest: Digest) -> None:
        """Raises: BadAlgorithm: A signature over *digest* does not count at this level."""
        if not self.accepts_digest(digest):
            raise BadAlgorithm(f"digest {digest.name} is not accepted here")

    def check_cipher(self, cipher: Cipher) -> None:
        """Raises: BadAlgorithm: An envelope under *cipher* is not opened at this level."""
        if not self.accepts_cipher(cipher):
            raise BadAlgorithm(f"cipher {cipher.name} is not accepted here")

    def reply_digest(self, requested: Digest | None) -> Digest:
        """The request's digest where it is acceptable, SHA-256 where not."""
        return requested if requested and self.accepts_digest(requested) else SHA256

    def reply_cipher(self, requested: Cipher) -> Cipher:
        """The request's cipher, because many clients read no other; 3DES for DES below legacy."""
        if not self.accepts_cipher(requested):
            return AES_128_CBC
        if requested is DES_CBC and self is not CryptoLevel.LEGACY:
            return DES_EDE3_CBC
        return requested
