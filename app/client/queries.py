"""Asking a server for what it issued already: GetCert and GetCRL (RFC 8894 2.6, 2.7, 3.3.4)."""

import secrets
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TypeVar

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa

from app.client.client import Identity, ScepClient, client_error, refusal
from app.client.errors import ClientError
from app.client.transport import TransportError
from ca.asn1 import Asn1Error
from ca.errors import InvalidReply
from ca.scep.codec import (
    Expectation,
    decode_cert_rep,
    decode_crl_rep,
    encode_issuer_and_serial_number,
)
from ca.scep.codec.attributes import NONCE_OCTETS
from ca.scep.messages import (
    CrlSuccess,
    Failure,
    IssuerAndSerialNumber,
    MessageType,
    Pending,
    Success,
    Transaction,
)
from ca.x509.certificate import Certificate
from ca.x509.chain import ChainBroken

Answered = TypeVar("Answered")


def get_certificate(client: ScepClient, serial_number: int, identity: Identity) -> Certificate:
    """Ask by GetCert for a certificate of the server's CA. It may have expired.

    Raises:
        ClientError: There is none, or the server could not be reached or is not to be trusted.

    """

    def read(body: bytes, transaction: Transaction, key: rsa.RSAPrivateKey) -> Success | Pending | Failure:
        named = IssuerAndSerialNumber(client.roles.issuer.subject, serial_number)
        expected = Expectation(transaction, client.roles.signers, strict=client.strict, named=named)
        return decode_cert_rep(body, expected, identity.certificate, key, client.deviations)

    outcome = _ask(client, MessageType.GET_CERT, serial_number, identity, read)
    if not isinstance(outcome, Success):
        raise ClientError("the server lets a query wait (RFC 8894 4.5)")
    try:
        certificate, *others = map(Certificate.load, (outcome.certificate, *outcome.chain))
        at = min(datetime.now(UTC), certificate.not_valid_after)
        client.roles.check_issued(certificate, tuple(others), at)
    except (Asn1Error, ChainBroken) as error:
        raise ClientError(f"the certificate that came is not of the server's CA: {error}") from error
    return certificate


def get_crl(client: ScepClient, serial_number: int, identity: Identity) -> x509.CertificateRevocationList:
    """Ask by GetCRL for the CRL that tells of a certificate; the last resort (RFC 8894 2.7).

    It is the issuing CA's, signed with its key. How old it is, its dates say.

    Raises:
        ClientError: There is none, or the server could not be reached or is not to be trusted.

    """

    def read(body: bytes, transaction: Transaction, key: rsa.RSAPrivateKey) -> CrlSuccess | Failure:
        expected = Expectation(transaction, client.roles.signers, strict=client.strict)
        return decode_crl_rep(body, expected, identity.certificate, key, client.deviations)

    answer = _ask(client, MessageType.GET_CRL, serial_number, identity, read)
    try:
        crl = x509.load_der_x509_crl(answer.crl)
        issuer = x509.load_der_x509_certificate(client.roles.issuer.der)
        # What stands inside the reply is vouched for by its signer, who may be an RA.
        if crl.issuer == issuer.subject and crl.is_signature_valid(issuer.public_key()):  # type: ignore[arg-type]
            return crl
    except (ValueError, TypeError) as error:
        raise ClientError(f"the CRL that came cannot be read: {error}") from error
    raise ClientError("the CRL that came is not of the server's CA")


def _ask(
    client: ScepClient,
    message_type: MessageType,
    serial_number: int,
    identity: Identity,
    read: Callable[[bytes, Transaction, rsa.RSAPrivateKey], Answered | Failure],
) -> Answered:
    """Send a query. Nothing was asked for that could still come, so whatever is wrong ends it."""
    if not isinstance(identity.key, rsa.RSAPrivateKey):
        # A query carries no password that the reply could come under.
        raise ClientError("GetCert and GetCRL need an RSA key, to which the reply can be encrypted")
    client.check_server()
    payload = encode_issuer_and_serial_number(client.roles.issuer.subject_der, serial_number)
    transaction = Transaction(secrets.token_hex(20), secrets.token_bytes(NONCE_OCTETS))
    try:
        outcome = read(client.send(message_type, payload, transaction, identity), transaction, identity.key)
    except InvalidReply as error:
        raise ClientError(str(error)) from error
    except TransportError as error:
        raise client_error(error) from error
    if isinstance(outcome, Failure):
        raise refusal(outcome)
    return outcome
