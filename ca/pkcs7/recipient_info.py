"""RecipientInfos (RFC 5652 6.2): reading them, and finding the one meant for our key."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

from cryptography.hazmat.primitives.asymmetric import rsa

from ca.algorithms.key_transport import KeyTransport
from ca.asn1 import Asn1Error, Element, tags
from ca.deviations import DeviationKind, Deviations
from ca.errors import BadAlgorithm, BadContent
from ca.pkcs7.password_recipient import PasswordRecipient
from ca.x509.certificate import Certificate
from ca.x509.name import Name


@dataclass(frozen=True, slots=True)
class KeyTransRecipient:
    """A KeyTransRecipientInfo: *key_identifier* is None where issuer and serial name it."""

    issuer: Element | None
    serial_number: int
    key_identifier: bytes | None
    encrypted_key: bytes
    _algorithm: Element

    @property
    def key_transport(self) -> KeyTransport:
        """How the key was encrypted. Asked only of the recipient that is ours.

        Raises:
            BadAlgorithm: In a way we do not know.
            BadContent: The algorithm cannot be read.

        """
        try:
            return KeyTransport.read(self._algorithm)
        except Asn1Error as error:
            raise BadContent("the key transport algorithm cannot be read") from error

    def names(self, certificate: Certificate) -> bool:
        """Whether it names *certificate*: byte for byte, or by the rules of RFC 5280 7.1."""
        if self.issuer is None:
            return self.key_identifier == certificate.subject_key_identifier
        if self.serial_number != certificate.serial_number:
            return False
        if self.issuer.raw == certificate.issuer_der:
            return True
        try:
            return Name.read(self.issuer).matches(Name.load(certificate.issuer_der))
        except Asn1Error:
            return False


@dataclass(frozen=True, slots=True)
class OtherRecipient:
    """A RecipientInfo of another kind, known by its tag alone."""

    tag: int


Recipient: TypeAlias = KeyTransRecipient | PasswordRecipient | OtherRecipient


def read_recipient(element: Element) -> Recipient:
    """Raises: Asn1Error: It is no RecipientInfo."""
    if element.tag == tags.CONTEXT_3_CONSTRUCTED:
        return PasswordRecipient(element)
    if element.tag != tags.SEQUENCE:
        return OtherRecipient(element.tag)
    _, identifier, algorithm, encrypted_key = element.sequence(4, 4)
    if identifier.tag in (tags.CONTEXT_0, tags.CONTEXT_0_CONSTRUCTED):
        key_identifier = identifier.octets(tags.CONTEXT_0)
        return KeyTransRecipient(None, 0, key_identifier, encrypted_key.octets(), algorithm)
    issuer, serial = identifier.sequence(2, 2)
    return KeyTransRecipient(issuer, serial.integer(), None, encrypted_key.octets(), algorithm)


def choose_recipient(
    recipients: Sequence[Recipient],
    certificate: Certificate,
    deviations: Deviations,
) -> KeyTransRecipient:
    """The one recipient to try our key on, so that a message costs one RSA operation at most.

    It is the one that names *certificate*; failing that, the first whose encrypted key is as long
    as our modulus: whole fleets name the CA's certificate wrongly, and our key opens it.

    Raises:
        BadAlgorithm: The envelope is for key agreement alone.
        BadContent: No recipient is of a kind that an RSA key opens.

    """
    transports = [one for one in recipients if isinstance(one, KeyTransRecipient)]
    for one in transports:
        if one.names(certificate):
            return one
    if not transports:
        if any(isinstance(one, PasswordRecipient) for one in recipients):
            raise BadContent("the envelope is sealed with a password, and this CA has an RSA key")
        raise BadAlgorithm("the envelope has no key transport recipient")
    key = certificate.public_key()
    octets = (key.key_size + 7) // 8 if isinstance(key, rsa.RSAPublicKey) else 0
    chosen = next((one for one in transports if len(one.encrypted_key) == octets), transports[0])
    deviations.add(DeviationKind.RECIPIENT_REFOUND, "pkcsPKIEnvelope.recipientInfos")
    return chosen
