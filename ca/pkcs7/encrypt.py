"""Writes EnvelopedData and, for AES-GCM, AuthEnvelopedData in DER (RFC 5652 6, RFC 5083)."""

import os
from collections.abc import Sequence

from cryptography.hazmat.primitives.asymmetric import rsa

from ca.algorithms.ciphers import AES_128_CBC, GCM_NONCE_OCTETS, GCM_TAG_OCTETS, Cipher
from ca.algorithms.key_transport import PKCS1_V15, KeyTransport
from ca.asn1 import tags, writer
from ca.errors import BadAlgorithm
from ca.pkcs7 import oids
from ca.pkcs7.content_info import content_info
from ca.pkcs7.password_recipient import password_recipient
from ca.x509.certificate import Certificate


def encrypt(
    certificates: Sequence[Certificate],
    data: bytes,
    cipher: Cipher = AES_128_CBC,
    *,
    key_transport: KeyTransport = PKCS1_V15,
    by_key_identifier: bool = False,
) -> bytes:
    """Encrypt *data* to the RSA key of each certificate and return the DER of the ContentInfo.

    Key and IV are fresh for each message. Issuer and serial number are copied from the
    certificates byte for byte: iOS finds its key by comparing them.

    Raises:
        BadAlgorithm: A certificate's key is not RSA.

    Ruby: OpenSSL::PKCS7.encrypt(certificates, data, cipher, OpenSSL::PKCS7::BINARY)

    """
    key = cipher.new_key()
    recipients = writer.set_of(
        _recipient(certificate, key, key_transport, by_key_identifier=by_key_identifier)
        for certificate in certificates
    )
    return _enveloped(2 if by_key_identifier else 0, recipients, key, data, cipher)


def encrypt_with_password(password: str, data: bytes, cipher: Cipher = AES_128_CBC) -> bytes:
    """Encrypt *data* under *password* (RFC 5652 6.2.4) and return the DER of the ContentInfo.

    Ruby: not possible
    """
    key = cipher.new_key()
    return _enveloped(3, writer.set_of([password_recipient(password, key)]), key, data, cipher)


def _enveloped(version: int, recipients: bytes, key: bytes, data: bytes, cipher: Cipher) -> bytes:
    """RFC 5652 6.1: *version* is 0 where issuer and serial number name every recipient, 3 with a
    password among them, else 2.
    """
    if cipher.authenticated:
        return _auth_enveloped(recipients, key, data, cipher)
    iv = os.urandom(cipher.block_octets)
    encrypted = cipher.encrypt(key, iv, data)
    content = _encrypted_content(cipher, writer.octet_string(iv), encrypted)
    return content_info(oids.ENVELOPED_DATA, writer.sequence(writer.integer(version), recipients, content))


def _recipient(
    certificate: Certificate, key: bytes, key_transport: KeyTransport, *, by_key_identifier: bool
) -> bytes:
    public_key = certificate.public_key()
    if not isinstance(public_key, rsa.RSAPublicKey):
        raise BadAlgorithm("a key can only be transported to an RSA certificate")
    if by_key_identifier:
        identifier = writer.encode(tags.CONTEXT_0, certificate.subject_key_identifier)
    else:
        identifier = writer.sequence(certificate.issuer_der, certificate.serial_der)
    return writer.sequence(
        writer.integer(2 if by_key_identifier else 0),
        identifier,
        key_transport.identifier(),
        writer.octet_string(key_transport.wrap(public_key, key)),
    )


def _encrypted_content(cipher: Cipher, parameters: bytes, encrypted: bytes) -> bytes:
    return writer.sequence(
        writer.oid(oids.DATA),
        writer.sequence(writer.oid(cipher.oid), parameters),
        writer.encode(tags.CONTEXT_0, encrypted),
    )


def _auth_enveloped(recipients: bytes, key: bytes, data: bytes, cipher: Cipher) -> bytes:
    nonce = os.urandom(GCM_NONCE_OCTETS)
    encrypted, tag = cipher.seal(key, nonce, data)
    # RFC 5084 3.2: the tag length is written, because its default is 12 octets.
    parameters = writer.sequence(writer.octet_string(nonce), writer.integer(GCM_TAG_OCTETS))
    return content_info(
        oids.AUTH_ENVELOPED_DATA,
        writer.sequence(
            writer.integer(0),
            recipients,
            _encrypted_content(cipher, parameters, encrypted),
            writer.octet_string(tag),
        ),
    )
