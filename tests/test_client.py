"""Our client against servers that lie: what it must not believe, and what it may let pass."""

import socket
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TypeAlias

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519

from app.client import ClientError, Transport, Unsettled
from app.client.transport import TransportError
from ca.algorithms.ciphers import AES_128_CBC, DES_CBC
from ca.algorithms.digests import MD5, SHA256
from ca.deviations import DeviationKind
from ca.errors import FailInfo
from ca.pkcs7 import degenerate
from ca.scep.messages import EnrolmentRequest, Failure
from ca.x509.extensions import KeyUsageBit
from tests.conformance.marks import cases
from tests.forged import (
    CA,
    DEVICE_KEY,
    FAILURE,
    PENDING,
    Answer,
    ForgedServer,
    Forgery,
    applicant,
    issue,
    serving,
)
from tests.world import der, name, rsa_key, self_signed, spki

BUNDLE = "application/x-x509-ca-ra-cert"
CaKey: TypeAlias = ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey | ed448.Ed448PrivateKey
ONE = "application/x-x509-ca-cert"


@pytest.fixture
def server() -> Iterator[ForgedServer]:
    """A sound server, which a test bends."""
    with serving(ForgedServer()) as forged:
        yield forged


@pytest.mark.proves("R-2.5-a")
def test_a_sound_reply_is_believed(server: ForgedServer) -> None:
    """Without this, every refusal below would prove nothing."""
    certificate = applicant(server).enrol()

    assert str(certificate.subject) == "CN=ipad-17"
    assert certificate.issuer_der == CA.subject_der


@pytest.mark.proves(
    "R-2.3-a", "R-2.3-b", "R-2.3-f", "R-2.4-c", "R-3.2.1-a", "R-3.2.1.5-a", "R-3.3.1-a", "R-2.9-a"
)
def test_a_request_is_as_the_rfc_wants_it(server: ForgedServer) -> None:
    """RFC 8894 2.3, 2.4, 2.9: signed for the CSR's subject and key, the secret inside, AES and SHA-256."""
    applicant(server).enrol()

    (message,), (request,) = server.received, server.requests
    assert isinstance(request, EnrolmentRequest)
    assert message.signer.spki == request.csr.spki == spki(DEVICE_KEY)
    assert message.signer.subject_der == message.signer.issuer_der == request.csr.subject.der
    assert {KeyUsageBit.digitalSignature, KeyUsageBit.keyEncipherment} <= (message.signer.key_usage or set())
    assert request.csr.challenge_password == "open sesame"
    assert (message.digest, request.cipher, server.methods) == (SHA256, AES_128_CBC, ["POST"])
    assert len(message.transaction.sender_nonce) == 16


STRANGER = self_signed("Forged CA", rsa_key(3))
OWN = self_signed("ipad-17", DEVICE_KEY)
LIES: dict[str, tuple[Answer, str]] = {
    "K-01 another transactionID": (Forgery(transaction_id="somebody-else"), "another transactionID"),
    "K-01 no transactionID": (Forgery(transaction_id=None), "transactionID"),
    "K-02 another nonce": (Forgery(recipient_nonce=bytes(16)), "recipientNonce"),
    "K-02 a nonce cut short": (Forgery(recipient_nonce=bytes(8)), "recipientNonce"),
    "K-02 no nonce": (Forgery(recipient_nonce=None), "recipientNonce"),
    "K-03 signed by a stranger": (Forgery(signer=STRANGER, key=rsa_key(3)), "neither the CA nor an RA"),
    "K-03 signed by the client": (Forgery(signer=OWN, key=DEVICE_KEY), "neither the CA nor an RA"),
    "K-03 in the CA's name by another key": (Forgery(key=rsa_key(3)), "the signature does not hold"),
    "K-04 a certificate for another key": (
        Forgery(certificates=(issue(key=rsa_key(2)),)),
        "no certificate for the requested key",
    ),
    "K-04 no certificate at all": (Forgery(certificates=()), "no certificate for the requested key"),
    "K-05 pkiStatus 1": (Forgery(pki_status="1"), "undefined pkiStatus '1'"),
    "K-05 pkiStatus 5": (Forgery(pki_status="5"), "undefined pkiStatus '5'"),
    "K-05 no pkiStatus": (Forgery(pki_status=None), "pkiStatus"),
    "K-05 no failInfo": (replace(FAILURE, fail_info=None), "failInfo"),
    "K-05 failInfo 9": (replace(FAILURE, fail_info="9"), "undefined failInfo '9'"),
    "K-06 PENDING with an envelope": (replace(PENDING, content=b"envelope"), "carries an envelope"),
    "FAILURE with an envelope": (replace(FAILURE, content=b"envelope"), "carries an envelope"),
    "K-07 nobody signed": (degenerate([issue()]), "0 SignerInfos"),
    "K-10 messageType 19": (Forgery(message_type="19"), "messageType is not CertRep"),
    "no messageType": (Forgery(message_type=None), "messageType"),
    "SUCCESS without content": (Forgery(content=None), "EnvelopedData"),
    "no CMS": (b"<html>It works!</html>", "no sound CertRep"),
    "an empty body": (b"", "no sound CertRep"),
    "an HTTP error": (500, "HTTP 500: out of order"),
}


@pytest.mark.proves(
    "R-3.2.1-b",
    "R-3.3.2.1-a",
    "R-3.2.1.3-a",
    "R-3.2.1.3-b",
    "R-3.2.1.4-b",
    "R-3.2.1.5-c",
    "R-3.2.1.2-a",
    "R-3.3.2.3-a",
    "R-3.3.2.2-a",
)
@pytest.mark.parametrize("lie", cases({lie: lie for lie in LIES}))
def test_a_reply_that_does_not_fit_is_not_acted_on(server: ForgedServer, lie: str) -> None:
    """RFC 8894 3.2.1, 3.3.2: a client that believes any of these can be given anything by anybody."""
    answer, why = LIES[lie]
    server.answers = [answer]

    with pytest.raises(ClientError, match=why):
        applicant(server).enrol()


@pytest.mark.proves("R-3.2.1.4-c")
def test_a_refusal_is_told_in_the_server_s_words(server: ForgedServer) -> None:
    """RFC 8894 3.2.1.4: failInfo for the program, failInfoText for the person."""
    server.answers = [Failure(FailInfo.BAD_REQUEST, "challenge password not accepted")]

    with pytest.raises(ClientError, match="badRequest: challenge password not accepted"):
        applicant(server).enrol()


def test_a_server_s_words_cannot_pass_for_ours(server: ForgedServer) -> None:
    """They go to a terminal and into logs: no line ends and no escape sequences of a stranger's."""
    server.answers = [Failure(FailInfo.BAD_REQUEST, "no\n\x1b[2Jissued: all is well")]

    with pytest.raises(ClientError) as caught:
        applicant(server).enrol()

    assert str(caught.value).isprintable()


@pytest.mark.proves("R-3.3.2.2-a")
@pytest.mark.parametrize("status", list(FailInfo))
def test_every_fail_info_has_its_name(server: ForgedServer, status: FailInfo) -> None:
    """RFC 8894 3.2.1.4: the five of them, without text."""
    server.answers = [replace(FAILURE, fail_info=status.value)]

    with pytest.raises(ClientError, match=status.label):
        applicant(server).enrol()


@pytest.mark.proves("R-3.3.2.2-c")
def test_a_refusal_without_content_is_a_refusal(server: ForgedServer) -> None:
    """RFC 8894 3.3.2.2: the content may be absent or empty."""
    server.answers = [replace(FAILURE, content=None)]

    with pytest.raises(ClientError, match="badRequest"):
        applicant(server).enrol()


def test_a_refusal_with_one_octet_is_a_refusal(server: ForgedServer) -> None:
    """NDES sends one octet where RFC 8894 3.3.2.2 wants none; it is reported."""
    server.answers = [replace(FAILURE, content=b"\0")]
    client = applicant(server)

    with pytest.raises(ClientError, match="badRequest"):
        client.enrol()

    assert client.client.deviations.kinds() == [DeviationKind.CONTENT_WITHOUT_ENVELOPE]


@pytest.mark.proves("K-12", "R-2.9-c")
@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (Forgery(cipher=DES_CBC), DeviationKind.WEAK_CIPHER),
        (Forgery(digest=MD5), DeviationKind.WEAK_DIGEST),
    ],
    ids=["single DES", "MD5"],
)
def test_what_no_server_must_use_is_reported(
    server: ForgedServer, answer: Forgery, kind: DeviationKind
) -> None:
    """K-12, RFC 8894 2.9: old servers know nothing else, so the certificate is taken all the same."""
    server.answers = [answer]
    client = applicant(server)

    client.enrol()

    assert client.client.deviations.kinds() == [kind]


@pytest.mark.proves("K-12", "R-2.9-c", "S-08")
@pytest.mark.parametrize(
    ("answer", "why"),
    [(Forgery(cipher=DES_CBC), "single DES"), (Forgery(digest=MD5), "MD5")],
    ids=["single DES", "MD5"],
)
def test_strict_refuses_what_no_server_must_use(server: ForgedServer, answer: Forgery, why: str) -> None:
    """RFC 8894 2.9, 7.5: what is reported otherwise is not acted on."""
    server.answers = [answer]

    with pytest.raises(ClientError, match=why):
        applicant(server, strict=True).enrol()


def test_a_certificate_of_another_ca_is_not_taken(server: ForgedServer) -> None:
    """That the reply is the CA's does not make the certificate in it the CA's; the name alone is cheap."""
    server.answers = [Forgery(certificates=(issue(issuer_key=rsa_key(3)),))]

    with pytest.raises(Unsettled, match="not of the server's CA"):
        applicant(server).enrol()


def test_a_certificate_below_an_intermediate_that_came_along_is_taken(server: ForgedServer) -> None:
    """EJBCA gives the one CA certificate; what is between may come with the reply."""
    below = issue("Sub CA", rsa_key(3), x509.BasicConstraints(ca=True, path_length=None))
    leaf = issue(issuer="Sub CA", issuer_key=rsa_key(3))
    server.answers = [Forgery(certificates=(leaf, below))]

    assert applicant(server).enrol().der == leaf


@pytest.mark.parametrize(
    ("answer", "settled"),
    [
        (Failure(FailInfo.BAD_REQUEST, "no"), True),
        (404, True),
        (500, False),
        (b"", False),
        (Forgery(recipient_nonce=None), False),
    ],
    ids=["refused", "404", "500", "nothing", "forged"],
)
def test_it_is_told_whether_a_certificate_may_exist_all_the_same(
    server: ForgedServer, answer: Answer, *, settled: bool
) -> None:
    """RFC 8894 7.4: who lost the reply asks again, and has to have the key for that."""
    server.answers = [answer]

    with pytest.raises(ClientError) as caught:
        applicant(server).enrol()

    assert isinstance(caught.value, Unsettled) is not settled


@pytest.mark.proves("R-3.4-c", "C-12")
def test_the_chain_may_come_along_in_any_order(server: ForgedServer) -> None:
    """RFC 8894 3.4: the certificate is found by its key, not by its place."""
    server.answers = [Forgery(certificates=(CA.der, issue()))]

    assert applicant(server).enrol().der == issue()


@pytest.mark.proves("K-08")
@pytest.mark.parametrize("media_type", [ONE, BUNDLE, "text/html; charset=utf-8"])
@pytest.mark.parametrize("body", [CA.der, degenerate([CA.der])], ids=["certificate", "bundle"])
def test_the_body_of_get_ca_cert_says_what_it_is(server: ForgedServer, body: bytes, media_type: str) -> None:
    """K-08, RFC 8894 4.2.1: servers mix up the two media types, and the bodies cannot be mixed up."""
    server.ca = (body, media_type)

    client = applicant(server).client

    right = media_type == (ONE if body == CA.der else BUNDLE)
    assert [one.der for one in client.roles.authorities] == [CA.der]
    assert client.deviations.kinds() == ([] if right else [DeviationKind.MEDIA_TYPE])


@pytest.mark.parametrize(
    "media_type", ["application/x-pki-message; charset=utf-8", "Application/X-PKI-Message"]
)
def test_parameters_of_a_media_type_are_let_pass(server: ForgedServer, media_type: str) -> None:
    """RFC 9110 8.3.1: the case of a media type says nothing, nor do parameters that it does not have."""
    server.reply_type = media_type
    candidate = applicant(server)

    candidate.enrol()

    assert candidate.client.deviations.kinds() == []


@pytest.mark.parametrize("media_type", ["text/html", "", "application/octet-stream"])
def test_another_media_type_of_a_reply_is_told(server: ForgedServer, media_type: str) -> None:
    """RFC 8894 4.3.1: iOS refuses such a reply; it is sound all the same."""
    server.reply_type = media_type
    candidate = applicant(server)

    candidate.enrol()

    (deviation,) = candidate.client.deviations
    assert (deviation.kind, deviation.place) == (DeviationKind.MEDIA_TYPE, "http.PKIOperation")
    assert media_type in deviation.detail


NO_CA = {
    "a page": (b"<html>login</html>", ONE),
    "nothing": (b"", ONE),
    "a bundle of nothing": (degenerate([]), BUNDLE),
    "a bundle of what is no certificate": (degenerate([b"\x30\x03\x02\x01\x05"]), BUNDLE),
    "PEM": (b"-----BEGIN CERTIFICATE-----\nMIIB\n", ONE),
    "a certificate with no key in it": (b"\x30\x09\x30\x01\x05\x30\x00\x03\x02\x00\x00", ONE),
}


@pytest.mark.proves("R-3.4-c")
@pytest.mark.parametrize("what", NO_CA)
def test_a_get_ca_cert_without_certificates_ends_it(server: ForgedServer, what: str) -> None:
    """RFC 8894 4.2: there is nobody to encrypt to, which is said and not met as a bug."""
    server.ca = NO_CA[what]

    with pytest.raises(ClientError, match="GetCACert"):
        applicant(server).enrol()


def test_a_server_without_get_ca_cert_ends_it(server: ForgedServer) -> None:
    """What the server said in its first line comes along."""
    server.ca = 404

    with pytest.raises(ClientError, match=r"HTTP 404: out of order$"):
        applicant(server).enrol()


@pytest.mark.parametrize(
    "key",
    [
        ec.generate_private_key(ec.SECP256R1()),
        ed25519.Ed25519PrivateKey.generate(),
        ed448.Ed448PrivateKey.generate(),
    ],
    ids=["EC", "Ed25519", "Ed448"],
)
def test_a_ca_that_cannot_be_encrypted_to_ends_it(server: ForgedServer, key: CaKey) -> None:
    """RFC 8894 2.1.2: key transport needs RSA; a sentence, not a traceback."""
    server.ca = (_ca_with(key), ONE)

    with pytest.raises(ClientError, match="encrypted to"):
        applicant(server).enrol()


def _ca_with(key: CaKey) -> bytes:
    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(name("Modern CA"))
        .issuer_name(name("Modern CA"))
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=365))
    )
    return der(builder.sign(key, hashes.SHA256() if isinstance(key, ec.EllipticCurvePrivateKey) else None))


def test_what_stands_in_the_query_of_an_address_is_in_no_error() -> None:
    """It may be a token, and errors go into logs and tickets."""
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]

        with pytest.raises(TransportError) as refusal:
            Transport(f"http://127.0.0.1:{port}/scep?token=hush").get("GetCACaps")

    assert f"http://127.0.0.1:{port}/scep" in str(refusal.value)
    assert "hush" not in str(refusal.value)
