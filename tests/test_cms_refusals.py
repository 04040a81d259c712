"""What is refused in the outer layer of a pkiMessage, and with which of the two kinds of answer.

Whoever can be answered gets a CertRep FAILURE; where no transaction can be read it is HTTP 400.
"""

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from ca.algorithms.digests import MD5
from ca.algorithms.levels import CryptoLevel
from ca.asn1 import writer
from ca.pkcs7 import encrypt
from ca.pkcs7 import oids as cms
from ca.scep import oids
from ca.scep.messages import MessageType
from tests.forging import Answer, Forgery, Reply, post
from tests.world import NONCE, Device, World

BAD_ALG, BAD_MESSAGE_CHECK, BAD_REQUEST = "0", "1", "2"
COMPATIBLE = CryptoLevel.COMPATIBLE
Breaks = Callable[[Forgery], object]


def refused(world: World, message: bytes, fail_info: str, level: CryptoLevel = COMPATIBLE) -> Reply:
    """Send *message*; insist on a whole CertRep FAILURE with *fail_info*, and on nothing issued."""
    answer = post(world, message, level)

    assert answer.status == 200
    assert answer.headers["content-type"] == "application/x-pki-message"
    reply = Reply.read(answer.body, world.ca)
    assert (reply.message_type, reply.status, reply.fail_info) == ("3", "2", fail_info), reply.text
    assert (reply.transaction_id, reply.recipient_nonce) == ("t1", NONCE)
    assert len(reply.sender_nonce) == 16
    assert reply.sender_nonce != NONCE
    assert reply.content == b""
    assert 0 < len(reply.text) <= 255
    assert reply.attribute_tags[oids.FAIL_INFO_TEXT] == 0x0C
    assert not world.issued()
    return reply


def rejected(world: World, message: bytes, level: CryptoLevel = COMPATIBLE) -> Answer:
    """Send *message*; insist on HTTP 400 with one line of text, and on nothing issued."""
    answer = post(world, message, level)

    assert answer.status == 400
    assert answer.headers["content-type"] == "text/plain"
    assert answer.body.endswith(b"\n")
    assert answer.body.count(b"\n") == 1
    assert not world.issued()
    return answer


def accepted(world: World, message: bytes, level: CryptoLevel = COMPATIBLE) -> Reply:
    """Send *message*; insist on a CertRep SUCCESS and one certificate."""
    reply = Reply.read(post(world, message, level).body, world.ca)

    assert reply.status == "0", reply.text
    assert len(world.issued()) == 1
    return reply


@pytest.mark.proves("R-3.2.1-b", "R-3.2.1.1-a", "R-3.3-a")
def test_an_unbroken_forgery_is_an_honest_message(world: World, device: Device) -> None:
    """What the other tests break must be whole before."""
    reply = accepted(world, Forgery(device, world.ca).message())

    assert (reply.transaction_id, reply.recipient_nonce) == ("t1", NONCE)


@pytest.mark.proves("N-022", "N-023", "N-024", "C-03", "R-3.2.1-d", "R-3.2.1-a", "R-3.2.1.4-a")
@pytest.mark.parametrize(
    "breaks",
    [
        pytest.param(lambda one: one.drop(cms.MESSAGE_DIGEST), id="no messageDigest"),
        pytest.param(lambda one: one.drop(cms.CONTENT_TYPE), id="no contentType"),
        pytest.param(
            lambda one: one.put(cms.CONTENT_TYPE, writer.oid(cms.ENVELOPED_DATA)), id="other contentType"
        ),
        pytest.param(lambda one: one.repeat(cms.MESSAGE_DIGEST), id="messageDigest twice"),
        pytest.param(lambda one: one.repeat(cms.CONTENT_TYPE), id="contentType twice"),
    ],
)
def test_attributes_that_do_not_bind_the_content_are_a_bad_message_check(
    world: World, device: Device, breaks: Breaks
) -> None:
    """RFC 5652 11.1, 11.2: one of each, and right, or the signature is over nothing. N-022, N-023, N-024."""
    forgery = Forgery(device, world.ca)
    breaks(forgery)

    refused(world, forgery.message(), BAD_MESSAGE_CHECK)


@pytest.mark.proves("N-024", "N-025", "N-028", "R-3.2.1-d", "R-3.2.1.2-a", "R-3.3-a")
@pytest.mark.parametrize(
    "breaks",
    [
        pytest.param(lambda one: one.repeat(oids.MESSAGE_TYPE), id="twice"),
        pytest.param(
            lambda one: one.put(
                oids.MESSAGE_TYPE, writer.printable_string("19"), writer.printable_string("20")
            ),
            id="two values",
        ),
        pytest.param(lambda one: one.put(oids.MESSAGE_TYPE), id="no value"),
        pytest.param(lambda one: one.drop(oids.MESSAGE_TYPE), id="absent"),
    ],
)
def test_a_message_of_no_one_type_is_a_bad_request(world: World, device: Device, breaks: Breaks) -> None:
    """RFC 8894 3.2.1: every attribute has one value. N-024, N-025, N-028."""
    forgery = Forgery(device, world.ca)
    breaks(forgery)

    refused(world, forgery.message(), BAD_REQUEST)


@pytest.mark.proves("N-034", "N-035", "N-036", "L-05", "R-3.2.1.2-b")
@pytest.mark.parametrize(
    "text",
    ["18", "3", "", "abc", "019", "+19", "19 ", " 19", "99", "0", "1", "-19", "1 9", "4294967315", "19.0"],
)
def test_a_message_type_that_no_client_may_send_is_a_bad_request(
    world: World, device: Device, text: str
) -> None:
    """RFC 8894 3.2.1.2: an undefined messageType is an error; CertRep is none. N-034, N-035, N-036."""
    forgery = Forgery(device, world.ca).put(oids.MESSAGE_TYPE, writer.printable_string(text))

    refused(world, forgery.message(), BAD_REQUEST)


@pytest.mark.proves(
    "N-024", "N-026", "N-027", "N-029", "N-030", "R-3.2-c", "R-3.2.1-a", "R-3.2.1-d", "R-3.2.1.5-a"
)
@pytest.mark.parametrize(
    "breaks",
    [
        pytest.param(lambda one: one.repeat(oids.TRANSACTION_ID), id="transactionID twice"),
        pytest.param(lambda one: one.repeat(oids.SENDER_NONCE), id="senderNonce twice"),
        pytest.param(lambda one: one.drop(oids.TRANSACTION_ID), id="no transactionID"),
        pytest.param(lambda one: one.drop(oids.SENDER_NONCE), id="no senderNonce"),
        pytest.param(
            lambda one: one.put(oids.SENDER_NONCE, writer.octet_string(b"")), id="senderNonce of 0 octets"
        ),
        pytest.param(
            lambda one: one.put(oids.SENDER_NONCE, writer.octet_string(bytes(65))),
            id="senderNonce of 65 octets",
        ),
        pytest.param(
            lambda one: one.put(oids.SENDER_NONCE, writer.printable_string("a" * 16)),
            id="senderNonce as text",
        ),
        pytest.param(lambda one: setattr(one, "attributes", []), id="no signedAttrs"),
    ],
)
def test_a_message_without_a_transaction_to_answer_is_a_400(
    world: World, device: Device, breaks: Breaks
) -> None:
    """RFC 8894 3.2.1: a CertRep echoes both, so there is none without. N-024, N-026, N-027, N-029, N-030."""
    forgery = Forgery(device, world.ca)
    breaks(forgery)

    rejected(world, forgery.message())


@pytest.mark.proves("N-102", "N-104", "R-3.2.1.1-a")
@pytest.mark.parametrize(
    "encoded",
    [
        pytest.param(writer.printable_string("x" * 256), id="256 characters"),
        pytest.param(writer.printable_string(""), id="empty"),
        pytest.param(writer.printable_string("t\x00"), id="NUL"),
        pytest.param(writer.printable_string("t\x01"), id="control character"),
        pytest.param(writer.utf8_string("t\u00f6"), id="umlaut"),
        pytest.param(writer.encode(0x13, "t\u00f6".encode()), id="umlaut in a PrintableString"),
        pytest.param(writer.printable_string("t\r\nX-Header: 1"), id="CRLF"),
        pytest.param(writer.printable_string("\x1b[31mred"), id="ANSI escape"),
        pytest.param(writer.octet_string(b"t1"), id="octets"),
    ],
)
def test_a_transaction_id_that_cannot_be_echoed_is_a_400(
    world: World, device: Device, encoded: bytes
) -> None:
    """RFC 8894 3.2.1.1: a PrintableString; what could break a log or a header stays out. N-102, N-104."""
    rejected(world, Forgery(device, world.ca).put(oids.TRANSACTION_ID, encoded).message())


@pytest.mark.proves("N-029")
def test_a_missing_nonce_is_answered_without_one_at_level_legacy(world: World, device: Device) -> None:
    """Devices from before the nonce exist; RFC 8894 3.2.1.5 leaves nothing to echo. N-029."""
    forgery = Forgery(device, world.ca).drop(oids.SENDER_NONCE)

    reply = accepted(world, forgery.message(), CryptoLevel.LEGACY)

    assert reply.recipient_nonce is None


@pytest.mark.proves("N-031", "R-2.3-f")
def test_an_absent_signer_certificate_is_a_bad_message_check(world: World, device: Device) -> None:
    """RFC 8894 3.2: the signer's certificate travels in the message. N-031."""
    forgery = Forgery(device, world.ca)
    forgery.certificates = [world.ca.der]

    refused(world, forgery.message(), BAD_MESSAGE_CHECK)


NO_VALUES = {
    "a string without end": b"\x04\x82\xff\xff",
    "a piece that is no string": b"\x24\x02\x05\x00",
    "a constructed NULL of nothing": b"\x25\x01\x00",
    "a SEQUENCE of a long tag": b"\x30\x03\x1f\x81\x00",
    "too deep": b"\x30\x80" * 62 + b"\0\0" * 62,
}


@pytest.mark.parametrize("junk", NO_VALUES.values(), ids=NO_VALUES.keys())
@pytest.mark.parametrize("oid", ["1.2.3.4", cms.SIGNING_TIME, oids.MESSAGE_TYPE])
def test_an_attribute_that_cannot_be_read_is_a_bad_message_check(
    world: World, device: Device, oid: str, junk: bytes
) -> None:
    """RFC 5652 5.4: a signature that does not hold is tried over the attributes in DER, which needs them."""
    forgery = Forgery(device, world.ca).put(oid, writer.sequence(junk))
    forgery.signature = bytes(256)

    refused(world, forgery.message(), BAD_MESSAGE_CHECK)


@pytest.mark.proves("N-032", "R-3.2.1.4-a")
@pytest.mark.parametrize("bit", [0, 7, 1024, 2047])
def test_a_flipped_bit_in_the_signature_is_a_bad_message_check(
    world: World, device: Device, bit: int
) -> None:
    """RFC 8894 3.2.1.4: failInfo 1 is for exactly this. N-032."""
    forgery = Forgery(device, world.ca)
    signature = int.from_bytes(forgery.sign(), "big") ^ 1 << bit
    forgery.signature = signature.to_bytes(256, "big")

    refused(world, forgery.message(), BAD_MESSAGE_CHECK)


@pytest.mark.proves("N-040", "R-3.1-a")
def test_content_altered_after_signing_is_a_bad_message_check(world: World, device: Device) -> None:
    """RFC 5652 5.6: messageDigest is compared with the content that came. N-040."""
    forgery = Forgery(device, world.ca)
    forgery.sent_content = encrypt([world.ca], Device("ipad-18").csr())

    refused(world, forgery.message(), BAD_MESSAGE_CHECK)


@pytest.mark.proves("N-033", "R-3.2-a")
@pytest.mark.parametrize("content_type", ["1.2.3.4", cms.SIGNED_DATA])
def test_content_of_another_type_is_a_bad_request(world: World, device: Device, content_type: str) -> None:
    """RFC 8894 3.2: the content is id-data. N-033."""
    refused(world, Forgery(device, world.ca, content_type=content_type).message(), BAD_REQUEST)


@pytest.mark.proves("N-033", "R-3.2-a")
def test_content_named_by_what_is_in_it_is_accepted(world: World, device: Device) -> None:
    """XiPKI's client says id-envelopedData where id-data belongs. N-033."""
    accepted(world, Forgery(device, world.ca, content_type=cms.ENVELOPED_DATA).message())


@pytest.mark.proves("N-051")
def test_absent_content_in_a_request_is_a_bad_request(world: World, device: Device) -> None:
    """RFC 8894 3.2.2: a request has its pkcsPKIEnvelope. N-051."""
    refused(world, Forgery(device, world.ca, content=None).message(), BAD_REQUEST)


def test_no_secret_and_no_trace_is_in_a_refusal(world: World, device: Device) -> None:
    """What a stranger provokes must teach him nothing."""
    reply = refused(world, Forgery(device, world.ca, content=b"x").message(), BAD_REQUEST)

    assert "Traceback" not in reply.text
    assert "Error" not in reply.text


@pytest.mark.proves("N-041", "C-01", "C-04", "R-3.1-d")
@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")
@pytest.mark.parametrize("level", [CryptoLevel.COMPATIBLE, CryptoLevel.LEGACY])
def test_openssl_verifies_a_refusal(world: World, device: Device, tmp_path: Path, level: CryptoLevel) -> None:
    """The reply is sound CMS for another implementation, whatever the request was signed with. N-041."""
    device.digest = MD5
    reply = tmp_path / "reply.der"
    message = device.message(world.ca, message_type=MessageType.GET_CRL)
    reply.write_bytes(post(world, message, level).body)

    command = ["openssl", "cms", "-verify", "-noverify", "-binary", "-inform", "DER", "-in", str(reply)]
    done = subprocess.run(command, capture_output=True, check=False)

    assert done.returncode == 0, done.stderr.decode()
    assert done.stdout == b""
