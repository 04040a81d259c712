"""From a verified PkiMessage to the request inside its envelope (RFC 8894 3.2.2, 3.3)."""

from cryptography.hazmat.primitives.asymmetric import rsa

from ca.algorithms.ciphers import Cipher
from ca.algorithms.keys import MIN_RSA_BITS
from ca.algorithms.levels import CryptoLevel
from ca.asn1 import Asn1Error, read
from ca.deviations import DeviationKind
from ca.errors import BadContent, BadCsr, EnvelopeUnreadable
from ca.pkcs7 import EnvelopedData
from ca.scep.messages import (
    CertificateQuery,
    EnrolmentRequest,
    MessageType,
    PkiMessage,
    PollRequest,
    Request,
)
from ca.x509.certificate import Certificate
from ca.x509.request import CertificationRequest, UnprovenRequest


def decode_request(
    message: PkiMessage, key: rsa.RSAPrivateKey, certificate: Certificate, level: CryptoLevel
) -> Request:
    """Open the envelope with the key of *certificate* and read what the messageType promises.

    Raises:
        BadAlgorithm: Cipher, key transport, or the CSR's key or digest is not accepted.
        BadContent: There is no envelope that could be opened.
        EnvelopeUnreadable: It did not open, or does not hold what it should, or the CSR is not
            signed by its own key: all told alike.
        BadCsr: The CSR is proven, and breaks PKCS #10.

    """
    envelope = EnvelopedData.load(message.content, message.deviations)
    if not CryptoLevel.MODERN.accepts_cipher(envelope.cipher):
        message.deviations.add(DeviationKind.WEAK_CIPHER, "pkcsPKIEnvelope", envelope.cipher.name)
    payload = envelope.decrypt(key, certificate, level)
    match message.message_type:
        case MessageType.PKCS_REQ | MessageType.RENEWAL_REQ:
            return EnrolmentRequest(message, _prove(payload, message, level), envelope.cipher)
        case MessageType.CERT_POLL:
            return _read_poll(payload, message, envelope.cipher)
        case MessageType.GET_CERT | MessageType.GET_CRL:
            return _read_query(payload, message, envelope.cipher)
    raise BadContent("a CertRep is no request")


def _prove(payload: bytes, message: PkiMessage, level: CryptoLevel) -> CertificationRequest:
    """Read the CSR. Nothing that an attacker can have altered is told apart before it is proven."""
    deviations = message.deviations
    try:
        unproven = UnprovenRequest(payload, deviations)
        proven = unproven.is_proven(level, MIN_RSA_BITS)
    except Asn1Error as error:
        raise EnvelopeUnreadable(detail=f"CSR: {error}") from error
    if not proven:
        raise EnvelopeUnreadable(detail="the CSR is not signed by its own key")
    try:
        return unproven.read(deviations, MIN_RSA_BITS)
    except Asn1Error as error:
        raise BadCsr(f"the CSR breaks PKCS #10: {error}") from error


def _read_poll(payload: bytes, message: PkiMessage, cipher: Cipher) -> PollRequest:
    """IssuerAndSubject (RFC 8894 3.3.3), whose names are not relied on."""
    try:
        read(payload, "issuerAndSubject", message.deviations).sequence(2, 2)
    except Asn1Error as error:
        raise EnvelopeUnreadable(detail=f"IssuerAndSubject: {error}") from error
    return PollRequest(message, cipher)


def _read_query(payload: bytes, message: PkiMessage, cipher: Cipher) -> CertificateQuery:
    try:
        issuer, serial = read(payload, "issuerAndSerialNumber", message.deviations).sequence(2, 2)
        return CertificateQuery(message, cipher, issuer.raw, serial.integer())
    except Asn1Error as error:
        raise EnvelopeUnreadable(detail=f"IssuerAndSerialNumber: {error}") from error
