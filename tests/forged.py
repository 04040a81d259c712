"""A SCEP server that a test bends as it likes: real HTTP, true messages, and one thing forged."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TypeAlias

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa

from app.client import Identity, ScepClient, Transport
from app.client.csr import make_csr, make_identity
from app.http.query import decode_message, parse_query
from ca.algorithms.ciphers import Cipher
from ca.algorithms.digests import SHA256, Digest
from ca.algorithms.levels import CryptoLevel
from ca.asn1 import writer
from ca.deviations import Deviations
from ca.issuing.root import make_ca_certificate
from ca.pkcs7 import degenerate, encrypt, sign
from ca.scep import codec, oids
from ca.scep.codec.attributes import text
from ca.scep.messages import Outcome, PkiMessage, Request
from ca.x509.certificate import Certificate
from ca.x509.name import Name
from tests.world import NOW, der, name, rsa_key, spki

CAPABILITIES = b"AES\nPOSTPKIOperation\nRenewal\nSHA-256\nSCEPStandard\n"
CA_KEY = rsa_key(0)
CA = Certificate.load(make_ca_certificate(Name.from_text("CN=Forged CA"), CA_KEY, 10, NOW))
DEVICE_KEY = rsa_key(1)


# Of one moment, so that the same certificate can be issued twice.
_NOW = datetime.now(UTC)


def issue(
    common_name: str = "ipad-17",
    key: rsa.RSAPrivateKey = DEVICE_KEY,
    *extensions: x509.ExtensionType,
    issuer: str = "Forged CA",
    issuer_key: rsa.RSAPrivateKey = CA_KEY,
) -> bytes:
    """A certificate for *key*, of the forged CA unless another issuer is named."""
    builder = (
        x509.CertificateBuilder()
        .subject_name(name(common_name))
        .issuer_name(name(issuer))
        .public_key(key.public_key())
        .serial_number(7)
        .not_valid_before(_NOW - timedelta(days=1))
        .not_valid_after(_NOW + timedelta(days=365))
    )
    for extension in extensions:
        builder = builder.add_extension(extension, critical=False)
    return der(builder.sign(issuer_key, hashes.SHA256()))


@dataclass(frozen=True, slots=True)
class Forgery:
    """A CertRep with what a test wants in it; by default a sound SUCCESS.

    None leaves an attribute, or the eContent, out.
    """

    certificates: tuple[bytes, ...] = field(default_factory=lambda: (issue(),))
    crls: tuple[bytes, ...] = ()
    signer: Certificate = CA
    key: rsa.RSAPrivateKey = CA_KEY
    message_type: str | None = "3"
    pki_status: str | None = "0"
    fail_info: str | None = None
    transaction_id: str | None = "echo"
    recipient_nonce: bytes | None = b"echo"
    content: bytes | None = b"envelope"
    digest: Digest = SHA256
    cipher: Cipher | None = None

    def to(self, request: Request) -> bytes:
        """The reply to *request*."""
        message = request.message
        transaction = message.transaction
        given = {
            oids.MESSAGE_TYPE: self.message_type,
            oids.PKI_STATUS: self.pki_status,
            oids.FAIL_INFO: self.fail_info,
            oids.TRANSACTION_ID: (
                transaction.transaction_id if self.transaction_id == "echo" else self.transaction_id
            ),
        }
        attributes = {oid: text(value) for oid, value in given.items() if value is not None}
        attributes[oids.SENDER_NONCE] = writer.octet_string(bytes(16))
        if self.recipient_nonce is not None:
            nonce = transaction.sender_nonce if self.recipient_nonce == b"echo" else self.recipient_nonce
            attributes[oids.RECIPIENT_NONCE] = writer.octet_string(nonce)
        content = self.content
        if content == b"envelope":
            inner = degenerate(self.certificates, self.crls)
            content = encrypt([message.signer], inner, self.cipher or request.cipher)
        return sign(self.signer, self.key, content, attributes=attributes, digest=self.digest)


FAILURE = Forgery(pki_status="2", fail_info="2", content=b"")
PENDING = Forgery(pki_status="3", content=b"")
Answer: TypeAlias = Forgery | Outcome | bytes | int | Callable[[Request], bytes]


@dataclass
class ForgedServer:
    """What it answers, and what it was asked.

    *answers* to PKIOperation are used up in turn, the last for ever: a forgery, an outcome told by the
    server's own codec, a body or what makes one of the request, or an HTTP status. *ca* is the body and
    media type of GetCACert; a status in their place is sent as such. *opens* is the certificate whose key
    opens requests.
    """

    capabilities: bytes | int = CAPABILITIES
    capabilities_type: str = "text/plain"
    reply_type: str = "application/x-pki-message"
    ca: tuple[bytes, str] | int = (CA.der, "application/x-x509-ca-cert")
    opens: tuple[Certificate, rsa.RSAPrivateKey] = (CA, CA_KEY)
    answers: list[Answer] = field(default_factory=lambda: [Forgery()])
    received: list[PkiMessage] = field(default_factory=list)
    requests: list[Request] = field(default_factory=list)
    methods: list[str] = field(default_factory=list)
    url: str = ""

    def answer(self, operation: str, body: bytes, method: str) -> tuple[int, str, bytes]:
        """Status, media type and body."""
        match operation:
            case "getcacaps":
                return _either(self.capabilities, self.capabilities_type)
            case "getcacert":
                return _either(self.ca, "") if isinstance(self.ca, int) else (200, self.ca[1], self.ca[0])
        self.methods.append(method)
        signed = codec.load(body, Deviations())
        transaction = codec.decode_transaction(signed, CryptoLevel.LEGACY)
        message = codec.decode_pki_message(signed, transaction, CryptoLevel.LEGACY)
        request = codec.decode_request(message, self.opens[1], self.opens[0], CryptoLevel.LEGACY)
        self.received.append(message)
        self.requests.append(request)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        return _either(_reply(answer, request), self.reply_type)


def _reply(answer: Answer, request: Request) -> bytes | int:
    match answer:
        case Forgery():
            return answer.to(request)
        case bytes() | int():
            return answer
    if callable(answer):
        return answer(request)
    return codec.encode_cert_rep(
        answer,
        request.message.transaction,
        CA,
        CA_KEY,
        recipient=request.message.signer,
        digest=request.message.digest,
        cipher=request.cipher,
    )


def _either(answer: bytes | int, media_type: str) -> tuple[int, str, bytes]:
    if isinstance(answer, int):
        return answer, "text/plain", b"out of order\nsecond line\n"
    return 200, media_type, answer


@contextmanager
def serving(forged: ForgedServer) -> Iterator[ForgedServer]:
    """Serve it on a free port of 127.0.0.1 meanwhile."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            query = parse_query(self.path.partition("?")[2])
            body = (
                decode_message(query.message or "", Deviations())
                if query.operation == "pkioperation"
                else b""
            )
            self._send(forged.answer(query.operation, body, "GET"))

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            self._send(forged.answer("pkioperation", body, "POST"))

        def _send(self, answer: tuple[int, str, bytes]) -> None:
            status, media_type, body = answer
            self.send_response(status)
            self.send_header("Content-Type", media_type)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    forged.url = f"http://127.0.0.1:{server.server_address[1]}/scep"
    try:
        yield forged
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@dataclass
class Applicant:
    """Our client with the key, the name and the identity it asks a certificate for."""

    client: ScepClient
    identity: Identity = field(default_factory=lambda: make_identity(name("ipad-17"), DEVICE_KEY))

    def enrol(self, *, renewal: bool = False, polls: int = 0) -> Certificate:
        """Enrol; poll at most *polls* times."""
        return self.client.enrol(
            make_csr(name("ipad-17"), (), DEVICE_KEY, "open sesame"),
            spki(DEVICE_KEY),
            self.identity,
            renewal=renewal,
            wait=lambda poll: poll <= polls,
        )


def applicant(forged: ForgedServer, *, fingerprint: str | None = None, strict: bool = False) -> Applicant:
    """A client of *forged*."""
    return Applicant(ScepClient(Transport(forged.url), fingerprint=fingerprint, strict=strict))
