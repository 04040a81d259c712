"""A CA, a store and devices, for tests that go through the Responder or the WSGI door."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import AttributeOID, NameOID

from app.store import SqlStore, open_store
from app.store.records import NewChallenge
from ca.algorithms.ciphers import AES_128_CBC, Cipher
from ca.algorithms.digests import SHA256, Digest
from ca.algorithms.key_transport import PKCS1_V15, KeyTransport
from ca.deviations import Deviations
from ca.identity import ScepIdentity
from ca.issuing.authority import Authority
from ca.issuing.root import make_ca_certificate
from ca.policy.challenges import ChallengeKey
from ca.policy.enrolment import EnrolmentPolicy
from ca.ports import AuditEntry, Peer, StoredCertificate
from ca.profiles import Profile
from ca.responder import Responder
from ca.scep import codec
from ca.scep.messages import CrlSuccess, Failure, MessageType, Outcome, Pending, Success, Transaction
from ca.x509.certificate import Certificate
from ca.x509.name import Name
from tests.databases import new_database, with_tables

NOW = datetime(2026, 6, 1, 12, 0, 0, tzinfo=UTC)
PEER = Peer("192.0.2.7", "test-client/1.0")
NONCE = bytes(range(16))
SECRET = "open sesame"


@cache
def rsa_key(number: int = 0, bits: int = 2048) -> rsa.RSAPrivateKey:
    """Key *number* of the session: making one takes a tenth of a second."""
    return rsa.generate_private_key(65537, bits)


def name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def der(certificate: x509.Certificate | x509.CertificateSigningRequest) -> bytes:
    return certificate.public_bytes(serialization.Encoding.DER)


def spki(key: rsa.RSAPrivateKey) -> bytes:
    return key.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )


@dataclass
class Device:
    """A client with its key, its self-signed certificate and a CSR, all of which a test may replace."""

    common_name: str = "ipad-17"
    key: rsa.RSAPrivateKey = field(default_factory=lambda: rsa_key(1))
    signer_key: rsa.RSAPrivateKey | None = None
    signer: Certificate | None = None
    digest: Digest = SHA256
    cipher: Cipher = AES_128_CBC
    key_transport: KeyTransport = PKCS1_V15
    # None is the real time, which a server in a process or thread of its own goes by.
    signing_time: datetime | None = NOW

    def csr_builder(self) -> x509.CertificateSigningRequestBuilder:
        return x509.CertificateSigningRequestBuilder().subject_name(name(self.common_name))

    def csr(self, challenge: str | None = SECRET, *extensions: x509.ExtensionType) -> bytes:
        builder = self.csr_builder()
        for extension in extensions:
            builder = builder.add_extension(extension, critical=False)
        if challenge is not None:
            builder = builder.add_attribute(AttributeOID.CHALLENGE_PASSWORD, challenge.encode())
        return der(builder.sign(self.key, hashes.SHA256()))

    def certificate(self) -> Certificate:
        """The certificate that signs: given, or self-signed with the CSR's subject."""
        if self.signer is None:
            self.signer = self_signed(self.common_name, self.signer_key or self.key)
        return self.signer

    def message(
        self,
        ca: Certificate,
        payload: bytes | None = None,
        *,
        transaction_id: str = "t1",
        message_type: MessageType = MessageType.PKCS_REQ,
        nonce: bytes = NONCE,
        pss: bool = False,
    ) -> bytes:
        """A pkiMessage to the CA; by default a PKCSReq with the right challenge."""
        return codec.encode_request(
            message_type,
            self.csr() if payload is None else payload,
            Transaction(transaction_id, nonce),
            self.certificate(),
            self.signer_key or self.key,
            ca,
            digest=self.digest,
            cipher=self.cipher,
            key_transport=self.key_transport,
            pss=pss,
            signing_time=self.signing_time,
        )

    def read(
        self, reply: bytes, ca: Certificate, transaction_id: str = "t1", nonce: bytes = NONCE
    ) -> Outcome:
        """The outcome in a CertRep, with all checks of a client."""
        expected = codec.Expectation(Transaction(transaction_id, nonce), (ca,), spki(self.key))
        return codec.decode_cert_rep(
            reply, expected, self.certificate(), self.signer_key or self.key, Deviations()
        )


def self_signed(common_name: str, key: rsa.RSAPrivateKey, now: datetime = NOW) -> Certificate:
    builder = (
        x509.CertificateBuilder()
        .subject_name(name(common_name))
        .issuer_name(name(common_name))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=7))
    )
    return Certificate.load(der(builder.sign(key, hashes.SHA256())))


class World:
    """One CA over a store, with a clock that a test can set and one challenge, ``SECRET``."""

    def __init__(self, database: str | None = None, uses: int | None = None) -> None:
        self.now = NOW
        self.profile = Profile()
        self.key = rsa_key(0)
        self.ca = Certificate.load(make_ca_certificate(Name.from_text("CN=Test CA"), self.key, 10, NOW))
        self.challenge_key = ChallengeKey(b"k" * 32)
        self.store: SqlStore = open_store(new_database() if database is None else with_tables(database))
        self.add_challenge(SECRET, uses=uses)
        self.responder = Responder(
            authority=Authority(self.ca, self.key),
            identity=ScepIdentity(self.ca, self.key),
            policy=EnrolmentPolicy(self.ca, self.challenge_key),
            store=self.store,
            clock=lambda: self.now,
            chain=(self.ca.der,),
        )

    def add_challenge(
        self,
        secret: str,
        *,
        uses: int | None = 1,
        profile: str = "default",
        valid: timedelta | None = None,
        subject: str | None = None,
        names: tuple[str, ...] | None = None,
        guessable: bool = True,
        sid: str | None = None,
    ) -> int | None:
        record = NewChallenge(
            mac=self.challenge_key.mac(secret),
            profile=profile,
            uses_left=uses,
            expires_at=self.now + valid if valid else None,
            created_at=self.now,
            subject=subject,
            subject_alt_names=names,
            guessable=guessable,
            sid=sid,
        )
        return self.store.transact(lambda repository: repository.add_challenge(record))

    def respond(self, message: bytes, deviations: Deviations | None = None) -> bytes:
        return self.responder.respond(
            message, self.profile, PEER, Deviations() if deviations is None else deviations
        )

    def enrol(self, device: Device, payload: bytes | None = None, transaction_id: str = "t1") -> Outcome:
        """Send a PKCSReq and read the reply as the device would."""
        reply = self.respond(device.message(self.ca, payload, transaction_id=transaction_id))
        return device.read(reply, self.ca, transaction_id)

    def issued(self) -> list[StoredCertificate]:
        return self.store.transact(lambda repository: list(repository.list_certificates(self.now)))

    def audited(self) -> list[AuditEntry]:
        """The entries of the audit log, the first in front."""
        return [one.entry for one in self.store.transact(lambda repository: repository.list_audit())]

    def uses_left(self) -> list[int | None]:
        return self.store.transact(lambda repository: [one.uses_left for one in repository.list_challenges()])


def certificate_of(outcome: Outcome) -> Certificate:
    """The certificate of a SUCCESS; anything else fails the test with its words."""
    match outcome:
        case Success(certificate):
            return Certificate.load(certificate)
        case Failure(fail_info, text):
            raise AssertionError(f"refused: {fail_info.label} {text}")
        case Pending() | CrlSuccess():
            raise AssertionError(type(outcome).__name__)


@contextmanager
def captured_log(logger: str) -> Iterator[list[str]]:
    """The lines that *logger* writes meanwhile."""
    lines: list[str] = []

    class _Keep(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append(record.getMessage())

    handler = _Keep()
    target = logging.getLogger(logger)
    target.addHandler(handler)
    before = target.level
    target.setLevel(logging.INFO)
    try:
        yield lines
    finally:
        target.removeHandler(handler)
        target.setLevel(before)


ROOT = Path(__file__).resolve().parent.parent
