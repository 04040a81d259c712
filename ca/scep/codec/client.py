"""The client's half of the codec: a request to bytes, and a CertRep checked before it is believed."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from hmac import compare_digest
from typing import TypeVar

from cryptography.hazmat.primitives.asymmetric import rsa

from ca.algorithms.ciphers import AES_128_CBC, DES_CBC, Cipher
from ca.algorithms.digests import MD5, SHA256, Digest
from ca.algorithms.key_transport import PKCS1_V15, KeyTransport
from ca.algorithms.keys import PrivateKey
from ca.algorithms.levels import CryptoLevel
from ca.asn1 import Asn1Error, strings, writer
from ca.deviations import DeviationKind, Deviations
from ca.errors import FailInfo, InvalidReply, MalformedMessage, ScepError
from ca.pkcs7 import EnvelopedData, SignedData, encrypt, sign
from ca.pkcs7 import oids as cms_oids
from ca.pkcs7.form import Form, rewrite
from ca.scep import oids
from ca.scep.codec.attributes import read_nonce, read_text, text, value
from ca.scep.messages import (
    CrlSuccess,
    Failure,
    IssuerAndSerialNumber,
    MessageType,
    Pending,
    PkiStatus,
    Success,
    Transaction,
)
from ca.x509.certificate import Certificate

T = TypeVar("T")
_NEVER_PENDING = "a query is answered at once or not at all (RFC 8894 4.5, 4.6)"


def encode_request(
    message_type: str,
    payload: bytes,
    transaction: Transaction,
    certificate: Certificate,
    key: PrivateKey,
    recipient: Certificate,
    *,
    digest: Digest = SHA256,
    cipher: Cipher = AES_128_CBC,
    key_transport: KeyTransport = PKCS1_V15,
    pss: bool = False,
    named_digest: bool = False,
    signing_time: datetime | None = None,
    form: Form = Form.DER,
    more: Mapping[str, bytes] | None = None,
) -> bytes:
    """Encrypt *payload* to the CA's *recipient* certificate and sign it with *key*.

    *payload* is what the messageType asks for: a PKCS #10, an IssuerAndSubject or an
    IssuerAndSerialNumber (RFC 8894 3.3). The *signing_time* is now where none is given. It is DER
    unless another *form* is asked for; with *named_digest* the signatureAlgorithm names the digest too.
    A *message_type* that the RFC does not have tries a server.
    *more* are attributes to sign besides, a dotted OID to the DER of its one value.
    """
    attributes = {
        oids.MESSAGE_TYPE: text(message_type),
        oids.TRANSACTION_ID: text(transaction.transaction_id),
        oids.SENDER_NONCE: writer.octet_string(transaction.sender_nonce),
        **(more or {}),
    }
    envelope = rewrite(encrypt([recipient], payload, cipher, key_transport=key_transport), form)
    signed = sign(
        certificate,
        key,
        envelope,
        attributes=attributes,
        digest=digest,
        pss=pss,
        named_digest=named_digest,
        signing_time=signing_time,
    )
    return rewrite(signed, form)


@dataclass(frozen=True, slots=True)
class Expectation:
    """What a reply has to fit: the request's transaction, and the certificates that may sign.

    *spki* is the key the certificate must hold; a GetCert awaits the certificate that is *named*.
    *strict* refuses what RFC 8894 2.9 forbids a server, and what is reported otherwise.
    *challenge_password* is the request's, under which a reply comes to who has no RSA key.
    """

    transaction: Transaction
    signers: tuple[Certificate, ...]
    spki: bytes = b""
    strict: bool = False
    challenge_password: str = field(default="", repr=False)
    named: IssuerAndSerialNumber | None = None


def decode_cert_rep(
    body: bytes,
    expected: Expectation,
    certificate: Certificate,
    key: PrivateKey,
    deviations: Deviations,
) -> Success | Pending | Failure:
    """Read a CertRep, opening its envelope with the *key* of the request's signer *certificate*.

    A key that is not RSA opens nothing, and the challenge password does.

    What the server does against the standards, and what can be believed all the same, goes into
    *deviations*.

    Raises:
        InvalidReply: A check of RFC 8894 3.2.1 or 3.3.2 failed: the reply is not to be acted on.

    """
    outcome = _decode(
        body, expected, deviations, lambda signed: _read_certificates(signed, expected, certificate, key)
    )
    if expected.named and isinstance(outcome, Pending):
        raise InvalidReply(_NEVER_PENDING)
    return outcome


def decode_crl_rep(
    body: bytes,
    expected: Expectation,
    certificate: Certificate,
    key: rsa.RSAPrivateKey,
    deviations: Deviations,
) -> CrlSuccess | Failure:
    """Read the answer to a GetCRL, as :func:`decode_cert_rep` does. The CRL itself is not judged.

    Raises:
        InvalidReply: As there.

    """
    outcome = _decode(
        body, expected, deviations, lambda signed: _read_crl(signed, expected, certificate, key)
    )
    if isinstance(outcome, Pending):
        raise InvalidReply(_NEVER_PENDING)
    return outcome


def _decode(
    body: bytes, expected: Expectation, deviations: Deviations, read_success: Callable[[SignedData], T]
) -> T | Pending | Failure:
    try:
        signed = SignedData.load(body, "CertRep", deviations)
        signer = signed.verify(CryptoLevel.LEGACY, expected.signers)
        _check_signer(signed, signer, expected)
        _check_transaction(signed, expected.transaction)
        return _read_outcome(signed, read_success)
    except (Asn1Error, MalformedMessage, ScepError) as error:
        raise InvalidReply(f"the reply is no sound CertRep: {error}") from error


def _check_signer(signed: SignedData, signer: Certificate, expected: Expectation) -> None:
    if not any(compare_digest(signer.der, one.der) for one in expected.signers):
        raise InvalidReply("the reply is signed by neither the CA nor an RA that GetCACert gave")
    if signed.signer_info.digest is MD5:
        if expected.strict:
            raise InvalidReply("the reply is signed over MD5 (RFC 8894 2.9)")
        # Old servers know nothing else.
        signed.deviations.add(DeviationKind.WEAK_DIGEST, "CertRep", "MD5")


def _check_transaction(signed: SignedData, transaction: Transaction) -> None:
    if read_text(signed.attributes, oids.MESSAGE_TYPE) != MessageType.CERT_REP:
        raise InvalidReply("the reply's messageType is not CertRep")
    if read_text(signed.attributes, oids.TRANSACTION_ID) != transaction.transaction_id:
        raise InvalidReply("the reply is for another transactionID")
    if not compare_digest(read_nonce(signed.attributes, oids.RECIPIENT_NONCE), transaction.sender_nonce):
        raise InvalidReply("the reply's recipientNonce is not the nonce that was sent")


def _read_outcome(signed: SignedData, read_success: Callable[[SignedData], T]) -> T | Pending | Failure:
    match read_text(signed.attributes, oids.PKI_STATUS):
        case PkiStatus.SUCCESS:
            return read_success(signed)
        case PkiStatus.FAILURE:
            _insist_empty(signed)
            fail_info = read_text(signed.attributes, oids.FAIL_INFO)
            if fail_info not in set(FailInfo):
                raise InvalidReply(f"undefined failInfo {fail_info!r}")
            return Failure(FailInfo(fail_info), _fail_info_text(signed))
        case PkiStatus.PENDING:
            _insist_empty(signed)
            return Pending()
        case other:
            raise InvalidReply(f"undefined pkiStatus {other!r}")


def _insist_empty(signed: SignedData) -> None:
    """RFC 8894 3.3.2.2 and 3.3.2.3: no pkcsPKIEnvelope. NDES sends one octet with a FAILURE."""
    if len(signed.data) > 1:
        raise InvalidReply("a FAILURE or PENDING reply carries an envelope")
    if signed.data:
        signed.deviations.add(DeviationKind.CONTENT_WITHOUT_ENVELOPE, "CertRep")


def _fail_info_text(signed: SignedData) -> str:
    if oids.FAIL_INFO_TEXT not in signed.attributes:
        return ""
    return strings.text(value(signed.attributes, oids.FAIL_INFO_TEXT))


def _read_certificates(
    signed: SignedData, expected: Expectation, certificate: Certificate, key: PrivateKey
) -> Success:
    inner = _open(signed, expected, certificate, key)
    issued = [one for one in inner.certificates if _is_awaited(one, expected)]
    if len(issued) != 1:
        what = "certificate that was asked for" if expected.named else "certificate for the requested key"
        raise InvalidReply(f"the reply holds no {what}")
    others = tuple(one.der for one in inner.certificates if one is not issued[0])
    return Success(issued[0].der, others)


def _is_awaited(certificate: Certificate, expected: Expectation) -> bool:
    if expected.named is None:
        return certificate.spki == expected.spki
    same_serial = certificate.serial_number == expected.named.serial_number
    return same_serial and certificate.issuer_der == expected.named.issuer.der


def _read_crl(
    signed: SignedData, expected: Expectation, certificate: Certificate, key: rsa.RSAPrivateKey
) -> CrlSuccess:
    inner = _open(signed, expected, certificate, key)
    if len(inner.crls) != 1 or inner.certificates:
        # RFC 8894 2.7, 3.3.2.1: the CRL, and no certificates.
        raise InvalidReply("the reply holds something else than one CRL")
    return CrlSuccess(inner.crls[0])


def _open(signed: SignedData, expected: Expectation, certificate: Certificate, key: PrivateKey) -> SignedData:
    if signed.content_type != cms_oids.DATA:
        raise InvalidReply("the eContentType of the reply is not id-data")
    envelope = EnvelopedData.load(signed.data)
    if envelope.cipher is DES_CBC:
        if expected.strict:
            raise InvalidReply("the reply is encrypted under single DES (RFC 8894 2.9)")
        signed.deviations.add(DeviationKind.WEAK_CIPHER, "CertRep.pkcsPKIEnvelope", "single DES")
    opened = (
        envelope.decrypt(key, certificate)
        if isinstance(key, rsa.RSAPrivateKey)
        else envelope.decrypt_with_password(expected.challenge_password)
    )
    return SignedData.load(opened, "certificates")
