"""Messages that the doctor asks with, right ones and wrong ones. Nothing is sent in here."""

import secrets
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import AttributeOID

from app.client.client import Identity
from app.client.csr import make_csr, make_identity
from app.client.errors import ClientError
from app.client.trust import Roles, assign_roles
from app.doctor.seen import Asked
from ca.algorithms.ciphers import AES_128_CBC, DES_EDE3_CBC
from ca.algorithms.digests import SHA1, SHA256
from ca.asn1 import writer
from ca.errors import BadAlgorithm
from ca.scep.codec import encode_issuer_and_serial_number, encode_request
from ca.scep.codec.attributes import NONCE_OCTETS
from ca.scep.messages import MessageType, Transaction
from ca.x509.certificate import Certificate
from ca.x509.name import Name

# An arc that nobody has registered: a server can only copy it blindly.
UNKNOWN_EXTENSION = "1.3.6.1.4.1.99999.1.1"
UNKNOWN_TYPE = "99"
COMMON_NAME = "2.5.4.3"


def find_roles(certificates: tuple[Certificate, ...], now: datetime) -> Roles | None:
    """Who may do what, as our own client has it; where that refuses them, whoever an RSA key allows.

    None where there is nobody to write to.
    """
    if not certificates:
        return None
    try:
        return assign_roles(certificates, None, now)
    except ClientError:
        able = [one for one in certificates if _is_rsa(one)]
        return Roles(certificates, certificates, certificates, able[0]) if able else None


def _is_rsa(certificate: Certificate) -> bool:
    try:
        return isinstance(certificate.public_key(), rsa.RSAPublicKey)
    except BadAlgorithm:
        return False


class Asking:
    """Writes to one server, by its *roles* and in the terms that its *capabilities* (in upper case) name."""

    def __init__(self, roles: Roles, capabilities: frozenset[str]) -> None:
        self._roles = roles
        self._cipher = AES_128_CBC if capabilities & {"AES", "SCEPSTANDARD"} else DES_EDE3_CBC
        self._digest = SHA256 if capabilities & {"SHA-256", "SCEPSTANDARD"} else SHA1

    def poll(self, asked: Asked | None = None, *, more: int = 0) -> Asked:
        """A CertPoll for what was *asked*; without that, for a transaction that nobody knows.

        The name in it is longer by about *more* octets.
        """
        if asked is None:
            identity = make_identity(_name("scepbox doctor"), _new_key())
            transaction_id = secrets.token_hex(20)
        else:
            identity, transaction_id = asked.signer, asked.transaction.transaction_id
        subject = _long_name(more) if more else identity.certificate.subject_der
        names = writer.sequence(self._roles.issuer.subject_der, subject)
        return self._ask(MessageType.CERT_POLL, names, identity, transaction_id=transaction_id)

    def enrol(self, applicant: "Applicant", csr: bytes, *, recipient: Certificate | None = None) -> Asked:
        """A PKCSReq, encrypted to *recipient* where it is to go astray."""
        return self._ask(
            MessageType.PKCS_REQ, csr, applicant.identity, applicant=applicant, recipient=recipient
        )

    def renew(self, applicant: "Applicant", signer: Identity) -> Asked:
        """A RenewalReq for the key of *applicant*, signed by whomever, without a challenge password."""
        return self._ask(MessageType.RENEWAL_REQ, applicant.csr(""), signer, applicant=applicant)

    def query(self, message_type: MessageType, issued: Certificate, signer: Identity) -> Asked:
        """A GetCert or GetCRL for *issued*."""
        named = encode_issuer_and_serial_number(issued.issuer_der, issued.serial_number)
        return self._ask(message_type, named, signer)

    def unknown(self, signer: Identity) -> Asked:
        """A message of a type that no RFC has."""
        return self._ask(UNKNOWN_TYPE, b"\x30\x00", signer)

    def _ask(
        self,
        message_type: str,
        payload: bytes,
        signer: Identity,
        *,
        applicant: "Applicant | None" = None,
        transaction_id: str = "",
        recipient: Certificate | None = None,
    ) -> Asked:
        transaction = Transaction(transaction_id or secrets.token_hex(20), secrets.token_bytes(NONCE_OCTETS))
        message = encode_request(
            message_type,
            payload,
            transaction,
            signer.certificate,
            signer.key,
            recipient or self._roles.recipient,
            digest=self._digest,
            cipher=self._cipher,
        )
        asked = Asked(message, message_type, transaction, signer, self._cipher, self._digest)
        return replace(asked, spki=applicant.spki, subject=applicant.name) if applicant else asked


@dataclass(frozen=True)
class Applicant:
    """A device of the doctor's: a name and a key of its own, kept nowhere."""

    name: Name

    @cached_property
    def key(self) -> rsa.RSAPrivateKey:
        """Made when it is asked for."""
        return _new_key()

    @cached_property
    def identity(self) -> Identity:
        """Its self-signed certificate."""
        return make_identity(self.name.for_builder(), self.key)

    def csr(self, challenge: str) -> bytes:
        """A CSR with the *challenge* password in it; without one where that is empty."""
        return make_csr(self.name.for_builder(), (), self.key, challenge)

    @property
    def spki(self) -> bytes:
        """Its public key, in DER."""
        return self.key.public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )


def spoil_signature(csr: bytes) -> bytes:
    """The CSR with another signature than its key made: the last bit is turned."""
    return csr[:-1] + bytes((csr[-1] ^ 1,))


def with_unknown_extension(applicant: Applicant, challenge: str) -> bytes:
    """A CSR that asks for an extension that no server knows."""
    extension = x509.UnrecognizedExtension(
        x509.ObjectIdentifier(UNKNOWN_EXTENSION), writer.utf8_string("scepbox doctor")
    )
    builder = x509.CertificateSigningRequestBuilder().subject_name(applicant.name.for_builder())
    builder = builder.add_extension(extension, critical=False)
    builder = builder.add_attribute(AttributeOID.CHALLENGE_PASSWORD, challenge.encode())
    csr = builder.sign(applicant.key, hashes.SHA256())
    return csr.public_bytes(serialization.Encoding.DER)


def _new_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, 2048)


def _name(common_name: str) -> x509.Name:
    return Name.from_text(f"CN={common_name}").for_builder()


def _long_name(octets: int) -> bytes:
    text = writer.utf8_string("scepbox doctor asks with a long address".ljust(octets, "."))
    return writer.sequence(writer.set_of([writer.sequence(writer.oid(COMMON_NAME), text)]))
