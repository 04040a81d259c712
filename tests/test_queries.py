"""GetCert and GetCRL (RFC 8894 3.3.4, 4.5, 4.6): who asks for what, and what comes back."""

import subprocess
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from app.queries import QueryCounter
from ca.algorithms.ciphers import DES_EDE3_CBC
from ca.algorithms.digests import SHA1
from ca.asn1 import read, tags, writer
from ca.deviations import Deviations
from ca.errors import FailInfo, InvalidReply
from ca.issuing.key_store import encode_private_key
from ca.issuing.reasons import Reason
from ca.ports import Peer, StoredCertificate
from ca.scep import codec
from ca.scep.codec.queries import decode_issuer_and_serial_number
from ca.scep.messages import (
    CrlSuccess,
    Failure,
    IssuerAndSerialNumber,
    MessageType,
    Outcome,
    Pending,
    Success,
    Transaction,
)
from ca.x509.certificate import Certificate
from ca.x509.extensions import KeyUsageBit
from ca.x509.name import Name
from tests.conformance.marks import cases
from tests.forging_csr import attributes_of, install, seal, signed
from tests.test_revocation import do_revoke, issue, kept
from tests.test_unit_ca_material import ca_certificate
from tests.world import NONCE, Device, World, captured_log, rsa_key

pytestmark = pytest.mark.databases

GET_CERT, GET_CRL = MessageType.GET_CERT, MessageType.GET_CRL
NOT_FOUND = Failure(FailInfo.BAD_CERT_ID, "no such certificate is known here, or the query cannot be read")
HUGE = int.from_bytes(b"\x7f" * 1000, "big")


@pytest.fixture
def one(world: World) -> StoredCertificate:
    """A certificate that was issued."""
    return issue(world)


def names(world: World, serial: str | int, issuer: bytes | None = None) -> bytes:
    number = serial if isinstance(serial, int) else int(serial, 16)
    return codec.encode_issuer_and_serial_number(issuer or world.ca.subject_der, number)


def ask(
    world: World,
    payload: bytes,
    message_type: MessageType = GET_CERT,
    device: Device | None = None,
    *,
    named: IssuerAndSerialNumber | None = None,
    transaction_id: str = "SSCEP transactionId",
) -> Outcome:
    """Send a query, and read the reply with all checks of a client."""
    device = device or Device()
    message = device.message(world.ca, payload, message_type=message_type, transaction_id=transaction_id)
    reply = world.respond(message)
    transaction = Transaction(transaction_id, NONCE)
    if message_type is GET_CRL:
        expected = codec.Expectation(transaction, (world.ca,))
        return codec.decode_crl_rep(reply, expected, device.certificate(), device.key, Deviations())
    named = named or decode_issuer_and_serial_number(payload, Deviations())
    expected = codec.Expectation(transaction, (world.ca,), named=named)
    return codec.decode_cert_rep(reply, expected, device.certificate(), device.key, Deviations())


@pytest.mark.proves("R-2.6-a", "R-3.3.2.1-b", "R-3.3.4-a", "R-4.5-a")
def test_get_cert_gives_the_certificate(world: World, one: StoredCertificate) -> None:
    """By issuer and serial number, alone in the reply (R-2.6-a, R-3.3.2.1-b)."""
    assert ask(world, names(world, one.serial)) == Success(one.der)


@pytest.mark.proves("R-2.7-b", "R-3.3.2.1-c", "R-3.3.4-a", "R-4.6-a")
def test_get_crl_gives_the_crl_and_no_certificates(world: World, one: StoredCertificate) -> None:
    """In crls [1] of the degenerate SignedData, the newest (R-2.7-b, R-3.3.2.1-c, R-3.4-a, R-4.6-a)."""
    do_revoke(world, one.serial)

    assert ask(world, names(world, one.serial), GET_CRL) == CrlSuccess(kept(world).der)


@pytest.mark.proves("R-3.2.1.1-c")
@pytest.mark.parametrize("message_type", [GET_CERT, GET_CRL])
def test_one_transaction_id_serves_for_all(
    world: World, one: StoredCertificate, message_type: MessageType
) -> None:
    """Sscep sends ``SSCEP transactionId`` whatever it asks (R-3.2.1.1-c)."""
    for _ in range(2):
        assert not isinstance(ask(world, names(world, one.serial), message_type), Failure)


@pytest.mark.proves("R-2.7-b", "R-3.4-a", "L-20")
def test_the_crl_of_a_reply_is_openssls(world: World, one: StoredCertificate, tmp_path: Path) -> None:
    """Decrypted and taken apart by a program that shares no code with us (R-3.4-a)."""
    device = Device()
    reply = world.respond(device.message(world.ca, names(world, one.serial), message_type=GET_CRL))
    (tmp_path / "reply.der").write_bytes(codec.load(reply, Deviations()).data)
    (tmp_path / "key.pem").write_bytes(encode_private_key(device.key))
    (tmp_path / "ca.pem").write_bytes(
        x509.load_der_x509_certificate(world.ca.der).public_bytes(serialization.Encoding.PEM)
    )
    steps = (
        "openssl cms -decrypt -inform DER -binary -in reply.der -inkey key.pem -out inner.der",
        "openssl pkcs7 -inform DER -in inner.der -print_certs -out inner.pem",
        "openssl crl -in inner.pem -CAfile ca.pem -noout",
    )

    done = [
        subprocess.run(step.split(), cwd=tmp_path, capture_output=True, text=True, check=False)
        for step in steps
    ]

    assert [step.returncode for step in done] == [0, 0, 0], [step.stderr for step in done]
    assert "verify OK" in done[2].stderr
    inner = read((tmp_path / "inner.der").read_bytes(), "", Deviations()).sequence()[1].only_child()
    parts = inner.sequence()
    assert [part.tag for part in parts] == [0x02, 0x31, 0x30, tags.CONTEXT_1_CONSTRUCTED, 0x31]
    assert (parts[1].content, parts[4].content) == (b"", b"")
    assert len(parts[2].sequence()) == 1


def _foreign(_: World) -> bytes:
    return Name.from_text("CN=Some Other CA").der


NOTHING: dict[str, Callable[[World, StoredCertificate], bytes]] = {
    "N-083 an unknown serial": lambda world, _: names(world, "1234567890abcdef1234567890abcdef"),
    "N-084 a foreign issuer": lambda world, one: names(world, one.serial, _foreign(world)),
    "N-087 serial 0": lambda world, _: names(world, 0),
    "N-087 a negative serial": lambda world, one: names(world, -int(one.serial, 16)),
    "N-087 a huge serial": lambda world, _: names(world, HUGE),
    "N-087 a non-minimal unknown serial": lambda world, _: writer.sequence(
        world.ca.subject_der, b"\x02\x03\x00\x00\x05"
    ),
    "N-087 no INTEGER": lambda world, _: writer.sequence(world.ca.subject_der, b"\x04\x01\x05"),
    "no Name": lambda *_: writer.sequence(b"\x04\x01\x05", writer.integer(5)),
    "three parts": lambda world, _: writer.sequence(world.ca.subject_der, *[writer.integer(5)] * 2),
    "no ASN.1": lambda *_: b"\xff\xff\xff",
}


@pytest.mark.proves("R-3.3.4-a", "R-4.5-a")
@pytest.mark.parametrize("payload", cases(NOTHING))
def test_what_is_not_there_is_bad_cert_id(
    world: World, one: StoredCertificate, payload: Callable[[World, StoredCertificate], bytes]
) -> None:
    """RFC 8894 3.2.1.4, in the same words whatever it was (D-6)."""
    nowhere = IssuerAndSerialNumber(world.ca.subject, 1)

    assert ask(world, payload(world, one), named=nowhere) == NOT_FOUND


@pytest.mark.proves("R-2.6-a")
def test_an_issuer_that_is_spelt_otherwise_is_ours(world: World, one: StoredCertificate) -> None:
    """RFC 5280 7.1: case and string types do not count; the certificate has the right bytes (R-2.6-a)."""
    spelt = Name.from_text("CN=test  ca").der
    assert spelt != world.ca.subject_der

    named = IssuerAndSerialNumber(world.ca.subject, int(one.serial, 16))
    assert ask(world, names(world, one.serial, spelt), named=named) == Success(one.der)


@pytest.mark.proves("N-085")
@pytest.mark.parametrize("payload", ["foreign issuer", "no ASN.1"])
def test_a_crl_of_another_issuer_is_bad_cert_id(world: World, one: StoredCertificate, payload: str) -> None:
    """RFC 8894 4.6: this CA has no CRL but its own (N-085)."""
    asked = names(world, one.serial, _foreign(world)) if payload == "foreign issuer" else b"\xff"

    assert ask(world, asked, GET_CRL) == NOT_FOUND


@pytest.mark.parametrize("message_type", [GET_CERT, GET_CRL])
def test_an_envelope_that_does_not_open_is_answered_alike(
    world: World, device: Device, message_type: MessageType
) -> None:
    """RFC 3218: a captured envelope, altered and sent anew, tells nothing about what is in it."""
    envelope = seal(names(world, 5, _foreign(world)), world.ca)
    bent = replace(envelope, octets=envelope.octets[:-1] + bytes((envelope.octets[-1] ^ 1,)))

    replies = [
        attributes_of(world.respond(signed(device, one.der(), message_type))) for one in (envelope, bent)
    ]

    assert replies[0] == replies[1]


def test_a_revoked_certificate_is_not_handed_out(world: World, one: StoredCertificate) -> None:
    """Who fetches a certificate means to use it; nobody accepts this one any more."""
    do_revoke(world, one.serial, Reason.certificateHold)
    assert ask(world, names(world, one.serial)) == Failure(FailInfo.BAD_CERT_ID, "the certificate is revoked")

    do_revoke(world, one.serial, Reason.removeFromCRL)
    assert ask(world, names(world, one.serial)) == Success(one.der)


def test_an_expired_certificate_is(world: World, one: StoredCertificate) -> None:
    """Its own dates say so, and what was encrypted to it may still have to be read."""
    world.now = one.not_after + timedelta(days=1)

    assert ask(world, names(world, one.serial)) == Success(one.der)


def test_a_certificate_of_an_earlier_ca_is_not(world: World, one: StoredCertificate) -> None:
    """The name is the same, the key is another."""
    install(world, ca_certificate(rsa_key(2), "Test CA", subject="Test CA"), rsa_key(2))

    assert ask(world, names(world, one.serial)) == NOT_FOUND


def test_anybody_may_ask_who_can_read_the_answer(world: World, one: StoredCertificate) -> None:
    """Certificates and CRLs are public, and serial numbers cannot be guessed (A-32)."""
    stranger = Device("stranger", rsa_key(3))
    itself = Device(signer=Certificate.load(one.der))

    assert ask(world, names(world, one.serial), device=stranger) == Success(one.der)
    assert ask(world, names(world, one.serial), device=itself) == Success(one.der)


def test_the_algorithms_of_old_clients_are_mirrored(world: World, one: StoredCertificate) -> None:
    """Sscep asks with 3DES and SHA-1 where nobody tells it otherwise."""
    device = Device(digest=SHA1, cipher=DES_EDE3_CBC)

    assert ask(world, names(world, one.serial), device=device) == Success(one.der)


@pytest.mark.proves("N-086")
@pytest.mark.parametrize("message_type", [GET_CERT, GET_CRL])
def test_queries_can_be_switched_off(world: World, one: StoredCertificate, message_type: MessageType) -> None:
    """RFC 8894 7.8; the words say where the CRL is (N-086)."""
    world.profile = replace(world.profile, queries=False)

    outcome = ask(world, names(world, one.serial), message_type)

    assert isinstance(outcome, Failure)
    assert outcome.fail_info is FailInfo.BAD_REQUEST
    assert "not offered here; the CRL is at /crl" in outcome.text


def test_the_chain_comes_along_where_the_profile_says_so(world: World, one: StoredCertificate) -> None:
    """The same as for an enrolment."""
    world.profile = replace(world.profile, chain_in_reply=True)

    assert ask(world, names(world, one.serial)) == Success(one.der, (world.ca.der,))


def test_a_ca_without_crl_sign_has_no_crl_to_give(world: World) -> None:
    """RFC 5280 4.2.1.3."""
    install(world, ca_certificate(rsa_key(0), usage={KeyUsageBit.keyCertSign}), rsa_key(0))

    assert ask(world, names(world, 5), GET_CRL) == NOT_FOUND


def test_queries_stand_in_the_log(world: World, one: StoredCertificate) -> None:
    """One line each; what was answered is kept nowhere else (S-11)."""
    with captured_log("ca.responder") as lines:
        ask(world, names(world, one.serial))
        ask(world, names(world, one.serial), GET_CRL)
        ask(world, names(world, 5), named=IssuerAndSerialNumber(world.ca.subject, 5))

    assert lines[0].startswith("message=GetCert outcome=answered profile=default")
    assert f"serial={one.serial}" in lines[0]
    assert lines[1].startswith("message=GetCRL outcome=answered")
    assert lines[2].startswith("message=GetCert outcome=refused fail_info=badCertId")


def _reply(world: World, outcome: Outcome) -> bytes:
    device = Device()
    return codec.encode_cert_rep(
        outcome,
        Transaction("t1", NONCE),
        world.ca,
        world.key,
        recipient=device.certificate(),
        digest=device.digest,
        cipher=device.cipher,
    )


@pytest.mark.parametrize("outcome", ["pending", "a certificate", "nothing for us"])
def test_a_client_believes_no_other_answer(world: World, one: StoredCertificate, outcome: str) -> None:
    """RFC 8894 4.5, 4.6: SUCCESS or FAILURE, and what was asked for (R-4.5-a, R-3.3.2.1-d)."""
    device = Device()
    answers: dict[str, Outcome] = {
        "pending": Pending(),
        "a certificate": Success(one.der),
        "nothing for us": CrlSuccess(kept(world).der),
    }
    expected = codec.Expectation(
        Transaction("t1", NONCE), (world.ca,), named=IssuerAndSerialNumber(world.ca.subject, 5)
    )
    reply = _reply(world, answers[outcome])

    with pytest.raises(InvalidReply):
        codec.decode_cert_rep(reply, expected, device.certificate(), device.key, Deviations())
    if outcome != "nothing for us":
        with pytest.raises(InvalidReply):
            codec.decode_crl_rep(reply, expected, device.certificate(), device.key, Deviations())


@pytest.mark.proves("S-11")
def test_one_source_cannot_ask_for_ever(world: World, one: StoredCertificate) -> None:
    """RFC 8894 7.8: each costs two RSA operations; who asks from elsewhere is answered meanwhile."""
    world.responder = replace(world.responder, queries=QueryCounter(3))
    for message_type in (GET_CERT, GET_CRL, GET_CERT):
        assert not isinstance(ask(world, names(world, one.serial), message_type), Failure)

    for message_type in (GET_CERT, GET_CRL):
        refused = ask(world, names(world, one.serial), message_type)
        assert refused == Failure(
            FailInfo.BAD_REQUEST, "too many queries from this address; the CRL is at /crl"
        )

    payload, transaction = names(world, one.serial), Transaction("elsewhere", NONCE)
    device, kept_before = Device(), world.audited()
    message = device.message(world.ca, payload, message_type=GET_CRL, transaction_id="elsewhere")
    reply = world.responder.respond(message, world.profile, Peer("192.0.2.8", ""), Deviations())
    expected = codec.Expectation(transaction, (world.ca,))
    answer = codec.decode_crl_rep(reply, expected, device.certificate(), device.key, Deviations())
    assert answer == CrlSuccess(kept(world).der)
    assert world.audited() == kept_before
