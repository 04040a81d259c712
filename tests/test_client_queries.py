"""Our client's GetCert and GetCRL: what it asks for, and what it must not believe."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import TypeAlias

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from app.client import ClientError, Identity, ScepClient, get_certificate, get_crl
from app.client.csr import make_identity
from ca.errors import FailInfo
from ca.scep.messages import CertificateQuery, CrlSuccess, Failure, MessageType, Pending, Success
from tests.forged import (
    CA,
    CA_KEY,
    DEVICE_KEY,
    PENDING,
    Answer,
    ForgedServer,
    Forgery,
    applicant,
    issue,
    serving,
)
from tests.world import name, rsa_key

SERIAL = 7
Ask: TypeAlias = Callable[[ScepClient, int, Identity], object]


@pytest.fixture
def server() -> Iterator[ForgedServer]:
    """A sound server, which a test bends."""
    with serving(ForgedServer()) as forged:
        yield forged


@pytest.fixture(scope="module")
def identity() -> Identity:
    """Who asks."""
    return make_identity(name("ipad-17"), DEVICE_KEY)


def revoking(issuer: str = "Forged CA", key: rsa.RSAPrivateKey = CA_KEY) -> bytes:
    """A CRL that has our certificate."""
    now = datetime.now(UTC)
    entry = x509.RevokedCertificateBuilder().serial_number(SERIAL).revocation_date(now).build()
    builder = x509.CertificateRevocationListBuilder().issuer_name(name(issuer)).add_revoked_certificate(entry)
    crl = builder.last_update(now).next_update(now + timedelta(days=7)).sign(key, hashes.SHA256())
    return crl.public_bytes(serialization.Encoding.DER)


@pytest.mark.proves("R-3.3.4-a", "R-4.5-a")
def test_a_certificate_is_fetched(server: ForgedServer, identity: Identity) -> None:
    """By the name of the issuing CA and the serial number, in a GetCert."""
    server.answers = [Success(issue())]

    found = get_certificate(applicant(server).client, SERIAL, identity)

    (message,), (query,) = server.received, server.requests
    assert found.der == issue()
    assert message.message_type is MessageType.GET_CERT
    assert isinstance(query, CertificateQuery)
    assert query.named is not None
    assert (query.named.issuer.der, query.named.serial_number) == (CA.subject_der, SERIAL)


@pytest.mark.proves("R-3.3.4-a", "R-4.6-a", "R-2.7-b")
def test_the_crl_is_fetched(server: ForgedServer, identity: Identity) -> None:
    """In a GetCRL, and held against the CA's key."""
    server.answers = [CrlSuccess(revoking())]

    crl = get_crl(applicant(server).client, SERIAL, identity)

    assert server.received[0].message_type is MessageType.GET_CRL
    assert [one.serial_number for one in crl] == [SERIAL]


REFUSALS: dict[str, tuple[Ask, Answer, str]] = {
    "no such certificate": (get_certificate, Failure(FailInfo.BAD_CERT_ID, "never"), "badCertId: never"),
    "no CRL": (get_crl, Failure(FailInfo.BAD_CERT_ID, ""), "refused with badCertId$"),
    "a certificate later": (get_certificate, Pending(), "at once"),
    "a CRL later": (get_crl, PENDING, "at once"),
    "another certificate": (get_certificate, Forgery((CA.der,)), "no certificate that was asked for"),
    "a certificate for a CRL": (get_crl, Forgery(), "something else than one CRL"),
    "two CRLs": (get_crl, Forgery((), (revoking(), revoking())), "something else than one CRL"),
    "a CRL and a certificate": (
        get_crl,
        Forgery((CA.der,), (revoking(),)),
        "something else than one CRL",
    ),
    "another CA's certificate of that number": (
        get_certificate,
        Forgery((issue(issuer="Other CA", issuer_key=rsa_key(3)),)),
        "no certificate that was asked for",
    ),
    "another CA's CRL": (get_crl, CrlSuccess(revoking("Other CA")), "not of the server's CA"),
    "a CRL by another key": (get_crl, CrlSuccess(revoking(key=rsa_key(3))), "not of the server's CA"),
    "no CRL at all": (get_crl, CrlSuccess(b"\x30\x03\x02\x01\x05"), "cannot be read"),
    "another key's certificate": (
        get_certificate,
        Success(issue(issuer_key=rsa_key(3))),
        "not of the server's CA",
    ),
    "an HTTP error": (get_crl, 503, "HTTP 503"),
    "a page": (get_certificate, b"<html>", "no sound CertRep"),
}


@pytest.mark.parametrize("what", REFUSALS)
def test_what_is_not_sound_is_not_believed(server: ForgedServer, identity: Identity, what: str) -> None:
    """What a reply says is the CA's or its RA's; what it holds has to be the CA's own."""
    ask, answer, said = REFUSALS[what]
    server.answers = [answer]

    with pytest.raises(ClientError, match=said):
        ask(applicant(server).client, SERIAL, identity)


@pytest.mark.parametrize("ask", [get_certificate, get_crl])
def test_without_an_rsa_key_nothing_is_asked(server: ForgedServer, ask: Ask) -> None:
    """RFC 8894 3.1: the reply could be encrypted neither to the key nor under a password."""
    key = ec.generate_private_key(ec.SECP256R1())

    with pytest.raises(ClientError, match="RSA key"):
        ask(applicant(server).client, SERIAL, make_identity(name("ipad-17"), key))

    assert server.received == []


def test_an_expired_certificate_is_fetched_too(server: ForgedServer, identity: Identity) -> None:
    """What was encrypted to it may still have to be read."""
    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(name("ipad-17"))
        .issuer_name(name("Forged CA"))
        .public_key(DEVICE_KEY.public_key())
        .serial_number(SERIAL)
        .not_valid_before(CA.not_valid_before)
        .not_valid_after(now - timedelta(hours=1))
    )
    old = builder.sign(CA_KEY, hashes.SHA256()).public_bytes(serialization.Encoding.DER)
    server.answers = [Success(old)]

    assert get_certificate(applicant(server).client, SERIAL, identity).der == old
