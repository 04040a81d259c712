"""The enrolments: made before the clock starts, checked after it has stopped."""

import secrets
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import NameOID

from app.client.client import Identity
from app.client.csr import make_csr, make_identity
from ca.algorithms.keys import PrivateKey
from ca.deviations import Deviations
from ca.errors import InvalidReply
from ca.scep.codec import Expectation, decode_cert_rep, encode_request
from ca.scep.messages import MessageType, Success, Transaction
from ca.x509.certificate import Certificate

_HEAD = (
    "POST {path}?operation=PKIOperation HTTP/1.1\r\nHost: 127.0.0.1\r\n"
    "Content-Type: application/x-pki-message\r\nContent-Length: {length}\r\n\r\n"
)


@dataclass(frozen=True, slots=True)
class Target:
    """A server as a client sees it: where, with which CA certificate and challenge password."""

    address: tuple[str, int]
    path: str
    ca: Certificate
    challenge: str


@dataclass(frozen=True, slots=True)
class Enrolment:
    """One prepared request, and what its reply has to fit."""

    target: Target
    subject: x509.Name
    identity: Identity
    transaction: Transaction
    body: bytes

    @property
    def http(self) -> bytes:
        """The request as it goes over the wire."""
        return _HEAD.format(path=self.target.path, length=len(self.body)).encode() + self.body

    def read(self, response: bytes) -> x509.Certificate | None:
        """The certificate of an HTTP response; None unless it is a SUCCESS that a client may believe."""
        head, _, body = response.partition(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 200 "):
            return None
        if b"transfer-encoding: chunked" in head.lower():
            body = b"".join(_chunks(body))
        key, ca = self.identity.key, self.target.ca
        expected = Expectation(self.transaction, (ca,), _spki(key))
        try:
            outcome = decode_cert_rep(body, expected, self.identity.certificate, key, Deviations())
            if not isinstance(outcome, Success):
                return None
            certificate = x509.load_der_x509_certificate(outcome.certificate)
            certificate.verify_directly_issued_by(x509.load_der_x509_certificate(ca.der))
        except (InvalidReply, InvalidSignature, ValueError):
            return None
        return certificate if certificate.subject == self.subject else None


def make_enrolments(target: Target, keys: list[rsa.RSAPrivateKey], count: int) -> Iterator[Enrolment]:
    """PKCSReq messages (AES-128, SHA-256), each with a subject, certificate and transactionID of its own."""
    for number in range(count):
        key, transaction_id = keys[number % len(keys)], secrets.token_hex(20)
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"device-{transaction_id[:16]}")])
        identity = make_identity(subject, key)
        transaction = Transaction(transaction_id, secrets.token_bytes(16))
        csr = make_csr(subject, (), key, target.challenge)
        message = encode_request(MessageType.PKCS_REQ, csr, transaction, identity.certificate, key, target.ca)
        yield Enrolment(target, subject, identity, transaction, message)


def count_successes(
    enrolments: Iterable[Enrolment], responses: Iterable[bytes], serials: set[int]
) -> tuple[int, int]:
    """How many got a certificate, and how many of those one with a serial number of its own.

    *serials* are those that the server gave before: of two certificates that share one, neither can
    be revoked alone (RFC 5280 4.1.2.2).
    """
    successes = distinct = 0
    for enrolment, response in zip(enrolments, responses, strict=True):
        certificate = enrolment.read(response)
        if certificate is not None:
            successes += 1
            distinct += certificate.serial_number not in serials
            serials.add(certificate.serial_number)
    return successes, distinct


def _spki(key: PrivateKey) -> bytes:
    return key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def _chunks(body: bytes) -> Iterator[bytes]:
    """The chunks of a chunked body (RFC 9112 7.1)."""
    while body:
        size, _, rest = body.partition(b"\r\n")
        length = int(size, 16)
        yield rest[:length]
        body = rest[length + 2 :] if length else b""
