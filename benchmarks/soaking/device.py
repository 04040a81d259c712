"""A device of the soak: its key, its certificate, and the SCEP messages that it sends and reads."""

import secrets
from dataclasses import dataclass, field

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import NameOID

from app.client.client import Identity
from app.client.csr import make_csr, make_identity
from benchmarks.messages import Target
from benchmarks.soaking.wire import HONEST, Wrong, exchange, insist
from ca.asn1 import writer
from ca.deviations import Deviations
from ca.errors import InvalidReply
from ca.scep.codec import Expectation, decode_cert_rep, encode_request
from ca.scep.messages import Failure, MessageType, Pending, Success, Transaction
from ca.x509.certificate import Certificate


@dataclass
class Device:
    """What it asks with: first a certificate signed by itself, then the one that it got."""

    target: Target
    key: rsa.RSAPrivateKey
    transaction_id: str = field(default_factory=lambda: secrets.token_hex(20))
    subject: x509.Name = field(init=False)
    identity: Identity = field(init=False)

    def __post_init__(self) -> None:
        common_name = f"device-{self.transaction_id[:16]}"
        self.subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
        self.identity = make_identity(self.subject, self.key)

    @property
    def serial(self) -> str:
        """The serial number of its certificate, in lower-case hex."""
        return f"{self.certificate.serial_number:x}"

    @property
    def certificate(self) -> x509.Certificate:
        """The certificate that it asks with."""
        return x509.load_der_x509_certificate(self.identity.certificate.der)

    def enrol(self, challenge: str, source: str = HONEST) -> tuple[Success | Pending | Failure, float]:
        """Send a PKCSReq; what came of it, and the seconds until the reply.

        Raises:
            Wrong: A client could not believe the reply.

        """
        csr = make_csr(self.subject, (), self.key, challenge)
        return self._ask(MessageType.PKCS_REQ, csr, source)

    def renew(self) -> tuple[Success | Pending | Failure, float]:
        """Send a RenewalReq, signed by its certificate; as :meth:`enrol`."""
        self.transaction_id = secrets.token_hex(20)
        return self._ask(MessageType.RENEWAL_REQ, make_csr(self.subject, (), self.key, ""))

    def poll(self) -> tuple[Success | Pending | Failure, float]:
        """Send a CertPoll for the request that waits; as :meth:`enrol`."""
        # RFC 8894 3.3.3
        names = writer.sequence(self.target.ca.subject_der, self.identity.certificate.subject_der)
        return self._ask(MessageType.CERT_POLL, names)

    def take(self, outcome: Success | Pending | Failure) -> None:
        """Go on with the certificate of a SUCCESS.

        Raises:
            Wrong: It is another outcome, or not a certificate of the CA for its name.

        """
        if not isinstance(outcome, Success):
            raise Wrong(f"not granted: {outcome}")
        try:
            certificate = x509.load_der_x509_certificate(outcome.certificate)
            certificate.verify_directly_issued_by(x509.load_der_x509_certificate(self.target.ca.der))
        except (InvalidSignature, ValueError) as error:
            raise Wrong(f"not a certificate of the CA: {error}") from error
        if certificate.subject != self.subject:
            raise Wrong(f"a certificate for {certificate.subject.rfc4514_string()}")
        self.identity = Identity(Certificate.load(outcome.certificate), self.key)

    def message(self, message_type: MessageType, payload: bytes, transaction: Transaction) -> bytes:
        """A pkiMessage to the CA (AES-128, SHA-256)."""
        signer, ca = self.identity.certificate, self.target.ca
        return encode_request(message_type, payload, transaction, signer, self.key, ca)

    def _ask(
        self, message_type: MessageType, payload: bytes, source: str = HONEST
    ) -> tuple[Success | Pending | Failure, float]:
        transaction = Transaction(self.transaction_id, secrets.token_bytes(16))
        message = self.message(message_type, payload, transaction)
        path = f"{self.target.path}?operation=PKIOperation"
        reply = insist(
            exchange(self.target.address, path, message, source=source), "application/x-pki-message"
        )
        spki = self.key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        expected = Expectation(transaction, (self.target.ca,), spki)
        signer = self.identity.certificate
        try:
            return decode_cert_rep(reply.body, expected, signer, self.key, Deviations()), reply.seconds
        except InvalidReply as error:
            raise Wrong(str(error)) from error
