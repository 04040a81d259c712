"""Looking at an envelope, and opening it, for a person who holds the key and wants to see what is inside.

No server goes this way: it tells what went wrong.
"""

from cryptography.hazmat.primitives.asymmetric import rsa

from ca.algorithms.ciphers import Cipher
from ca.algorithms.levels import CryptoLevel
from ca.errors import BadContent
from ca.pkcs7 import EnvelopedData


def open_envelope(envelope: bytes, key: rsa.RSAPrivateKey | None, password: str | None) -> bytes:
    """Open *envelope* with *key*, whomever it names, or else with *password*.

    Raises:
        BadAlgorithm: A cipher or key transport is unknown.
        BadContent: It is no envelope, or has no recipient for what was given.
        EnvelopeUnreadable: It did not open.

    """
    enveloped = EnvelopedData.load(envelope)
    if key is not None:
        return enveloped.decrypt_for_anybody(key)
    if password is None:
        raise BadContent("there is nothing to open the envelope with")
    return enveloped.decrypt_with_password(password, CryptoLevel.LEGACY)


def envelope_cipher(envelope: bytes) -> Cipher:
    """The content cipher of *envelope*, which needs no key to be known.

    Raises:
        BadAlgorithm: It is unknown.
        BadContent: It is no envelope.

    """
    return EnvelopedData.load(envelope).cipher
