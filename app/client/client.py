"""Enrolling, renewing and polling (RFC 8894 2.3, 2.5), with every check a client owes itself."""

import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property

from cryptography.hazmat.primitives.asymmetric import rsa

from app.client.transport import Transport, TransportError, printable
from ca.algorithms.ciphers import AES_128_CBC, DES_EDE3_CBC, Cipher
from ca.algorithms.digests import SHA1, SHA256, SHA512, Digest
from ca.asn1 import Asn1Error, writer
from ca.deviations import Deviations
from ca.errors import BadAlgorithm, InvalidReply
from ca.scep.capabilities import parse_capabilities
from ca.scep.codec import Expectation, decode_ca_certificates, decode_cert_rep, encode_request
from ca.scep.codec.attributes import NONCE_OCTETS
from ca.scep.messages import Failure, MessageType, Pending, Success, Transaction
from ca.x509.certificate import Certificate
from ca.x509.chain import ChainBroken, check_chain
from ca.x509.extensions import KeyUsageBit


class ClientError(Exception):
    """An enrolment that ended without a certificate; the text says why, for people."""


@dataclass(frozen=True, slots=True)
class Identity:
    """The certificate and key that sign a request: self-signed, or the one to renew."""

    certificate: Certificate
    key: rsa.RSAPrivateKey


class ScepClient:
    """One server, as a client sees it.

    *digest* and *cipher* override what the server's capabilities suggest. *strict* refuses a
    server that does not promise what RFC 8894 2.9 demands: capabilities come unauthenticated, and
    somebody on the way may have removed some (RFC 8894 7.5).
    """

    def __init__(
        self,
        transport: Transport,
        *,
        fingerprint: str = "",
        digest: Digest | None = None,
        cipher: Cipher | None = None,
        post: bool | None = None,
        strict: bool = False,
    ) -> None:
        self._transport = transport
        self._fingerprint = fingerprint.replace(":", "").lower()
        self._digest = digest
        self._cipher = cipher
        self._post = post
        self._strict = strict
        self.deviations = Deviations()

    @cached_property
    def capabilities(self) -> frozenset[str]:
        """The server's keywords in upper case; none where it answers with an error or a page.

        Raises:
            ClientError: It could not be reached, or promises too little for *strict*.

        """
        try:
            keywords = parse_capabilities(self._transport.get("GetCACaps"))
        except TransportError as error:
            if not error.status:
                raise ClientError(str(error)) from error
            keywords = frozenset()
        if self._strict and not keywords >= {"AES", "POSTPKIOPERATION", "SHA-256"}:
            raise ClientError("the server does not promise AES, SHA-256 and POST (RFC 8894 2.9)")
        return keywords

    @cached_property
    def ca_certificates(self) -> tuple[Certificate, ...]:
        """What GetCACert gave, held against the fingerprint if there is one.

        Raises:
            ClientError: There was no answer, or a wrong one.

        """
        try:
            certificates = decode_ca_certificates(self._transport.get("GetCACert"))
        except (TransportError, InvalidReply) as error:
            raise ClientError(str(error)) from error
        if not self._fingerprint:
            return certificates
        pinned = [
            one for one in certificates if self._fingerprint in (one.fingerprint(), one.fingerprint_sha1())
        ]
        if not pinned:
            raise ClientError("the fingerprint of the CA certificate is another: do not trust this server")
        for one in certificates:
            # Anybody can put the true CA certificate beside his own.
            if one is not pinned[0] and not _leads_to(one, pinned[0], certificates):
                raise ClientError(
                    "a certificate beside the pinned one is not of that CA: do not trust this server"
                )
        return certificates

    @property
    def recipient(self) -> Certificate:
        """The certificate to encrypt to: an RA's where there is one, else the CA's."""
        able = [one for one in self.ca_certificates if self._can_decrypt(one)]
        registration = [one for one in able if not one.is_ca]
        if not able:
            raise ClientError("none of the server's certificates can be encrypted to")
        return (registration or able)[0]

    @staticmethod
    def _can_decrypt(certificate: Certificate) -> bool:
        try:
            usage = certificate.key_usage
            fits = usage is None or KeyUsageBit.keyEncipherment in usage or certificate.is_ca
            return fits and isinstance(certificate.public_key(), rsa.RSAPublicKey)
        except (Asn1Error, BadAlgorithm):
            return False

    def enrol(
        self,
        csr: bytes,
        spki: bytes,
        identity: Identity,
        *,
        renewal: bool = False,
        transaction_id: str | None = None,
        wait: Callable[[int], bool] = lambda _: False,
    ) -> Certificate:
        """Send a PKCSReq or RenewalReq, poll while it is pending, and return the certificate.

        *spki* is the key that the certificate must hold. *wait* is called before each poll with
        its number, sleeps as long as it likes, and returns False to give up.

        Raises:
            ClientError: The server refused, could not be reached, or its reply is not to be trusted.

        """
        if self._strict:
            self.capabilities  # noqa: B018 - asked even where nothing is chosen by them
        transaction_id = transaction_id or secrets.token_hex(20)
        message_type = MessageType.RENEWAL_REQ if renewal else MessageType.PKCS_REQ
        outcome = self._exchange(message_type, csr, transaction_id, spki, identity)
        polls = 0
        while isinstance(outcome, Pending):
            polls += 1
            if not wait(polls):
                raise ClientError(f"the request {transaction_id} is pending: a person has to approve it")
            names = writer.sequence(self.recipient.issuer_der, identity.certificate.subject_der)
            outcome = self._exchange(MessageType.CERT_POLL, names, transaction_id, spki, identity)
        if isinstance(outcome, Failure):
            why = f": {printable(outcome.text)}" if outcome.text else ""
            raise ClientError(f"the server refused with {outcome.fail_info.label}{why}")
        return Certificate.load(outcome.certificate)

    def _exchange(
        self, message_type: MessageType, payload: bytes, transaction_id: str, spki: bytes, identity: Identity
    ) -> Success | Failure | Pending:
        transaction = Transaction(transaction_id, secrets.token_bytes(NONCE_OCTETS))
        message = encode_request(
            message_type,
            payload,
            transaction,
            identity.certificate,
            identity.key,
            self.recipient,
            digest=self._digest or self._suggested_digest(),
            cipher=self._cipher or (AES_128_CBC if "AES" in self.capabilities else DES_EDE3_CBC),
        )
        post = "POSTPKIOPERATION" in self.capabilities if self._post is None else self._post
        expected = Expectation(transaction, self.ca_certificates, spki)
        try:
            answer = self._transport.operate(message, post=post)
            return decode_cert_rep(answer, expected, identity.certificate, identity.key, self.deviations)
        except (TransportError, InvalidReply) as error:
            raise ClientError(str(error)) from error

    def _suggested_digest(self) -> Digest:
        """SHA-256 where it is offered (RFC 8894 3.5.2); SHA-1 for a server that offers nothing."""
        for keyword, digest in (("SHA-256", SHA256), ("SHA-512", SHA512)):
            if keyword in self.capabilities:
                return digest
        return SHA1


def _leads_to(one: Certificate, pinned: Certificate, all_of_them: tuple[Certificate, ...]) -> bool:
    """Whether *one* is below the pinned certificate, or above it: its issuer, and so on up."""
    now = datetime.now(UTC)
    for below, anchor in ((one, pinned), (pinned, one)):
        try:
            check_chain(below, anchor, now, all_of_them)
        except ChainBroken:
            continue
        return True
    return False


def sleeping(seconds: float, most: int) -> Callable[[int], bool]:
    """A *wait* for :meth:`ScepClient.enrol` that sleeps, and gives up after *most* polls."""

    def wait(poll: int) -> bool:
        if poll > most:
            return False
        time.sleep(seconds)
        return True

    return wait
