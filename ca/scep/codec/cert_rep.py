"""From an outcome to the bytes of a CertRep (RFC 8894 3.3.2)."""

import os
from typing import assert_never

from ca.algorithms.ciphers import Cipher
from ca.algorithms.digests import Digest
from ca.algorithms.keys import PrivateKey
from ca.asn1 import writer
from ca.pkcs7 import degenerate, encrypt, encrypt_with_password, sign
from ca.scep import oids
from ca.scep.codec.attributes import NONCE_OCTETS, text
from ca.scep.messages import (
    CrlSuccess,
    Failure,
    MessageType,
    Outcome,
    Password,
    Pending,
    PkiStatus,
    Recipient,
    Success,
    Transaction,
)
from ca.x509.certificate import Certificate

MAX_FAIL_INFO_TEXT = 255


def encode_cert_rep(
    outcome: Outcome,
    transaction: Transaction,
    certificate: Certificate,
    key: PrivateKey,
    *,
    recipient: Recipient | None,
    digest: Digest,
    cipher: Cipher,
    empty_content: bool = True,
) -> bytes:
    """Answer *transaction*, signed by *key* of *certificate*, in DER.

    A SUCCESS is encrypted to *recipient*, the request's signer or its challenge password. FAILURE and
    PENDING have no pkcsPKIEnvelope; *empty_content* makes that an eContent of zero length instead of
    an absent one, which certmonger cannot read.
    """
    attributes = {
        oids.MESSAGE_TYPE: text(MessageType.CERT_REP),
        oids.TRANSACTION_ID: text(transaction.transaction_id),
        oids.SENDER_NONCE: writer.octet_string(os.urandom(NONCE_OCTETS)),
    }
    if transaction.sender_nonce:
        attributes[oids.RECIPIENT_NONCE] = writer.octet_string(transaction.sender_nonce)
    content = b"" if empty_content else None
    match outcome:
        case Success() | CrlSuccess():
            attributes[oids.PKI_STATUS] = text(PkiStatus.SUCCESS)
            if recipient is None:
                raise ValueError("a CertRep SUCCESS needs someone to encrypt to")
            inner = _degenerate(outcome)
            content = (
                encrypt_with_password(recipient.text, inner, cipher)
                if isinstance(recipient, Password)
                else encrypt([recipient], inner, cipher)
            )
        case Pending():
            attributes[oids.PKI_STATUS] = text(PkiStatus.PENDING)
        case Failure():
            attributes[oids.PKI_STATUS] = text(PkiStatus.FAILURE)
            attributes[oids.FAIL_INFO] = text(outcome.fail_info)
            # RFC 8894 3.2.1.4: UTF8String, for people.
            attributes[oids.FAIL_INFO_TEXT] = writer.utf8_string(outcome.text[:MAX_FAIL_INFO_TEXT])
        case _:
            assert_never(outcome)
    return sign(certificate, key, content, attributes=attributes, digest=digest)


def _degenerate(outcome: Success | CrlSuccess) -> bytes:
    """RFC 8894 3.3.2.1, table 6: certificates alone, or the CRL alone."""
    if isinstance(outcome, CrlSuccess):
        return degenerate([], [outcome.crl])
    return degenerate([outcome.certificate, *outcome.chain])
