"""Cryptographic Message Syntax (RFC 5652) under the names of Ruby's ``OpenSSL::PKCS7``.

Structures are read and written here; every computation is OpenSSL's. Knows no SCEP.
"""

from ca.pkcs7.build import degenerate, sign
from ca.pkcs7.encrypt import encrypt, encrypt_with_password
from ca.pkcs7.enveloped_data import EnvelopedData
from ca.pkcs7.signed_data import SignedData

__all__ = [
    "EnvelopedData",
    "SignedData",
    "degenerate",
    "encrypt",
    "encrypt_with_password",
    "sign",
]
