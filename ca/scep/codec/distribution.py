"""The answers to GetCACert (RFC 8894 4.2.1), one certificate or several, and to GetNextCACert (4.7.1).

And the media types of the answers (RFC 8894 6.1 to 6.4).
"""

from collections.abc import Sequence
from datetime import datetime

from cryptography.hazmat.primitives.asymmetric import rsa

from ca.asn1 import Asn1Error, read, tags
from ca.deviations import Deviations
from ca.errors import BadMessageCheck, InvalidReply, MalformedMessage
from ca.pkcs7 import SignedData, degenerate, sign
from ca.x509.certificate import Certificate

ONE_CERTIFICATE = "application/x-x509-ca-cert"
SEVERAL_CERTIFICATES = "application/x-x509-ca-ra-cert"
NEXT_CERTIFICATES = "application/x-x509-next-ca-cert"
PKI_MESSAGE = "application/x-pki-message"


def encode_ca_certificates(certificates: Sequence[Certificate]) -> tuple[str, bytes]:
    """Media type and body: bare DER for one certificate, certs-only SignedData for more."""
    if len(certificates) == 1:
        return ONE_CERTIFICATE, certificates[0].der
    return SEVERAL_CERTIFICATES, encode_ca_chain(certificates)


def encode_ca_chain(certificates: Sequence[Certificate]) -> bytes:
    """The certs-only answer to the GetCACertChain of old drafts."""
    return degenerate([one.der for one in certificates])


def encode_next_ca_certificates(
    certificates: Sequence[Certificate], signer: Certificate, key: rsa.RSAPrivateKey, now: datetime
) -> bytes:
    """The answer to GetNextCACert: *certificates* of the next CA, signed by today's (RFC 8894 4.7.1).

    They are there twice: sscep reads the bundle inside, and crashes where that is not id-data; jscep
    reads the certificates beside the signature.
    """
    inside = encode_ca_chain(certificates)
    return sign(signer, key, inside, certificates, signing_time=now)


def decode_ca_certificates(body: bytes) -> tuple[Certificate, ...]:
    """The certificates of a server's answer, whichever of the two forms it has.

    The media type is not asked: servers get it wrong, and the body says what it is.

    Raises:
        InvalidReply: It is neither.

    """
    try:
        if _is_certificate(body):
            return (Certificate.load(body),)
        certificates = tuple(SignedData.load(body, "GetCACert").certificates)
    except (Asn1Error, BadMessageCheck, MalformedMessage) as error:
        raise InvalidReply(f"GetCACert answered neither a certificate nor a bundle: {error}") from error
    if not certificates:
        raise InvalidReply("GetCACert answered a bundle without certificates")
    return certificates


def ca_certificates_type(body: bytes) -> str:
    """The media type that the body of a GetCACert answer should have come with.

    Raises:
        Asn1Error: It is nothing that :func:`decode_ca_certificates` reads.

    """
    return ONE_CERTIFICATE if _is_certificate(body) else SEVERAL_CERTIFICATES


def _is_certificate(body: bytes) -> bool:
    """A ContentInfo begins with an OBJECT IDENTIFIER, a Certificate with a SEQUENCE."""
    return read(body, "GetCACert", Deviations()).sequence(1)[0].tag == tags.SEQUENCE
