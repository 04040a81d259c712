"""Enrolling, renewing and polling (RFC 8894 2.3, 2.5), with every check a client owes itself."""

import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property, partial
from hashlib import sha256

from cryptography.hazmat.primitives.asymmetric import rsa

from app.client.errors import ClientError, Unreachable, Unsettled
from app.client.transport import Answer, Transport, TransportError
from app.client.trust import Roles, assign_roles, read_fingerprint
from app.words import printable
from ca.algorithms.ciphers import AES_128_CBC, DES_EDE3_CBC, Cipher
from ca.algorithms.digests import SHA1, SHA256, SHA512, Digest
from ca.algorithms.keys import PrivateKey
from ca.asn1 import Asn1Error, writer
from ca.deviations import DeviationKind, Deviations
from ca.errors import InvalidReply
from ca.scep.capabilities import parse_capabilities
from ca.scep.codec import (
    PKI_MESSAGE,
    Expectation,
    ca_certificates_type,
    decode_ca_certificates,
    decode_cert_rep,
    encode_request,
)
from ca.scep.codec.attributes import NONCE_OCTETS
from ca.scep.messages import Failure, MessageType, Pending, Success, Transaction
from ca.x509.certificate import Certificate
from ca.x509.chain import ChainBroken


@dataclass(frozen=True, slots=True)
class Identity:
    """The certificate and key that sign a request: self-signed, or the one to renew."""

    certificate: Certificate
    key: PrivateKey


class ScepClient:
    """One server, as a client sees it.

    *fingerprint* is the CA certificate's; without one, whoever answers is believed. *digest* and
    *cipher* override what the server's capabilities suggest. *strict* refuses a server that does
    not promise what RFC 8894 2.9 demands: capabilities come unauthenticated, and somebody on the
    way may have removed some (RFC 8894 7.5). It refuses replies in MD5 or single DES as well.
    """

    def __init__(
        self,
        transport: Transport,
        *,
        fingerprint: str | None = None,
        digest: Digest | None = None,
        cipher: Cipher | None = None,
        post: bool | None = None,
        strict: bool = False,
    ) -> None:
        self._transport = transport
        self._fingerprint = None if fingerprint is None else read_fingerprint(fingerprint)
        self._digest = digest
        self._cipher = cipher
        self._post = post
        self.strict = strict
        self.deviations = Deviations()

    @cached_property
    def capabilities(self) -> frozenset[str]:
        """The server's keywords in upper case; none where it answers with an error or a page.

        Raises:
            ClientError: It could not be reached, or promises too little for *strict*.

        """
        try:
            # The media type is not asked (RFC 8894 3.5.2).
            keywords = parse_capabilities(self._transport.get("GetCACaps").body)
        except TransportError as error:
            if not error.status:
                raise client_error(error) from error
            keywords = frozenset()
        if self.strict and not keywords >= {"AES", "POSTPKIOPERATION", "SHA-256"}:
            raise ClientError("the server does not promise AES, SHA-256 and POST (RFC 8894 2.9)")
        return keywords

    @cached_property
    def roles(self) -> Roles:
        """What GetCACert gave, held against the fingerprint if there is one, and who may do what.

        Raises:
            ClientError: There was no answer, or a wrong one.

        """
        try:
            answer = self._transport.get("GetCACert")
            certificates = decode_ca_certificates(answer.body)
        except InvalidReply as error:
            raise ClientError(str(error)) from error
        except TransportError as error:
            raise client_error(error) from error
        self._note_type("GetCACert", answer, ca_certificates_type(answer.body))
        return assign_roles(certificates, self._fingerprint, datetime.now(UTC))

    def check_server(self) -> None:
        """Ask for capabilities and certificates, and check them, before anything is sent.

        Raises:
            ClientError: There was no answer, or the server is not to be trusted.

        """
        # Asked even where nothing is chosen by them: *strict* is about them.
        _ = self.capabilities, self.roles

    def enrol(
        self,
        csr: bytes,
        spki: bytes,
        identity: Identity,
        *,
        renewal: bool = False,
        transaction_id: str | None = None,
        challenge_password: str = "",
        wait: Callable[[int], bool] = lambda _: False,
    ) -> Certificate:
        """Send a PKCSReq or RenewalReq, poll while it is pending, and return the certificate.

        A *renewal* is signed by the certificate to renew. A server that does not promise Renewal
        gets it as a PKCSReq (RFC 8894 2.3), by which most of those renew.

        *spki* is the key that the certificate must hold. *challenge_password* is the CSR's: the reply
        to an *identity* without an RSA key is encrypted under it (RFC 8894 3.1). *wait* is called
        before each poll with its number, sleeps as long as it likes, and returns False to give up.

        Raises:
            ClientError: The server refused, could not be reached, or is not to be trusted.
            Unsettled: It may have granted the request, or still may.

        """
        self.check_server()
        transaction_id = transaction_id or _transaction_id(csr, identity if renewal else None)
        promised = renewal and "RENEWAL" in self.capabilities
        message_type = MessageType.RENEWAL_REQ if promised else MessageType.PKCS_REQ
        ask = partial(self._exchange, transaction_id, spki, identity, challenge_password)
        outcome = ask(message_type, csr)
        polls = 0
        while isinstance(outcome, Pending):
            polls += 1
            if not wait(polls):
                raise Unsettled(f"the request {transaction_id} is pending: a person has to approve it")
            if isinstance(identity.key, rsa.RSAPrivateKey):
                # RFC 8894 3.3.3: the name of the issuing CA, not of who issued to the CA or the RA.
                names = writer.sequence(self.roles.issuer.subject_der, identity.certificate.subject_der)
                outcome = ask(MessageType.CERT_POLL, names)
            else:
                # A CertPoll does not carry the password that the reply has to be encrypted under.
                outcome = ask(message_type, csr)
        if isinstance(outcome, Failure):
            raise refusal(outcome)
        return self._check_issued(outcome)

    def _exchange(
        self,
        transaction_id: str,
        spki: bytes,
        identity: Identity,
        challenge_password: str,
        message_type: MessageType,
        payload: bytes,
    ) -> Success | Failure | Pending:
        transaction = Transaction(transaction_id, secrets.token_bytes(NONCE_OCTETS))
        expected = Expectation(transaction, self.roles.signers, spki, self.strict, challenge_password)
        try:
            answer = self.send(message_type, payload, transaction, identity)
            return decode_cert_rep(answer, expected, identity.certificate, identity.key, self.deviations)
        except InvalidReply as error:
            raise Unsettled(str(error)) from error
        except TransportError as error:
            # With a 4xx the server says that it did not take the message.
            kind = ClientError if 400 <= error.status < 500 else Unsettled
            raise kind(str(error)) from error

    def send(
        self, message_type: MessageType, payload: bytes, transaction: Transaction, identity: Identity
    ) -> bytes:
        """Send one message in the server's own terms, and return the body of the reply, unread.

        Raises:
            TransportError: There was none.

        """
        message = encode_request(
            message_type,
            payload,
            transaction,
            identity.certificate,
            identity.key,
            self.roles.recipient,
            digest=self._digest or self._suggested_digest(),
            cipher=self._cipher or (AES_128_CBC if "AES" in self.capabilities else DES_EDE3_CBC),
        )
        post = "POSTPKIOPERATION" in self.capabilities if self._post is None else self._post
        answer = self._transport.operate(message, post=post)
        self._note_type("PKIOperation", answer, PKI_MESSAGE)
        return answer.body

    def _note_type(self, operation: str, answer: Answer, media_type: str) -> None:
        """Devices such as iOS look at the media type; here it is told, and the body believed."""
        if answer.media_type != media_type:
            detail = f"{printable(answer.media_type[:80]) or 'none'}, not {media_type}"
            self.deviations.add(DeviationKind.MEDIA_TYPE, f"http.{operation}", detail)

    def _check_issued(self, outcome: Success) -> Certificate:
        """That the reply is the CA's or its RA's does not make the certificate the CA's."""
        try:
            certificate, *others = map(Certificate.load, (outcome.certificate, *outcome.chain))
            self.roles.check_issued(certificate, tuple(others), datetime.now(UTC))
            # Read here, so that nobody meets a name that cannot be read further on.
            _ = certificate.subject, certificate.not_valid_after
        except Asn1Error as error:
            raise Unsettled(f"the certificate that came cannot be read: {error}") from error
        except ChainBroken as error:
            raise Unsettled(f"the certificate that came is not of the server's CA: {error}") from error
        return certificate

    def _suggested_digest(self) -> Digest:
        """SHA-256 where it is offered (RFC 8894 3.5.2); SHA-1 for a server that offers nothing."""
        for keyword, digest in (("SHA-256", SHA256), ("SHA-512", SHA512)):
            if keyword in self.capabilities:
                return digest
        return SHA1


def refusal(outcome: Failure) -> ClientError:
    """What to raise for a FAILURE: the failInfo, and the server's own words."""
    why = f": {printable(outcome.text)}" if outcome.text else ""
    return ClientError(f"the server refused with {outcome.fail_info.label}{why}")


def client_error(error: TransportError) -> ClientError:
    """What to raise where no answer came and nothing was asked for."""
    return ClientError(str(error)) if error.status else Unreachable(str(error))


def _transaction_id(csr: bytes, renewed: Identity | None) -> str:
    """The same for the same request, so that one made again goes on with the first (RFC 8894 3.2.1.1).

    A renewal's is another for each certificate, because its CSR may be the last one's again.
    """
    return sha256(csr + (renewed.certificate.der if renewed else b"")).hexdigest()[:40]


def sleeping(seconds: float, most: int) -> Callable[[int], bool]:
    """A *wait* for :meth:`ScepClient.enrol` that sleeps, and gives up after *most* polls."""

    def wait(poll: int) -> bool:
        if poll > most:
            return False
        time.sleep(seconds)
        return True

    return wait
