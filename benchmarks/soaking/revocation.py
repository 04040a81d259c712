"""The CRL and OCSP as a relying party asks for them, with every check that it owes itself."""

import base64
import urllib.parse
from collections.abc import Iterable

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp

from benchmarks.messages import Target
from benchmarks.soaking.wire import Wrong, exchange, insist


def check_crl(target: Target, revoked: Iterable[x509.Certificate]) -> float:
    """Fetch the CRL, on which all *revoked* have to be; the seconds that it took.

    Raises:
        Wrong: One is missing, or the CRL is not the CA's.

    """
    reply = insist(exchange(target.address, "/crl"), "application/pkix-crl")
    crl = x509.load_der_x509_crl(reply.body)
    if not crl.is_signature_valid(_key(x509.load_der_x509_certificate(target.ca.der))):
        raise Wrong("the CRL is not signed by the CA")
    for one in revoked:
        if crl.get_revoked_certificate_by_serial_number(one.serial_number) is None:
            raise Wrong(f"{one.serial_number:x} was revoked and is not on the CRL")
    return reply.seconds


def check_ocsp(target: Target, certificate: x509.Certificate, *, revoked: bool, post: bool) -> float:
    """Ask for the status of a certificate by POST or GET; the seconds that it took.

    Raises:
        Wrong: It is another, or the answer is nobody's who may give it.

    """
    ca = x509.load_der_x509_certificate(target.ca.der)
    question = ocsp.OCSPRequestBuilder().add_certificate(certificate, ca, SHA256()).build()
    der = question.public_bytes(Encoding.DER)
    if post:
        reply = exchange(target.address, "/ocsp", der, "application/ocsp-request")
    else:
        text = urllib.parse.quote(base64.b64encode(der).decode(), safe="")
        reply = exchange(target.address, f"/ocsp/{text}")
    answer = ocsp.load_der_ocsp_response(insist(reply, "application/ocsp-response").body)
    if answer.response_status is not ocsp.OCSPResponseStatus.SUCCESSFUL:
        raise Wrong(f"OCSP says {answer.response_status.name}")
    expected = ocsp.OCSPCertStatus.REVOKED if revoked else ocsp.OCSPCertStatus.GOOD
    if (answer.serial_number, answer.certificate_status) != (certificate.serial_number, expected):
        raise Wrong(f"OCSP says {answer.certificate_status.name} of {answer.serial_number:x}")
    _check_signer(answer, ca)
    return reply.seconds


def _check_signer(answer: ocsp.OCSPResponse, ca: x509.Certificate) -> None:
    """By the CA itself, or by whom it has made a responder (RFC 6960 4.2.2.2)."""
    signer = answer.certificates[0] if answer.certificates else ca
    try:
        if signer != ca:
            signer.verify_directly_issued_by(ca)
            usage = signer.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
            if x509.OID_OCSP_SIGNING not in usage:
                raise Wrong("the OCSP answer is signed by a certificate that is not for it")
        digest = answer.signature_hash_algorithm or SHA256()
        _key(signer).verify(answer.signature, answer.tbs_response_bytes, padding.PKCS1v15(), digest)
    except (InvalidSignature, ValueError, x509.ExtensionNotFound) as error:
        raise Wrong(f"the OCSP answer is nobody's who may give it: {error!r}") from error


def _key(certificate: x509.Certificate) -> rsa.RSAPublicKey:
    key = certificate.public_key()
    if not isinstance(key, rsa.RSAPublicKey):
        raise Wrong("the key is not RSA")
    return key
