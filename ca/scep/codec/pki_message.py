"""From bytes to a PkiMessage: who says what, and whether he signed it (RFC 8894 3.2)."""

from ca.algorithms.keys import is_weak, key_label
from ca.algorithms.levels import CryptoLevel
from ca.asn1 import Asn1Error
from ca.deviations import DeviationKind, Deviations
from ca.errors import BadContent, MalformedMessage, UnknownMessageType
from ca.pkcs7 import SignedData
from ca.pkcs7 import oids as cms_oids
from ca.scep import oids
from ca.scep.codec.attributes import read_nonce, read_text
from ca.scep.messages import MessageType, PkiMessage, Transaction


def load(body: bytes, deviations: Deviations) -> SignedData:
    """Parse the outermost layer.

    Raises:
        MalformedMessage: It is no SignedData with one signer and signed attributes.

    """
    signed = SignedData.load(body, "pkiMessage", deviations)
    signed.signer_info  # noqa: B018 - insists on one signer
    return signed


def decode_transaction(signed: SignedData, level: CryptoLevel) -> Transaction:
    """Read what a CertRep must echo. It is not verified yet, and a refusal needs it all the same.

    Raises:
        MalformedMessage: It is missing, repeated, or not of the type RFC 8894 table 1 gives it.

    """
    attributes = signed.attributes
    try:
        transaction_id = read_text(attributes, oids.TRANSACTION_ID)
        if level is CryptoLevel.LEGACY and oids.SENDER_NONCE not in attributes:
            signed.deviations.add(DeviationKind.NONCE_MISSING, "pkiMessage")
            return Transaction(transaction_id, b"")
        return Transaction(transaction_id, read_nonce(attributes, oids.SENDER_NONCE))
    except Asn1Error as error:
        raise MalformedMessage(str(error)) from error


def decode_pki_message(signed: SignedData, transaction: Transaction, level: CryptoLevel) -> PkiMessage:
    """Verify the signature and read the rest of the outer layer.

    Raises:
        BadAlgorithm: Digest, signature algorithm or signer key is not accepted.
        BadMessageCheck: The signature does not hold.
        BadContent: The content is not of a type SCEP knows.
        UnknownMessageType: No client may send this messageType.

    """
    digest = signed.signer_info.digest
    if not CryptoLevel.MODERN.accepts_digest(digest):
        # Before it may be refused: who still sends it is what an administrator wants to count.
        signed.deviations.add(DeviationKind.WEAK_DIGEST, "pkiMessage", digest.name)
    signer = signed.verify(level)
    signer.note_oddities(signed.deviations)
    key = signer.public_key()
    if is_weak(key):
        signed.deviations.add(DeviationKind.WEAK_KEY, "pkiMessage.certificates", key_label(key))
    if signed.content_type == cms_oids.ENVELOPED_DATA:
        # XiPKI's client names the content by what is in it.
        signed.deviations.add(DeviationKind.CONTENT_TYPE, "pkiMessage", "id-envelopedData")
    elif signed.content_type != cms_oids.DATA:
        raise BadContent("the eContentType is not id-data")
    return PkiMessage(
        transaction,
        _message_type(signed),
        signer,
        digest,
        signed.data,
        signed.signing_time,
        signed.deviations,
        tuple(one for one in signed.certificates if one is not signer),
    )


def claimed_message_type(signed: SignedData) -> str:
    """What a message says it is, for the log of one whose signature does not hold."""
    try:
        return _message_type(signed).label
    except UnknownMessageType:
        return "unknown"


def _message_type(signed: SignedData) -> MessageType:
    try:
        text = read_text(signed.attributes, oids.MESSAGE_TYPE)
    except Asn1Error as error:
        raise UnknownMessageType(str(error)) from error
    # CertRep is of the enumeration and never a request.
    if text == MessageType.CERT_REP or text not in set(MessageType):
        raise UnknownMessageType(text)
    return MessageType(text)
