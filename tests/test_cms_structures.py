"""Structures that are no pkiMessage, encodings without end or sense, and the ones that are only loose."""

import json
import logging
import re
import time

import pytest

from ca.asn1 import writer
from ca.deviations import DeviationKind, Deviations
from ca.pkcs7 import degenerate, encrypt
from ca.pkcs7 import oids as cms
from ca.pkcs7.content_info import content_info
from ca.scep import oids
from tests.forging import Forgery, Reply, loosen, post
from tests.test_cms_refusals import BAD_REQUEST, accepted, refused, rejected
from tests.world import NONCE, Device, World

DEEP = 10_000
AT_ONCE = 0.1


@pytest.mark.proves("N-037", "N-038")
@pytest.mark.parametrize("kind", ["enveloped", "data", "authenticated", "digested", "certificate", "bundle"])
def test_another_structure_than_signed_data_is_a_400(world: World, device: Device, kind: str) -> None:
    """RFC 8894 3.2: a pkiMessage is a SignedData with a signer. N-037, N-038."""
    envelope = encrypt([world.ca], device.csr())
    structures = {
        "enveloped": envelope,
        "data": content_info(cms.DATA, writer.octet_string(envelope)),
        "authenticated": content_info(cms.AUTH_ENVELOPED_DATA, writer.sequence(writer.integer(0))),
        "digested": content_info("1.2.840.113549.1.7.5", writer.sequence(writer.integer(0))),
        "certificate": device.certificate().der,
        "bundle": degenerate([device.certificate().der]),
    }

    rejected(world, structures[kind])


@pytest.mark.proves("N-038")
def test_no_signer_is_a_400(world: World, device: Device) -> None:
    """RFC 8894 3.2: who did not sign cannot be answered. N-038."""
    rejected(world, Forgery(device, world.ca).around(()))


@pytest.mark.proves("N-039")
@pytest.mark.parametrize("second", ["broken", "other transaction", "twice the same"])
@pytest.mark.parametrize("first", [True, False])
def test_two_signers_are_a_400(world: World, device: Device, second: str, first: bool) -> None:
    """RFC 8894 3.2: with two, which transaction is it that is answered? N-039."""
    good = Forgery(device, world.ca)
    other = Forgery(device, world.ca, good.content, transaction_id="t2" if second.startswith("o") else "t1")
    if second == "broken":
        other.signature = bytes(256)
    signers = [good.signer_info(), other.signer_info()]

    rejected(world, good.message(*(signers if first else reversed(signers))))


@pytest.mark.proves("N-113", "C-18", "R-3.2-c")
def test_signed_attributes_cannot_be_replayed_as_content(world: World, device: Device) -> None:
    """RFC 5652 11.1 NOTE: a captured signature over attributes is one over the same bytes. N-113."""
    captured = Forgery(device, world.ca)
    forgery = Forgery(device, world.ca, captured.signed_octets())
    forgery.attributes = []
    forgery.signature = captured.sign()

    rejected(world, forgery.message())


@pytest.mark.proves("N-099")
@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"\x30\x80" * DEEP, id="indefinite, open"),
        pytest.param(b"\x30\x80" * DEEP + b"\0\0" * DEEP, id="indefinite, closed"),
        pytest.param(b"\x30\x84\x00\x00\xff\xff" * DEEP, id="too long"),
        pytest.param(b"\x24\x80" * DEEP + b"\0\0" * DEEP, id="constructed string"),
    ],
)
def test_deep_nesting_is_a_400_at_once(world: World, body: bytes) -> None:
    """A reader that recurses without bound is stopped by a few octets. N-099."""
    assert min(seconds_to_reject(world, body) for _ in range(3)) < AT_ONCE


@pytest.mark.proves("N-099")
def test_deep_definite_nesting_is_a_400_at_once(world: World) -> None:
    """Depth costs octets with definite lengths too, and is bounded alike. N-099."""
    body = b""
    for _ in range(DEEP):
        body = writer.encode(0x30, body)
    message = content_info(cms.SIGNED_DATA, body)

    assert min(seconds_to_reject(world, message) for _ in range(3)) < AT_ONCE


@pytest.mark.proves("N-099")
def test_deep_nesting_inside_a_signed_message_is_a_refusal(world: World, device: Device) -> None:
    """The envelope comes from the same stranger as the layer around it. N-099."""
    refused(world, Forgery(device, world.ca, b"\x30\x80" * DEEP).message(), BAD_REQUEST)


@pytest.mark.proves("N-100")
@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"\x30\x84\xff\xff\xff\xff", id="4 GiB"),
        pytest.param(b"\x30\x85\xff\xff\xff\xff\xff", id="length of 5 octets"),
        pytest.param(b"\x30\xff" + b"\xff" * 127, id="reserved length"),
        pytest.param(b"\x30\x84\xff\xff", id="length cut off"),
        pytest.param(b"\x30\x80\x06\x01\x2a", id="indefinite without end"),
        pytest.param(b"\x04\x80\x00\x00", id="indefinite primitive"),
        pytest.param(b"\x30\x10\x06\x01\x2a", id="past the end"),
        pytest.param(b"\x1f\xff\xff\xff\x7f\x00", id="long tag"),
        pytest.param(b"\x3f\x81\x00\x00", id="long tag, constructed"),
        pytest.param(b"\x30", id="one octet"),
        pytest.param(b"\x00\x00", id="end of contents alone"),
        pytest.param(b"\x30\x00", id="empty SEQUENCE"),
    ],
)
def test_an_encoding_without_sense_is_a_400(world: World, body: bytes) -> None:
    """X.690 8.1: tags and lengths are claims of the sender. N-100."""
    rejected(world, body)


@pytest.mark.proves("N-100")
def test_a_message_cut_off_anywhere_is_a_400(world: World, device: Device) -> None:
    """A connection breaks where it likes. N-100."""
    message = device.message(world.ca)

    for length in range(1, len(message), 97):
        rejected(world, message[:length])


@pytest.mark.proves("N-101", "C-04", "C-06")
@pytest.mark.parametrize("names_too", [False, True], ids=["names as copied", "names too"])
def test_the_loosest_ber_is_read(world: World, device: Device, names_too: bool) -> None:
    """jscep, macOS and many toolkits write BER (RFC 5652 allows it but for signed attributes). N-101."""
    signer = device.certificate()
    kept = (signer.der,) if names_too else (signer.der, signer.issuer_der, world.ca.issuer_der)
    content = loosen(encrypt([world.ca], device.csr()), *kept)
    message = loosen(Forgery(device, world.ca, content).message(), *kept)
    deviations = Deviations()

    reply = Reply.read(world.respond(message, deviations), world.ca)

    assert reply.status == "0", reply.text
    assert {
        DeviationKind.INDEFINITE_LENGTH,
        DeviationKind.CONSTRUCTED_STRING,
        DeviationKind.NON_MINIMAL_LENGTH,
    } <= set(deviations.kinds())


@pytest.mark.proves("N-103", "R-3.2.1-c")
@pytest.mark.parametrize(
    "encoded",
    [
        pytest.param(writer.utf8_string("t1"), id="UTF8String"),
        pytest.param(writer.encode(0x16, b"t1"), id="IA5String"),
        pytest.param(writer.encode(0x1E, "t1".encode("utf-16-be")), id="BMPString"),
    ],
)
def test_a_transaction_id_of_another_string_type_is_echoed_as_it_should_be(
    world: World, device: Device, encoded: bytes
) -> None:
    """RFC 8894 3.2.1.1: PrintableString, in the reply at least. N-103."""
    reply = accepted(world, Forgery(device, world.ca).put(oids.TRANSACTION_ID, encoded).message())

    assert reply.transaction_id == "t1"
    assert reply.attribute_tags[oids.TRANSACTION_ID] == 0x13


@pytest.mark.proves("N-030", "R-3.2.1.5-a")
def test_a_short_nonce_is_echoed_as_it_came(world: World, device: Device) -> None:
    """RFC 8894 3.2.1.5 wants 16 octets; old iOS sent 8. N-030."""
    short = writer.octet_string(b"8 octets")

    reply = accepted(world, Forgery(device, world.ca).put(oids.SENDER_NONCE, short).message())

    assert reply.recipient_nonce == b"8 octets"


@pytest.mark.proves("N-104", "R-3.2.1.1-a")
@pytest.mark.parametrize(
    "odd",
    ["'; DROP TABLE certificate; --", "<script>alert(1)</script>", '" outcome=issued serial=1', "%s {0}"],
)
def test_odd_characters_are_opaque(
    world: World, device: Device, caplog: pytest.LogCaptureFixture, odd: str
) -> None:
    """A transactionID, subject or secret is a text, not SQL, HTML or a log field. N-104."""
    world.add_challenge(odd)
    device.common_name = odd
    message = Forgery(device, world.ca, encrypt([world.ca], device.csr(odd)), transaction_id=odd).message()

    with caplog.at_level(logging.INFO, "ca.responder"):
        reply = accepted(world, message)

    assert reply.transaction_id == odd
    assert f"transaction_id={json.dumps(odd)}" in caplog.messages[0]
    assert [one.transaction_id for one in world.issued()] == [odd]


@pytest.mark.proves("N-104")
@pytest.mark.parametrize("odd", ["a\r\nb", "\x1b[2Jb", "a\nlevel=ERROR"])
def test_control_characters_break_no_log_line(
    world: World, device: Device, caplog: pytest.LogCaptureFixture, odd: str
) -> None:
    """A line of the log is one event, and no terminal obeys it. N-104."""
    device.common_name = odd

    with caplog.at_level(logging.INFO, "ca.responder"):
        reply = Reply.read(post(world, device.message(world.ca)).body, world.ca)

    assert reply.status == "2"
    assert len(caplog.messages) == 1
    assert not re.search(r"[\x00-\x1f\x7f]", caplog.messages[0])


@pytest.mark.proves("N-104", "P-04")
@pytest.mark.parametrize("secret", ["wrong\r\nsecret", "'; DROP TABLE challenge; --", "\x1b[31mwrong"])
def test_a_wrong_secret_is_not_repeated_anywhere(
    world: World, device: Device, caplog: pytest.LogCaptureFixture, secret: str
) -> None:
    """What was typed wrongly is almost the right one. N-104."""
    with caplog.at_level(logging.INFO, "ca.responder"):
        reply = refused(world, device.message(world.ca, device.csr(secret)), BAD_REQUEST)

    assert secret not in reply.text
    assert not any("DROP" in line or "wrong" in line for line in caplog.messages)


@pytest.mark.proves("N-107")
def test_a_bag_of_thousands_of_certificates_is_a_400_at_once(world: World, device: Device) -> None:
    """Small enough for the limit of the body, and still not looked at one by one. N-107."""
    forgery = Forgery(device, world.ca)
    forgery.certificates = [b"\x30\x00"] * 5000
    message = forgery.message()

    assert min(seconds_to_reject(world, message) for _ in range(3)) < AT_ONCE


@pytest.mark.proves("N-107")
def test_a_certificate_that_is_none_is_a_refusal(world: World, device: Device) -> None:
    """Between the others in the bag stands what cannot be read. N-107."""
    forgery = Forgery(device, world.ca)
    forgery.certificates = [b"\x30\x00"]

    refused(world, forgery.message(), "1")


@pytest.mark.proves("R-2.5.1-a")
def test_what_was_refused_can_be_sent_again_rightly(world: World, device: Device) -> None:
    """A refusal leaves nothing behind under the transactionID (RFC 8894 7.4). N-032."""
    forgery = Forgery(device, world.ca)
    forgery.signature = bytes(256)
    refused(world, forgery.message(), "1")

    reply = accepted(world, device.message(world.ca))

    assert reply.recipient_nonce == NONCE


def seconds_to_reject(world: World, body: bytes) -> float:
    """Of this program alone, whatever else the machine does."""
    started = time.process_time()
    rejected(world, body)
    return time.process_time() - started
