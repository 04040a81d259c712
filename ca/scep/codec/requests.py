"""From a verified PkiMessage to the request inside its envelope (RFC 8894 3.2.2, 3.3)."""

from collections.abc import Sequence

from cryptography.hazmat.primitives.asymmetric import rsa

from ca.algorithms.levels import CryptoLevel
from ca.asn1 import Asn1Error, read
from ca.deviations import DeviationKind, Deviations
from ca.errors import BadAlgorithm, BadCsr, BadRequest, EnvelopeUnreadable
from ca.pkcs7 import EnvelopedData
from ca.scep.codec.queries import decode_query
from ca.scep.messages import (
    EnrolmentRequest,
    MessageType,
    PkiMessage,
    PollRequest,
    Request,
)
from ca.x509.certificate import Certificate
from ca.x509.name import Name
from ca.x509.request import MAX_SUBJECT_OCTETS, CertificationRequest, UnprovenRequest


def decode_request(
    message: PkiMessage, key: rsa.RSAPrivateKey, certificate: Certificate, level: CryptoLevel
) -> Request:
    """Read what the messageType promises, opening the envelope with the key of *certificate*.

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
    level.check_cipher(envelope.cipher)
    if message.message_type is MessageType.CERT_POLL:
        return PollRequest(message, envelope.cipher, _poll_names(envelope, key, certificate, level))
    if message.message_type in (MessageType.GET_CERT, MessageType.GET_CRL):
        return decode_query(message, envelope, key, certificate, level)
    payload = envelope.decrypt(key, certificate, level)
    return EnrolmentRequest(message, _prove(payload, message, level), envelope.cipher)


def find_addressee(message: PkiMessage, certificates: Sequence[Certificate]) -> int:
    """Which of *certificates* the envelope is for: the first that it names, or 0 where it names none.

    Raises:
        BadContent, BadAlgorithm: There is no envelope that could be opened.

    """
    envelope = EnvelopedData.load(message.content)
    named = (place for place, certificate in enumerate(certificates) if envelope.names(certificate))
    return next(named, 0)


def _poll_names(
    envelope: EnvelopedData, key: rsa.RSAPrivateKey, certificate: Certificate, level: CryptoLevel
) -> tuple[Name, ...]:
    """Read the IssuerAndSubject of a CertPoll, for the log alone (RFC 8894 3.3.3).

    Whatever is in the envelope, the poll is answered alike, so that a captured one, sent anew as a
    poll, tells nothing about what is in it.
    """
    try:
        payload = envelope.decrypt(key, certificate, level)
        if len(payload) > 2 * MAX_SUBJECT_OCTETS:
            return ()
        return tuple(map(Name.read, read(payload, "issuerAndSubject", Deviations()).sequence(2, 2)))
    except (Asn1Error, BadAlgorithm, BadRequest):
        return ()


def _prove(payload: bytes, message: PkiMessage, level: CryptoLevel) -> CertificationRequest:
    """Read the CSR. Nothing that an attacker can have altered is told apart before it is proven."""
    try:
        unproven = UnprovenRequest(payload, message.deviations)
        proven = unproven.is_proven()
    except Asn1Error as error:
        raise EnvelopeUnreadable(detail=f"CSR: {error}") from error
    if not proven:
        raise EnvelopeUnreadable(detail="the CSR is not signed by its own key")
    try:
        return unproven.read(level, message.deviations)
    except Asn1Error as error:
        raise BadCsr(f"the CSR breaks PKCS #10: {error}") from error
