"""Messages that the doctor asks with, right ones and wrong ones. Nothing is sent in here."""

import secrets
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cached_property

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import AttributeOID

from app.client.client import Identity
from app.client.csr import make_csr, make_identity, spki_of
from app.client.errors import ClientError
from app.client.trust import Roles, assign_roles, is_rsa
from app.doctor.seen import Question, Terms
from ca.algorithms.ciphers import AES_128_CBC, DES_EDE3_CBC, Cipher
from ca.algorithms.digests import SHA1, SHA256
from ca.algorithms.signatures import certificate_identifier
from ca.asn1 import writer
from ca.scep.codec import encode_issuer_and_serial_number, encode_request
from ca.scep.messages import MessageType, Transaction
from ca.x509.certificate import Certificate
from ca.x509.general_names import GeneralName
from ca.x509.name import Name

# An arc that nobody has registered: a server can only copy it blindly.
UNKNOWN_EXTENSION = "1.3.6.1.4.1.99999.1.1"
UNKNOWN_TYPE = "99"
_COMMON_NAME = "2.5.4.3"


def find_roles(certificates: tuple[Certificate, ...], now: datetime) -> Roles | None:
    """Who may do what, as our own client has it; where that refuses them, whoever an RSA key allows.

    None where there is nobody to write to.
    """
    if not certificates:
        return None
    try:
        return assign_roles(certificates, None, now)
    except ClientError:
        able = [one for one in certificates if is_rsa(one)]
        return Roles(certificates, certificates, certificates, able[0]) if able else None


@dataclass(frozen=True)
class Applicant:
    """A device of the doctor's: a name and a key, kept nowhere."""

    name: Name
    key: rsa.RSAPrivateKey

    @cached_property
    def identity(self) -> Identity:
        """Its self-signed certificate."""
        return make_identity(self.name.for_builder(), self.key)

    @property
    def spki(self) -> bytes:
        """Its public key, in DER."""
        return spki_of(self.key)

    def csr(self, challenge: str) -> bytes:
        """A CSR with the *challenge* password in it; without one where that is empty."""
        return make_csr(self.name.for_builder(), (), self.key, challenge)

    def large_csr(self, names: int) -> bytes:
        """A CSR with so many DNS names in it, some 35 octets each, and without a challenge password."""
        hosts = (f"host-{number:05}.doctor.scepbox.example" for number in range(names))
        alternatives = tuple(GeneralName("dns", host) for host in hosts)
        return make_csr(self.name.for_builder(), alternatives, self.key, "")

    def odd_csr(self, challenge: str) -> bytes:
        """A CSR that asks for an extension that no server knows as well."""
        extension = x509.UnrecognizedExtension(
            x509.ObjectIdentifier(UNKNOWN_EXTENSION), writer.utf8_string("scepbox doctor")
        )
        builder = x509.CertificateSigningRequestBuilder().subject_name(self.name.for_builder())
        builder = builder.add_extension(extension, critical=False)
        builder = builder.add_attribute(AttributeOID.CHALLENGE_PASSWORD, challenge.encode())
        csr = builder.sign(self.key, hashes.SHA256())
        return csr.public_bytes(serialization.Encoding.DER)


def spoil_signature(csr: bytes) -> bytes:
    """The CSR with another signature than its key made: the last bit is turned."""
    return csr[:-1] + bytes((csr[-1] ^ 1,))


class BadlyPadded(Cipher):
    """A cipher whose padding never comes out: its last octet is zero.

    A bit turned in the last block would leave it right once in 256 times.
    """

    def encrypt(self, key: bytes, iv: bytes, data: bytes) -> bytes:
        """As the true one does, with zeros for padding; the block of padding behind them is cut off."""
        zeros = bytes(self.block_octets - len(data) % self.block_octets)
        return super().encrypt(key, iv, data + zeros)[: -self.block_octets]


def pad_badly(terms: Terms) -> Terms:
    """The same terms, but for the padding."""
    cipher = terms.cipher
    spoilt = BadlyPadded(cipher.name, cipher.oid, cipher.key_octets, cipher.block_octets)
    return replace(terms, cipher=spoilt)


def impersonate(certificate: Certificate, key: rsa.RSAPrivateKey) -> Certificate:
    """A certificate with the issuer and serial number of another, and *key*; nobody has signed it."""
    algorithm = certificate_identifier(key, SHA256)
    validity = writer.sequence(*[writer.time(datetime.now(UTC))] * 2)
    name, serial = certificate.issuer_der, certificate.serial_der
    tbs = writer.sequence(serial, algorithm, name, validity, name, spki_of(key))
    return Certificate.load(writer.sequence(tbs, algorithm, writer.bit_string(b"")))


class Asking:
    """Writes to one server, by its *roles* and in the terms that its *capabilities* (in upper case) name."""

    def __init__(self, roles: Roles, capabilities: frozenset[str]) -> None:
        self.recipient = roles.recipient
        self._roles = roles
        self.terms = Terms(
            AES_128_CBC if capabilities & {"AES", "SCEPSTANDARD"} else DES_EDE3_CBC,
            SHA256 if capabilities & {"SHA-256", "SCEPSTANDARD"} else SHA1,
        )

    def poll(
        self,
        signer: Identity,
        transaction_id: str = "",
        *,
        more: int = 0,
        vary: Callable[[Terms], Terms] = lambda terms: terms,
    ) -> Question:
        """A CertPoll; without a *transaction_id*, for a transaction that nobody knows.

        The name in it is longer by about *more* octets. *vary* makes other terms of ours.
        """
        subject = _long_name(more) if more else signer.certificate.subject_der
        names = writer.sequence(self._roles.issuer.subject_der, subject)
        transaction_id = transaction_id or secrets.token_hex(20)
        return self._ask(MessageType.CERT_POLL, names, signer, transaction_id, terms=vary(self.terms))

    def enrol(
        self,
        applicant: Applicant,
        csr: bytes,
        transaction_id: str = "",
        *,
        recipient: Certificate | None = None,
        vary: Callable[[Terms], Terms] = lambda terms: terms,
    ) -> Question:
        """A PKCSReq, encrypted to *recipient* where it is to go astray."""
        asked = self._ask(
            MessageType.PKCS_REQ,
            csr,
            applicant.identity,
            transaction_id,
            recipient=recipient,
            terms=vary(self.terms),
        )
        return replace(asked, spki=applicant.spki, subject=applicant.name)

    def renew(self, applicant: Applicant, signer: Identity, transaction_id: str = "") -> Question:
        """A RenewalReq for the key of *applicant*, signed by whomever, without a challenge password."""
        asked = self._ask(MessageType.RENEWAL_REQ, applicant.csr(""), signer, transaction_id)
        return replace(asked, spki=applicant.spki, subject=applicant.name)

    def query(self, message_type: MessageType, issued: Certificate, signer: Identity) -> Question:
        """A GetCert or GetCRL for *issued*."""
        named = encode_issuer_and_serial_number(issued.issuer_der, issued.serial_number)
        return self._ask(message_type, named, signer)

    def unknown(self, signer: Identity) -> Question:
        """A message of a type that no RFC has."""
        return self._ask(UNKNOWN_TYPE, writer.sequence(), signer)

    def _ask(
        self,
        message_type: str,
        payload: bytes,
        signer: Identity,
        transaction_id: str = "",
        *,
        recipient: Certificate | None = None,
        terms: Terms | None = None,
    ) -> Question:
        terms = terms or self.terms
        nonce = secrets.token_bytes(terms.nonce_octets)
        transaction = Transaction(transaction_id or secrets.token_hex(20), nonce)
        message = encode_request(
            message_type,
            payload,
            transaction,
            signer.certificate,
            signer.key,
            recipient or self.recipient,
            digest=terms.digest,
            cipher=terms.cipher,
            key_transport=terms.key_transport,
            form=terms.form,
        )
        return Question(message, message_type, transaction, signer, terms)


def _long_name(octets: int) -> bytes:
    text = writer.utf8_string("scepbox doctor asks with a long address".ljust(octets, "."))
    return writer.sequence(writer.set_of([writer.sequence(writer.oid(_COMMON_NAME), text)]))
