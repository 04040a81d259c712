"""Messages and signer certificates that only some devices send, through the whole road."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from ca.algorithms.ciphers import AES_128_CBC
from ca.algorithms.digests import SHA256
from ca.algorithms.keys import RSA_ENCRYPTION
from ca.algorithms.levels import CryptoLevel
from ca.algorithms.signatures import certificate_identifier, sign
from ca.asn1 import Asn1Error, read, tags, writer
from ca.deviations import Deviation, DeviationKind, Deviations
from ca.errors import FailInfo, InvalidReply, MalformedMessage
from ca.pkcs7 import encrypt
from ca.pkcs7 import oids as cms
from ca.ports import StoredCertificate
from ca.scep import codec, oids
from ca.scep.messages import Failure, MessageType, Success, Transaction
from ca.x509 import oids as x509_oids
from ca.x509.certificate import Certificate
from ca.x509.extensions import Extension
from ca.x509.request import UnprovenRequest
from tests.forging import Forgery, Reply
from tests.forging_csr import ask, by_name, issue, key_trans, seal, subject, wrap
from tests.world import NONCE, NOW, Device, World, certificate_of, name, rsa_key, spki

VERSION_3 = writer.explicit(0, writer.integer(2))
VALIDITY = (writer.time(datetime(2026, 1, 1, tzinfo=UTC)), writer.time(datetime(2027, 1, 1, tzinfo=UTC)))
AKI = writer.sequence(writer.encode(tags.CONTEXT_0, bytes(20)))


def signer(
    *rest: bytes,
    version: bytes = VERSION_3,
    serial: int | bytes = 7,
    validity: tuple[bytes, ...] = VALIDITY,
) -> Certificate:
    """A self-signed certificate of device key 1, put together as devices do and no library would."""
    key = rsa_key(1)
    algorithm = certificate_identifier(key, SHA256)
    tbs = writer.sequence(
        version,
        serial if isinstance(serial, bytes) else writer.integer(serial),
        algorithm,
        subject(),
        writer.sequence(*validity),
        subject(),
        spki(key),
        *rest,
    )
    return Certificate.load(writer.sequence(tbs, algorithm, writer.bit_string(sign(key, tbs, SHA256))))


def extensions(*encoded: bytes) -> bytes:
    return writer.explicit(3, writer.sequence(*encoded))


def enrol(world: World, signer: Certificate) -> list[str]:
    """Enrol with that signer certificate, and tell which deviations were kept."""
    return [one.kind for one in kept(world, Forgery(Device(signer=signer), world.ca).message())]


def kept(world: World, message: bytes) -> list[Deviation]:
    """The deviations of a message that ends in a certificate."""
    deviations = Deviations()

    assert Reply.read(world.respond(message, deviations), world.ca).status == "0"

    return list(deviations)


def test_an_ordinary_signer_certificate_is_not_odd(world: World) -> None:
    """Without this, what is kept below would prove nothing."""
    assert enrol(world, signer()) == []


@pytest.mark.parametrize(
    ("odd", "kind"),
    [
        (signer(version=b""), DeviationKind.SIGNER_X509_VERSION),
        (signer(serial=1 << 255), DeviationKind.SIGNER_SERIAL_NUMBER),
        (signer(serial=0), DeviationKind.SIGNER_SERIAL_NUMBER),
        (signer(serial=-5), DeviationKind.SIGNER_SERIAL_NUMBER),
        (
            signer(extensions(Extension(x509_oids.AUTHORITY_KEY_IDENTIFIER, True, AKI).encode())),
            DeviationKind.SIGNER_CRITICAL_AKI,
        ),
        (
            signer(validity=(writer.encode(tags.UTC_TIME, b"never"), VALIDITY[1])),
            DeviationKind.SIGNER_VALIDITY,
        ),
    ],
    ids=["X.509 v1", "a serial of 33 octets", "serial 0", "a negative serial", "critical AKI", "no time"],
)
def test_an_odd_signer_certificate_enrols(world: World, odd: Certificate, kind: DeviationKind) -> None:
    """RFC 8894 2.3: it carries a key and no trust; certmonger, sscep and Windows write such ones."""
    assert enrol(world, odd) == [kind]


@pytest.mark.parametrize("serial", [(1 << 159) - 1, 1 << 151])
def test_a_serial_of_twenty_octets_is_not_odd(world: World, serial: int) -> None:
    """RFC 5280 4.1.2.2: twenty octets are what everybody must read."""
    assert enrol(world, signer(serial=serial)) == []


@pytest.mark.parametrize(
    ("length", "octets", "kinds"),
    [
        (b"\x81\x14", 20, [DeviationKind.NON_MINIMAL_LENGTH]),
        (b"\x84\0\0\0\x14", 20, [DeviationKind.NON_MINIMAL_LENGTH]),
        (b"\x15", 21, [DeviationKind.SIGNER_SERIAL_NUMBER]),
        (b"\x81\xc8", 200, [DeviationKind.SIGNER_SERIAL_NUMBER]),
    ],
)
def test_a_serial_is_judged_by_its_content_octets(
    world: World, length: bytes, octets: int, kinds: list[DeviationKind]
) -> None:
    """RFC 5280 4.1.2.2: how its length is written is another matter, and told as such."""
    odd = signer(serial=b"\x02" + length + b"\x11" * octets)

    deviations = kept(world, Forgery(Device(signer=odd), world.ca).message())

    assert {one.kind for one in deviations} >= set(kinds)
    details = [one.detail for one in deviations if one.kind is DeviationKind.SIGNER_SERIAL_NUMBER]
    assert details == ([f"{octets} octets"] if octets > 20 else [])


@pytest.mark.parametrize(
    "rest",
    [
        (writer.encode(tags.CONTEXT_1, b"\0\1"),),
        (writer.encode(0x82, b"\0\1"), extensions(Extension("1.2.3", False, b"").encode())),
        (extensions(writer.NULL),),
    ],
    ids=["issuerUniqueID", "subjectUniqueID and extensions", "extensions that cannot be read"],
)
def test_what_stands_behind_the_key_of_a_signer_does_not_matter(
    world: World, rest: tuple[bytes, ...]
) -> None:
    """RFC 5280 4.1.2.8: unique identifiers must be read; nobody asks a self-signed for extensions."""
    assert enrol(world, signer(*rest)) == []


def test_a_certificate_without_a_key_is_none() -> None:
    """RFC 5280 4.1: six fields behind the version."""
    body = (writer.integer(1), writer.sequence(), subject(), writer.sequence(*VALIDITY), subject())
    tbs = writer.sequence(VERSION_3, *body)

    with pytest.raises(Asn1Error, match="too few parts"):
        Certificate.load(writer.sequence(tbs, writer.sequence(), writer.bit_string(b"")))


BARE_RSA = writer.sequence(writer.oid(RSA_ENCRYPTION))


def _bare_signature_algorithm(world: World) -> bytes:
    forgery = Forgery(Device(), world.ca)
    forgery.signature_algorithm = BARE_RSA
    return forgery.message()


def _bare_signature_algorithm_with_a_digest(world: World) -> bytes:
    forgery = Forgery(Device(), world.ca)
    forgery.signature_algorithm = writer.sequence(writer.oid("1.2.840.113549.1.1.11"))
    return forgery.message()


def _bare_key_transport(world: World) -> bytes:
    content_key = bytes(16)
    sealed = replace(
        seal(Device().csr(), world.ca),
        recipients=(key_trans(by_name(world.ca), wrap(world.ca, content_key), BARE_RSA),),
        octets=AES_128_CBC.encrypt(content_key, bytes(range(16)), Device().csr()),
    )
    return Forgery(Device(), world.ca, sealed.der()).message()


def _bare_csr_algorithm(world: World) -> bytes:
    info, algorithm, signature = read(Device().csr(), "test", Deviations()).sequence(3, 3)
    bare = writer.sequence(algorithm.children()[0].raw)
    request = writer.sequence(info.raw, bare, signature.raw)
    return Forgery(Device(), world.ca, encrypt([world.ca], request)).message()


@pytest.mark.proves("C-16")
@pytest.mark.parametrize(
    ("build", "place"),
    [
        (_bare_signature_algorithm, "pkiMessage.signatureAlgorithm"),
        (_bare_signature_algorithm_with_a_digest, "pkiMessage.signatureAlgorithm"),
        (_bare_key_transport, "pkcsPKIEnvelope.keyEncryptionAlgorithm"),
        (_bare_csr_algorithm, "csr.signatureAlgorithm"),
    ],
)
def test_an_rsa_algorithm_without_its_null_is_read_and_kept(
    world: World, build: Callable[[World], bytes], place: str
) -> None:
    """RFC 3370 3.2, 4.2.1: the parameters are NULL; scepclient and other clients in Go leave them out."""
    assert kept(world, build(world)) == [Deviation(DeviationKind.ABSENT_PARAMETERS, place)]


@pytest.mark.proves("C-16")
def test_a_digest_algorithm_without_parameters_is_as_it_should_be(world: World) -> None:
    """RFC 5754 2: absent is what is to be written, NULL what is to be read as well."""
    forgery = Forgery(Device(), world.ca)
    forgery.digest_algorithm = writer.sequence(writer.oid(SHA256.oid))

    assert kept(world, forgery.message()) == []


def _generalized(text: bytes) -> bytes:
    return writer.encode(tags.GENERALIZED_TIME, text)


@pytest.mark.proves("N-050", "R-3.2.1.4-e")
@pytest.mark.parametrize(
    ("values", "detail"),
    [
        ((writer.time(NOW - timedelta(hours=2)),), "2026-06-01 10:00 UTC"),
        ((writer.time(NOW + timedelta(days=9)),), "2026-06-10 12:00 UTC"),
        ((_generalized(b"20510601120000Z"),), "2051-06-01 12:00 UTC"),
        ((_generalized(b"20260601120000Z"),), "form"),
        ((writer.encode(tags.UTC_TIME, b"2606011200Z"),), "form"),
        ((writer.encode(tags.UTC_TIME, b"never"),), "bad time: not of the form"),
        ((writer.NULL,), "tag 0x05 where"),
        ((writer.time(NOW), writer.time(NOW + timedelta(days=9))), "2 values"),
        ((), "0 values"),
    ],
)
def test_an_odd_signing_time_is_kept_and_refuses_nothing(
    world: World, values: tuple[bytes, ...], detail: str
) -> None:
    """RFC 5652 11.3, RFC 8894 3.2.1.4: devices come without a clock, and their owner should know."""
    message = Forgery(Device(), world.ca).put(cms.SIGNING_TIME, *values).message()

    (deviation,) = kept(world, message)

    assert (deviation.kind, deviation.place) == (DeviationKind.SIGNING_TIME, "pkiMessage.signedAttrs")
    assert deviation.detail.startswith(detail)


@pytest.mark.parametrize("off", [timedelta(), timedelta(minutes=50), timedelta(minutes=-50)])
def test_a_signing_time_of_about_now_is_not_odd(world: World, off: timedelta) -> None:
    """RFC 8894 3.2.1.4: close enough is left to us; an hour is more than any clock that is kept."""
    message = Forgery(Device(), world.ca).put(cms.SIGNING_TIME, writer.time(NOW + off)).message()

    assert kept(world, message) == []


def poll(world: World, device: Device, transaction_id: str = "t1") -> object:
    inside = writer.sequence(world.ca.subject_der, subject())
    return ask(world, device, inside, MessageType.CERT_POLL, transaction_id)


@pytest.mark.proves("R-5.2-b")
def test_a_poll_for_an_answered_transaction_gets_the_same_certificate(world: World, device: Device) -> None:
    """RFC 8894 3.3.3: the reply with the certificate was lost, and the device asks with CertPoll."""
    enrolled = world.enrol(device)

    assert isinstance(enrolled, Success)
    assert poll(world, device) == enrolled
    assert len(world.issued()) == 1


@pytest.mark.proves("N-077", "N-078", "R-4.4-b", "L-16")
@pytest.mark.parametrize(
    ("polling", "transaction_id"),
    [(Device(), "t2"), (Device("ipad-17", rsa_key(2)), "t1")],
    ids=["another transactionID", "another key"],
)
def test_a_poll_for_another_transaction_is_a_bad_cert_id(
    world: World, device: Device, polling: Device, transaction_id: str
) -> None:
    """RFC 8894 3.2.1.4, 3.3.3: no such transaction, and a transactionID is its signer's own."""
    certificate_of(world.enrol(device))

    outcome = poll(world, polling, transaction_id)

    assert isinstance(outcome, Failure)
    assert outcome.fail_info is FailInfo.BAD_CERT_ID
    assert outcome == poll(world, Device(), "never heard of")


def test_a_message_type_as_a_number_is_read(world: World, device: Device) -> None:
    """RFC 8894 3.2.1.2: a PrintableString; devices exist that send an INTEGER."""
    deviations = Deviations()
    message = Forgery(device, world.ca).put(oids.MESSAGE_TYPE, writer.integer(19)).message()

    certificate_of(device.read(world.respond(message, deviations), world.ca))

    assert deviations.kinds() == [DeviationKind.ATTRIBUTE_TYPE]


@pytest.mark.proves("R-3.2.1.2-b")
@pytest.mark.parametrize("number", [-1, 1 << 31, 1 << 4096, 4])
def test_a_number_that_is_no_message_type_is_refused(world: World, device: Device, number: int) -> None:
    """RFC 8894 3.2.1.2; and a number of thousands of digits is not even written down."""
    message = Forgery(device, world.ca).put(oids.MESSAGE_TYPE, writer.integer(number)).message()

    outcome = device.read(world.respond(message), world.ca)

    assert isinstance(outcome, Failure)
    assert outcome.fail_info is FailInfo.BAD_REQUEST
    assert world.issued() == []


@pytest.mark.parametrize("number", [-1, 1 << 31])
def test_a_number_that_is_no_transaction_id_cannot_be_answered(
    world: World, device: Device, number: int
) -> None:
    """RFC 8894 3.2.1.1: there is nothing to echo, so there is no CertRep."""
    message = Forgery(device, world.ca).put(oids.TRANSACTION_ID, writer.integer(number)).message()

    with pytest.raises(MalformedMessage, match="out of range"):
        world.respond(message)


def test_a_success_for_nobody_is_never_sent(world: World) -> None:
    """RFC 8894 3.3.2.1: a certificate goes out encrypted to the signer, or not at all."""
    with pytest.raises(ValueError, match="encrypt to"):
        codec.encode_cert_rep(
            Success(world.ca.der),
            Transaction("t1", NONCE),
            world.ca,
            world.key,
            recipient=None,
            digest=SHA256,
            cipher=AES_128_CBC,
        )


@pytest.mark.proves("R-3.2-a")
def test_a_success_of_another_content_type_is_not_believed(world: World, device: Device) -> None:
    """RFC 8894 3.2: the eContentType is id-data, in a reply as in a request."""
    answered = Device(key=world.key, signer=world.ca)
    reply = Forgery(answered, device.certificate(), b"", content_type=cms.ENVELOPED_DATA)
    reply.put(oids.MESSAGE_TYPE, writer.printable_string("3"))
    reply.put(oids.PKI_STATUS, writer.printable_string("0"))
    reply.put(oids.RECIPIENT_NONCE, writer.octet_string(NONCE))

    with pytest.raises(InvalidReply, match="id-data"):
        device.read(reply.message(), world.ca)


@pytest.mark.proves("P-02")
def test_a_request_without_attributes_is_read_and_asks_for_nothing() -> None:
    """RFC 2986 4.1: the field is not optional, though it may be empty; old tools leave it out."""
    key, deviations = rsa_key(1), Deviations()
    info = writer.sequence(writer.integer(0), subject(), spki(key))
    signature = writer.bit_string(sign(key, info, SHA256))
    unproven = UnprovenRequest(
        writer.sequence(info, certificate_identifier(key, SHA256), signature), deviations
    )

    assert unproven.is_proven()
    request = unproven.read(CryptoLevel.MODERN, deviations)

    assert (str(request.subject), request.challenge_password, request.extensions) == ("CN=ipad-17", None, ())
    assert deviations.kinds() == [DeviationKind.CSR_ATTRIBUTES_MISSING]


def test_a_certificate_that_our_key_did_not_sign_renews_nothing(world: World) -> None:
    """RFC 8894 2.3: the store says who has a certificate, and OpenSSL whether it is one of ours.

    A store taken over from another CA of the same name holds such certificates.
    """
    key = rsa_key(1)
    foreign = issue(name("Test CA"), rsa_key(5), "ipad-17", key)
    stored = StoredCertificate(
        serial=f"{foreign.serial_number:x}",
        der=foreign.der,
        subject="CN=ipad-17",
        subject_alt_names=(),
        profile="default",
        not_before=foreign.not_valid_before,
        not_after=NOW,
        transaction_id="t0",
    )
    world.store.transact(lambda repository: repository.add_certificate(stored))
    device = Device(key=key, signer=foreign)

    outcome = ask(world, device, device.csr(None), MessageType.RENEWAL_REQ)

    assert isinstance(outcome, Failure)
    assert outcome.fail_info is FailInfo.BAD_REQUEST
    assert "does not verify" in outcome.text
