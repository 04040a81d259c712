"""What a GetCert or GetCRL asks for (RFC 8894 3.3.4): an IssuerAndSerialNumber, written and read."""

from cryptography.hazmat.primitives.asymmetric import rsa

from ca.algorithms.levels import CryptoLevel
from ca.asn1 import Asn1Error, read, writer
from ca.deviations import Deviations
from ca.errors import EnvelopeUnreadable
from ca.pkcs7 import EnvelopedData
from ca.scep.messages import CertificateQuery, IssuerAndSerialNumber, PkiMessage
from ca.x509.certificate import Certificate
from ca.x509.name import Name


def encode_issuer_and_serial_number(issuer_der: bytes, serial_number: int) -> bytes:
    """The DER to send (RFC 5652 10.2.4)."""
    return writer.sequence(issuer_der, writer.integer(serial_number))


def decode_issuer_and_serial_number(der: bytes, deviations: Deviations) -> IssuerAndSerialNumber:
    """Read one.

    Raises:
        Asn1Error: It is none.

    """
    issuer, serial = read(der, "issuerAndSerialNumber", deviations, slack=b"\r\n\0").sequence(2, 2)
    return IssuerAndSerialNumber(Name.read(issuer), serial.integer())


def decode_query(
    message: PkiMessage,
    envelope: EnvelopedData,
    key: rsa.RSAPrivateKey,
    certificate: Certificate,
    level: CryptoLevel,
) -> CertificateQuery:
    """Open the envelope of a query.

    Nothing in it is authenticated by what is in it, as a CSR is: a captured envelope can be altered
    and sent anew as a query. One that does not open is therefore a query that names nothing, and is
    looked for and answered like one that names what is not there (RFC 3218).
    """
    try:
        payload = envelope.decrypt(key, certificate, level)
        named = decode_issuer_and_serial_number(payload, message.deviations)
    except (Asn1Error, EnvelopeUnreadable):
        named = None
    return CertificateQuery(message, named, envelope.cipher)
