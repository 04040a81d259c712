"""The messages of RFC 8894 as values, one type for each stage of the road. No bytes are read here.

A value of one of these types is a promise: a :class:`PkiMessage` is signed by its signer, an
:class:`EnrolmentRequest` was decrypted and its CSR is signed by the key it names.
"""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import TypeAlias

from cryptography.hazmat.primitives.asymmetric import rsa

from ca.algorithms.ciphers import Cipher
from ca.algorithms.digests import Digest
from ca.deviations import Deviations
from ca.errors import FailInfo
from ca.x509.certificate import Certificate
from ca.x509.name import Name
from ca.x509.request import CertificationRequest


class MessageType(StrEnum):
    """RFC 8894 3.2.1.2. CertPoll was GetCertInitial in the drafts."""

    CERT_REP = "3"
    RENEWAL_REQ = "17"
    PKCS_REQ = "19"
    CERT_POLL = "20"
    GET_CERT = "21"
    GET_CRL = "22"

    @property
    def label(self) -> str:
        """The RFC's name for it, such as ``PKCSReq``."""
        return _LABELS[self]


_LABELS = {
    MessageType.CERT_REP: "CertRep",
    MessageType.RENEWAL_REQ: "RenewalReq",
    MessageType.PKCS_REQ: "PKCSReq",
    MessageType.CERT_POLL: "CertPoll",
    MessageType.GET_CERT: "GetCert",
    MessageType.GET_CRL: "GetCRL",
}


class PkiStatus(StrEnum):
    """RFC 8894 3.2.1.3."""

    SUCCESS = "0"
    FAILURE = "2"
    PENDING = "3"


@dataclass(frozen=True, slots=True)
class Transaction:
    """What ties a reply to its request (RFC 8894 3.2.1.1 and 3.2.1.5).

    *sender_nonce* is empty where the client sent none, which only level ``legacy`` lets pass.
    """

    transaction_id: str
    sender_nonce: bytes


@dataclass(frozen=True, slots=True)
class PkiMessage:
    """A message whose signature holds under its signer's certificate. Nobody is trusted yet.

    *companions* are the further certificates that came along, in no order.
    """

    transaction: Transaction
    message_type: MessageType
    signer: Certificate
    digest: Digest
    content: bytes
    signing_time: datetime | None
    deviations: Deviations
    companions: tuple[Certificate, ...] = ()


@dataclass(frozen=True, slots=True)
class EnrolmentRequest:
    """A decrypted PKCSReq or RenewalReq (RFC 8894 3.3.1).

    Only the codec builds one, and only once both signatures hold: the signer's over the message,
    and the CSR's own (proof of possession).
    """

    message: PkiMessage
    csr: CertificationRequest
    cipher: Cipher

    @property
    def signer(self) -> Certificate:
        """The certificate that signed the message, and that the reply is encrypted to."""
        return self.message.signer

    @property
    def is_renewal(self) -> bool:
        """Whether it says that it is a RenewalReq."""
        return self.message.message_type is MessageType.RENEWAL_REQ

    @property
    def needs_challenge(self) -> bool:
        """Whether the reply goes under its challenge password, which must then be a good one.

        So it is where the signer's key cannot decrypt (RFC 8894 3.1), in a renewal too.
        """
        return not isinstance(self.signer.public_key(), rsa.RSAPublicKey)


@dataclass(frozen=True, slots=True)
class PollRequest:
    """A CertPoll: who asks is in the message; the *names* inside count for nothing.

    They are what can be read of the issuer and the subject, and empty where nothing can. Apple writes
    its own subject where the issuer belongs (RFC 8894 3.3.3 says not to rely on it).
    """

    message: PkiMessage
    cipher: Cipher
    names: tuple[Name, ...] = ()


@dataclass(frozen=True, slots=True)
class IssuerAndSerialNumber:
    """Which certificate is meant (RFC 5652 10.2.4)."""

    issuer: Name
    serial_number: int


@dataclass(frozen=True, slots=True)
class CertificateQuery:
    """A GetCert or GetCRL (RFC 8894 3.3.4); *named* is None where the envelope did not open to one."""

    message: PkiMessage
    named: IssuerAndSerialNumber | None
    cipher: Cipher


Request: TypeAlias = EnrolmentRequest | PollRequest | CertificateQuery


@dataclass(frozen=True, slots=True)
class Success:
    """A certificate in DER, with the chain above it where the profile wants that sent."""

    certificate: bytes
    chain: tuple[bytes, ...] = ()


@dataclass(frozen=True, slots=True)
class CrlSuccess:
    """The CRL in DER, which answers a GetCRL."""

    crl: bytes


@dataclass(frozen=True, slots=True)
class Pending:
    """A person will decide; the client polls (RFC 8894 3.3.2.3)."""


@dataclass(frozen=True, slots=True)
class Failure:
    """A refusal, with words for a person."""

    fail_info: FailInfo
    text: str = ""


@dataclass(frozen=True, slots=True)
class Password:
    """A challenge password as whom a reply is encrypted to, where the client's key cannot decrypt."""

    text: str = field(repr=False)


Recipient: TypeAlias = Certificate | Password
Outcome: TypeAlias = Success | CrlSuccess | Pending | Failure
