"""Personas before servers that are wrong in one way: who stops, who goes on, and what for."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import pytest
from cryptography import x509

from app.personas import PERSONAS, Persona, Session, enrol, look
from ca.algorithms.ciphers import AES_128_CBC, DES_CBC
from ca.algorithms.digests import SHA1, SHA256
from ca.algorithms.key_transport import PKCS1_V15, KeyTransport
from ca.algorithms.signatures import certificate_identifier
from ca.asn1 import writer
from ca.pkcs7 import degenerate, encrypt
from ca.pkcs7 import oids as cms
from ca.scep import oids
from ca.scep.codec import encode_ca_chain
from ca.scep.messages import Request
from ca.x509.certificate import Certificate
from ca.x509.name import Name
from tests.forged import CA, CA_KEY, DEVICE_KEY, FAILURE, ForgedServer, Forgery, issue, serving
from tests.forging import Forgery as Parts
from tests.world import Device, rsa_key, self_signed

CAPABILITIES = b"AES\nDES3\nPOSTPKIOperation\nRenewal\nSHA-1\nSHA-256\nSHA-384\n"
CA_TYPE, BUNDLE_TYPE = "application/x-x509-ca-cert", "application/x-x509-ca-ra-cert"
SUBJECT = Name.from_text("CN=ipad-17")
OTHER_CA = self_signed("Other CA", rsa_key(3))
OTHER = Certificate.load(issue("Other device", rsa_key(4)))
OAEP = KeyTransport(SHA1, SHA1)


def parts(request: Request, *, transport: KeyTransport = PKCS1_V15, whom: Certificate | None = None) -> Parts:
    """A sound SUCCESS in its parts, but for the key transport, or for *whom* the envelope names."""
    message = request.message
    inside = degenerate([issue()])
    envelope = encrypt([whom or message.signer], inside, request.cipher, key_transport=transport)
    device = Device(key=CA_KEY, signer=CA)
    reply = Parts(device, CA, envelope, transaction_id=message.transaction.transaction_id)
    reply.put(oids.MESSAGE_TYPE, writer.printable_string("3"))
    reply.put(oids.PKI_STATUS, writer.printable_string("0"))
    return reply.put(oids.RECIPIENT_NONCE, writer.octet_string(message.transaction.sender_nonce))


def changed(change: Callable[[Parts], object]) -> Callable[[Request], bytes]:
    """A reply with one part changed."""

    def answer(request: Request) -> bytes:
        reply = parts(request)
        change(reply)
        return reply.message()

    return answer


def named_digest(reply: Parts) -> None:
    reply.signature_algorithm = certificate_identifier(CA_KEY, SHA256)


def signature_as_digest(reply: Parts) -> None:
    reply.digest_algorithm = certificate_identifier(CA_KEY, SHA256)


def ca_with(*bits: str) -> bytes:
    """The CA's certificate with another keyUsage."""
    every = (
        *("digital_signature", "content_commitment", "key_encipherment", "data_encipherment"),
        *("key_agreement", "key_cert_sign", "crl_sign", "encipher_only", "decipher_only"),
    )
    usage = x509.KeyUsage(**{bit: bit in bits for bit in every})
    basic = x509.BasicConstraints(ca=True, path_length=None)
    return issue("Forged CA", CA_KEY, basic, usage)


@dataclass(frozen=True)
class Fault:
    """A server, the finding, who stops at it, and who does not."""

    server: Callable[[], ForgedServer]
    finding: str
    stop: tuple[str, ...]
    go_on: tuple[str, ...] = ()
    mind: tuple[str, ...] = field(default=())


def capabilities(body: bytes) -> Callable[[], ForgedServer]:
    return lambda: ForgedServer(capabilities=body)


def certificates(body: bytes, media_type: str = CA_TYPE) -> Callable[[], ForgedServer]:
    return lambda: ForgedServer(capabilities=CAPABILITIES, ca=(body, media_type))


def replies(*answers: object, **server: str) -> Callable[[], ForgedServer]:
    return lambda: ForgedServer(capabilities=CAPABILITIES, answers=list(answers), **server)  # type: ignore[arg-type]


PEM = b"-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"
# Judged before anything is sent.
SEEN = {
    "charset behind the CA's type": Fault(
        certificates(CA.der, f"{CA_TYPE}; charset=utf-8"),
        "http-media-type",
        ("ios", "ios-legacy", "macos", "sscep", "jscep", "certmonger"),
        ("strongswan", "micromdm", "windows"),
    ),
    "capabilities in HTML": Fault(
        capabilities(b"<html><body>404</body></html>"),
        "html-body",
        ("ios", "macos", "strongswan"),
        ("certmonger", "windows", "cisco"),
    ),
    "SCEPStandard alone": Fault(
        capabilities(b"SCEPStandard\n"), "caps-no-digest", ("ios", "macos"), ("windows",), ("jscep",)
    ),
    "trailing blanks": Fault(
        capabilities(CAPABILITIES.replace(b"\n", b" \n")), "caps-no-digest", ("ios",), ("certmonger", "sscep")
    ),
    "no capabilities": Fault(
        capabilities(b""), "caps-empty", ("strongswan",), ("windows", "micromdm"), ("ios", "jscep")
    ),
    "no AES": Fault(
        capabilities(b"SHA-1\nSHA-256\nDES3\n"), "caps-no-aes", ("strongswan",), ("sscep",), ("ios",)
    ),
    "capabilities out of order": Fault(
        lambda: ForgedServer(capabilities=500), "http-error", ("strongswan",), (), ("windows", "jscep")
    ),
    "too many capabilities": Fault(
        capabilities(CAPABILITIES * 20),
        "caps-too-long",
        ("certmonger",),
        ("ios", "sscep"),
    ),
    "a lone CA in a bundle": Fault(
        certificates(encode_ca_chain([CA]), BUNDLE_TYPE), "ra-missing", ("ios", "macos"), ("sscep", "jscep")
    ),
    "a CA that may not encipher": Fault(
        certificates(ca_with("key_cert_sign", "crl_sign")),
        "ca-key-usage",
        ("macos", "windows"),
        ("sscep", "certmonger"),
        ("ios",),
    ),
    "PEM": Fault(certificates(PEM), "ca-not-der", ("ios", "windows", "sscep", "cisco")),
    "no CA certificate": Fault(
        lambda: ForgedServer(capabilities=CAPABILITIES, ca=404), "http-error", ("ios", "micromdm")
    ),
}
# Judged with a reply.
ANSWERED = {
    "charset behind the reply's type": Fault(
        replies(Forgery(), reply_type="application/x-pki-message; charset=utf-8"),
        "http-media-type",
        ("sscep", "jscep", "certmonger"),
        ("ios", "strongswan"),
    ),
    "HTTP 500": Fault(replies(500), "http-error", ("ios", "windows", "jscep")),
    "a refusal": Fault(replies(FAILURE), "refused", ("ios", "windows", "sscep", "certmonger")),
    "a refusal without content": Fault(
        replies(replace(FAILURE, content=None)), "failure-without-content", ("certmonger",)
    ),
    "a refusal without a reason": Fault(
        replies(replace(FAILURE, fail_info=None)), "fail-info-missing", ("sscep",)
    ),
    "no transactionID": Fault(
        replies(Forgery(transaction_id=None)),
        "transaction-id-missing",
        ("strongswan", "certmonger", "sscep", "jscep", "micromdm"),
        ("ios", "windows"),
    ),
    "another transactionID": Fault(
        replies(Forgery(transaction_id="another")),
        "transaction-id-wrong",
        ("strongswan", "certmonger", "sscep"),
        ("ios",),
    ),
    "no recipientNonce": Fault(
        replies(Forgery(recipient_nonce=None)),
        "recipient-nonce-missing",
        ("certmonger", "sscep", "jscep"),
        ("ios", "strongswan"),
    ),
    "another recipientNonce": Fault(
        replies(Forgery(recipient_nonce=bytes(range(16)))),
        "recipient-nonce-wrong",
        ("certmonger", "jscep"),
        ("ios",),
        ("sscep",),
    ),
    "no messageType": Fault(
        replies(Forgery(message_type=None)),
        "message-type-missing",
        ("ios", "windows", "sscep"),
        ("strongswan",),
    ),
    "the request's messageType": Fault(
        replies(Forgery(message_type="19")),
        "message-type-not-cert-rep",
        ("ios", "sscep", "certmonger"),
        ("strongswan",),
    ),
    "no pkiStatus": Fault(
        replies(Forgery(pki_status=None)), "pki-status-missing", ("ios", "windows", "jscep")
    ),
    "attributes as UTF8String": Fault(
        replies(changed(lambda reply: reply.put(oids.MESSAGE_TYPE, writer.utf8_string("3")))),
        "attribute-type",
        ("ios", "macos", "jscep", "sscep"),
        ("strongswan", "certmonger"),
    ),
    "an attribute that Apple does not look at": Fault(
        replies(changed(lambda reply: reply.put(oids.TRANSACTION_ID, writer.utf8_string(_id(reply))))),
        "attribute-type",
        ("jscep",),
        ("ios",),
    ),
    "no contentType": Fault(
        replies(changed(lambda reply: reply.drop(cms.CONTENT_TYPE))),
        "content-type-attribute-missing",
        ("ios", "jscep"),
        ("windows",),
    ),
    "no attributes of SCEP": Fault(
        replies(changed(lambda reply: reply.attributes.clear())),
        "signed-attributes-missing",
        ("ios", "strongswan"),
    ),
    "a signature algorithm as digest": Fault(
        replies(changed(signature_as_digest)), "digest-is-signature-algorithm", ("ios", "macos")
    ),
    "the signature algorithm with its digest": Fault(
        replies(changed(named_digest)), "signature-algorithm-unusual", ("strongswan",), ("ios", "sscep")
    ),
    "another signer": Fault(
        replies(Forgery(signer=OTHER_CA, key=rsa_key(3))),
        "signer-not-ca",
        ("ios", "macos", "sscep", "strongswan", "certmonger"),
    ),
    "a broken signature": Fault(
        replies(changed(lambda reply: setattr(reply, "signature", bytes(256)))),
        "signature-wrong",
        ("ios", "windows", "cisco"),
    ),
    "OAEP": Fault(
        replies(lambda request: parts(request, transport=OAEP).message()),
        "oaep-reply",
        ("ios", "macos"),
        ("windows",),
    ),
    "an envelope that names another": Fault(
        replies(lambda request: parts(request, whom=_named_like_nobody(request)).message()),
        "recipient-not-signer",
        ("ios", "macos"),
        ("micromdm",),
    ),
    "single DES": Fault(
        replies(Forgery(cipher=DES_CBC)), "des-reply", ("sscep", "certmonger"), ("ios", "jscep")
    ),
    "another cipher than the request's": Fault(
        replies(Forgery(cipher=AES_128_CBC)), "reply-cipher-not-mirrored", ("cisco",), ("ios", "micromdm")
    ),
    "the CA's certificate in front": Fault(
        replies(Forgery(certificates=(CA.der, issue()))),
        "leaf-other-key",
        ("ios", "macos", "micromdm"),
        ("sscep", "strongswan", "jscep"),
    ),
    "the chain behind the certificate": Fault(
        replies(Forgery(certificates=(issue(), CA.der))),
        "reply-not-leaf-alone",
        (),
        ("sscep", "windows"),
        ("ios", "micromdm"),
    ),
    "a certificate for another key": Fault(
        replies(Forgery(certificates=(OTHER.der,))), "leaf-other-key", ("ios", "sscep", "windows", "cisco")
    ),
    "no certificate": Fault(
        replies(Forgery(certificates=())), "success-without-certificate", ("ios", "jscep", "juniper")
    ),
    "no envelope": Fault(replies(Forgery(content=b"")), "envelope-missing", ("ios", "strongswan")),
    "something else than an envelope": Fault(
        replies(Forgery(content=b"0123456789")), "envelope-not-opened", ("windows", "micromdm")
    ),
}


def _id(reply: Parts) -> str:
    ((value,),) = [values for oid, values in reply.attributes if oid == oids.TRANSACTION_ID]
    return value[2:].decode()


def _named_like_nobody(request: Request) -> Certificate:
    """A certificate of the signer's key under another name, as from the CSR's subject in place of it."""
    return self_signed("nobody", DEVICE_KEY)


def asking(persona: Persona, url: str) -> Session:
    """Have it enrol."""
    return enrol(persona, url, subject=SUBJECT, key=DEVICE_KEY, challenge="open sesame")


def stopping(session: Session) -> set[str]:
    """The findings that it stopped at."""
    return {one.finding for one in session.objections if one.refuses}


def check(
    fault: Fault, session: Callable[[Persona, str], Session], goes_on: Callable[[Session], bool]
) -> None:
    """Hold every persona that is named to what it is said to do."""
    names = (*fault.stop, *fault.go_on, *fault.mind)
    with serving(fault.server()) as server:
        sessions = {name: session(PERSONAS[name], server.url) for name in names}
    for name, told in sessions.items():
        found = {one.finding for one in told.objections}
        if name in fault.stop:
            assert fault.finding in stopping(told), (name, told)
            assert not goes_on(told), name
            assert PERSONAS[name].title in told.outcome
        else:
            assert not stopping(told), (name, told)
            assert goes_on(told), (name, told)
            assert (fault.finding in found) == (name in fault.mind), (name, told)
        assert all(one.detail.isprintable() for one in told.objections)


@pytest.mark.parametrize("name", SEEN)
def test_who_stops_before_anything_is_sent(name: str) -> None:
    """What iOS cannot read another client takes, and the other way round."""
    check(SEEN[name], look, lambda session: session.outcome.startswith("it would go on"))


@pytest.mark.parametrize("name", ANSWERED)
def test_who_takes_the_reply_and_who_does_not(name: str) -> None:
    """A certificate that was issued and refused by the device is the fault that nobody finds."""
    check(ANSWERED[name], asking, lambda session: session.certificate == issue())
