"""The envelope of a reply (RFC 8894 3.1, RFC 5652 6), and the ways to address it to nobody."""

import os
from typing import Any

from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.ciphers import Cipher, modes
from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.padding import PKCS7

from tests.faults.conduct import Conduct
from tests.faults.material import rsa_key
from tests.faults.reading import KEY_SIZES, Message, block_cipher, rsa_public_key
from tests.faults.writing import (
    DATA,
    ENVELOPED_DATA,
    NULL,
    RSA,
    SIGNED_DATA,
    content_info,
    dump,
    integer,
    octets,
    oid,
    sequence,
    set_of,
    tagged,
)

_CIPHERS = {
    "des": "1.3.14.3.2.7",
    "tripledes_3key": "1.2.840.113549.3.7",
    "aes128_cbc": "2.16.840.1.101.3.4.1.2",
    "aes192_cbc": "2.16.840.1.101.3.4.1.22",
    "aes256_cbc": "2.16.840.1.101.3.4.1.42",
}
_AES_128_WRAP = "2.16.840.1.101.3.4.1.5"


def seal(content: bytes, message: Message, subject: bytes, leaf: bytes, conduct: Conduct) -> bytes:
    """The EnvelopedData of a reply to *message*.

    *subject* is the CSR's and *leaf* the issuer and serial number of what was issued, both encoded: those
    whom a wrong server may take for the recipient.
    """
    cipher = conduct.cipher or message.cipher
    key, iv = os.urandom(KEY_SIZES[cipher]), os.urandom(16 if cipher.startswith("aes") else 8)
    padder = PKCS7(len(iv) * 8).padder()
    encryptor = Cipher(block_cipher(cipher, key), modes.CBC(iv)).encryptor()
    encrypted = encryptor.update(padder.update(content) + padder.finalize()) + encryptor.finalize()
    return content_info(
        ENVELOPED_DATA,
        sequence(
            integer(2 if conduct.by_password else 0),
            set_of([_recipient(key, message.signer, subject, leaf, conduct)]),
            sequence(
                oid(DATA if conduct.sealed_type == "data" else SIGNED_DATA),
                sequence(oid(_CIPHERS[cipher]), octets(iv)),
                tagged(0, encrypted, constructed=False),
            ),
        ),
    )


def _recipient(key: bytes, signer: Any, subject: bytes, leaf: bytes, conduct: Conduct) -> bytes:
    if conduct.by_password:
        named = sequence(octets(b"known to both"))
        return tagged(2, integer(4) + named + sequence(oid(_AES_128_WRAP)) + octets(os.urandom(40)))
    tbs = signer["tbs_certificate"]
    issuer, serial = dump(tbs["issuer"]), dump(tbs["serial_number"])
    named = {
        "signer": sequence(issuer, serial),
        "subject": sequence(subject, serial),
        "serial": sequence(issuer, integer(tbs["serial_number"].native + 1)),
        "leaf": leaf,
    }[conduct.recipient]
    public = rsa_public_key(tbs["subject_public_key_info"])
    if not conduct.seals_for_signer:
        public = rsa_key("other").public_key()
    if conduct.oaep:
        # Without parameters everything in it is SHA-1 (RFC 4055 4.1).
        algorithm = sequence(oid(f"{RSA}7"), sequence())
        sealed = public.encrypt(key, padding.OAEP(padding.MGF1(SHA1()), SHA1(), None))
    else:
        algorithm = sequence(oid(f"{RSA}1"), NULL)
        sealed = public.encrypt(key, padding.PKCS1v15())
    return sequence(integer(0), named, algorithm, octets(sealed))
