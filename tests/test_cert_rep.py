"""What a CertRep is made of, to the last field and as another reader sees it; and what it ignores."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from cryptography import x509
from pyasn1.codec.der import decoder, encoder
from pyasn1_alt_modules import rfc5652

from ca.algorithms.ciphers import AES_128_CBC
from ca.algorithms.digests import SHA256
from ca.asn1 import read, writer
from ca.deviations import Deviations
from ca.errors import FailInfo
from ca.pkcs7 import EnvelopedData
from ca.pkcs7 import oids as cms
from ca.scep import codec, oids
from ca.scep.messages import Failure, MessageType, Outcome, Pending, Success, Transaction
from tests.forging import Forgery, Reply, post
from tests.forging_csr import ask, issue, spki_of, subject
from tests.test_cms_refusals import accepted, rejected
from tests.world import NONCE, NOW, Device, World, certificate_of, name, rsa_key

PRINTABLE, OCTETS, UTF8 = 0x13, 0x04, 0x0C
SAID = {
    oids.MESSAGE_TYPE: PRINTABLE,
    oids.PKI_STATUS: PRINTABLE,
    oids.TRANSACTION_ID: PRINTABLE,
    oids.SENDER_NONCE: OCTETS,
    oids.RECIPIENT_NONCE: OCTETS,
}


def content_of(der: bytes, content_type: str, specification: Any) -> Any:
    """What a ContentInfo holds, by pyasn1 and with nothing behind it."""
    info, rest = decoder.decode(der, asn1Spec=rfc5652.ContentInfo())
    assert (str(info["contentType"]), rest) == (content_type, b"")
    value, rest = decoder.decode(info["content"], asn1Spec=specification)
    assert rest == b""
    return value


def encoded(values: Any) -> list[bytes]:
    """The certificates of a bag, encoded again."""
    return [encoder.encode(one["certificate"]) for one in values] if values.hasValue() else []


@pytest.mark.proves(
    *("R-3-a", "R-3.1-a", "R-3.1-b", "R-3.1-d", "R-3.2-a", "R-3.2-c", "R-3.2.2-a", "R-3.2.2-c", "R-3.3.2-a"),
    *("R-3.3.2.1-a", "R-3.3.2.1-d", "R-3.4-a", "R-2.3-g", "C-01", "C-02", "C-05", "C-07", "S-10"),
)
def test_a_success_is_layer_in_layer(world: World, device: Device) -> None:
    """RFC 8894 3, figure 6: SignedData, EnvelopedData and a degenerate SignedData, each by CMS's rules."""
    signer = device.certificate()

    der = world.respond(device.message(world.ca))

    Reply.read(der, world.ca)
    outer = content_of(der, cms.SIGNED_DATA, rfc5652.SignedData())
    (signer_info,) = outer["signerInfos"]
    assert (outer["version"], signer_info["version"]) == (1, 1)
    assert str(outer["encapContentInfo"]["eContentType"]) == cms.DATA
    assert encoded(outer["certificates"]) == [world.ca.der]
    assert not outer["crls"].hasValue()
    assert signer_info["sid"].getName() == "issuerAndSerialNumber"
    (sent,) = read(der, "reply", Deviations()).sequence()[1].only_child().sequence()[-1].children()
    attributes = [one.raw for one in sent.sequence()[3].children()]
    assert attributes == sorted(attributes)

    envelope = bytes(outer["encapContentInfo"]["eContent"])
    enveloped = content_of(envelope, cms.ENVELOPED_DATA, rfc5652.EnvelopedData())
    (recipient,) = enveloped["recipientInfos"]
    assert (enveloped["version"], recipient["ktri"]["version"]) == (0, 0)
    assert str(enveloped["encryptedContentInfo"]["contentType"]) == cms.DATA
    assert recipient["ktri"]["rid"]["issuerAndSerialNumber"]["serialNumber"] == signer.serial_number

    payload = EnvelopedData.load(envelope).decrypt(device.key, signer)
    inner = content_of(payload, cms.SIGNED_DATA, rfc5652.SignedData())
    (issued,) = world.issued()
    assert inner["version"] == 1
    assert (len(inner["digestAlgorithms"]), len(inner["signerInfos"])) == (0, 0)
    assert str(inner["encapContentInfo"]["eContentType"]) == cms.DATA
    assert not inner["encapContentInfo"]["eContent"].hasValue()
    assert encoded(inner["certificates"]) == [issued.der]
    assert not inner["crls"].hasValue()


@pytest.mark.proves("R-3.2.1-a", "R-3.2.1-b", "R-3.2.1-c", "R-3.2.1-d", "R-3.2.1.2-a", "R-3.2.1.3-a")
@pytest.mark.proves("R-3.2.1.4-c", "R-3.3.2-b", "R-3.3.2.2-a", "R-3.3.2.2-b")
@pytest.mark.parametrize("secret", [None, "wrong", "open sesame"])
def test_a_reply_has_its_attributes_and_no_others(world: World, device: Device, secret: str | None) -> None:
    """RFC 8894 3.2.1, table 1: each in its type; failInfo and its text where there is a FAILURE."""
    reply = Reply.read(world.respond(device.message(world.ca, device.csr(secret))), world.ca)

    tags = {oid: tag for oid, tag in reply.attribute_tags.items() if oid.startswith(("2.16", "1.3"))}
    refusal = {oids.FAIL_INFO: PRINTABLE, oids.FAIL_INFO_TEXT: UTF8} if reply.status == "2" else {}
    assert tags == SAID | refusal
    assert {cms.CONTENT_TYPE, cms.MESSAGE_DIGEST} <= reply.attribute_tags.keys()
    assert (reply.message_type, reply.recipient_nonce) == ("3", NONCE)
    assert len(reply.sender_nonce) == 16


@pytest.mark.proves("R-3-b", "R-3.3.2.2-c", "R-3.3.2.3-a", "R-3.2.1.3-a", "C-04")
@pytest.mark.parametrize(("empty_content", "content"), [(True, b""), (False, None)])
@pytest.mark.parametrize(
    ("outcome", "status"), [(Failure(FailInfo.BAD_REQUEST, "no"), "2"), (Pending(), "3")]
)
def test_where_there_is_nothing_to_grant_there_is_no_envelope(
    world: World, device: Device, outcome: Outcome, status: str, empty_content: bool, content: bytes | None
) -> None:
    """RFC 8894 3.3.2.2, 3.3.2.3: absent, or of no octets for certmonger; the digest is over nothing."""
    der = codec.encode_cert_rep(
        outcome,
        Transaction("t1", NONCE),
        world.ca,
        world.key,
        recipient=device.certificate(),
        digest=SHA256,
        cipher=AES_128_CBC,
        empty_content=empty_content,
    )

    reply = Reply.read(der, world.ca)

    assert (reply.status, reply.content) == (status, content)
    assert (oids.FAIL_INFO in reply.attribute_tags) == (status == "2")


@pytest.mark.proves("R-3.3.2.2-c")
@pytest.mark.parametrize(("empty_content", "content"), [(True, b""), (False, None)])
def test_a_profile_says_how_a_refusal_is_empty(
    world: World, device: Device, empty_content: bool, content: bytes | None
) -> None:
    """RFC 8894 3.3.2.2: ``empty_content = false`` is the letter of the RFC."""
    world.profile = replace(world.profile, empty_content=empty_content)

    reply = Reply.read(world.respond(device.message(world.ca, device.csr("wrong"))), world.ca)

    assert (reply.status, reply.content) == ("2", content)


@pytest.mark.proves("L-14", "R-3.4-b", "R-3.3.2.1-a")
@pytest.mark.parametrize("chain_in_reply", [False, True])
def test_the_chain_stands_behind_the_certificate(world: World, device: Device, chain_in_reply: bool) -> None:
    """RFC 8894 3.3.2.1: Cisco VPN wants it, Juniper forbids it, and iOS takes the first for its own."""
    world.profile = replace(world.profile, chain_in_reply=chain_in_reply)

    outcome = device.read(world.respond(device.message(world.ca)), world.ca)

    (issued,) = world.issued()
    assert outcome == Success(issued.der, (world.ca.der,) if chain_in_reply else ())


@pytest.mark.proves("R-3.2.1.1-a", "R-3.2.1.1-b")
@pytest.mark.parametrize(
    "transaction_id",
    ["1", "0123456789ABCDEF", "q83v+/8=", "00-11-22:33", "a b (c) 'd' ?", "9" * 40, "x" * 255],
)
def test_a_transaction_id_comes_back_as_it_went(world: World, device: Device, transaction_id: str) -> None:
    """RFC 8894 3.2.1.1: whatever a client makes of it; one character and 255 as well."""
    message = device.message(world.ca, transaction_id=transaction_id)

    reply = Reply.read(world.respond(message), world.ca)

    assert (reply.status, reply.transaction_id) == ("0", transaction_id)
    assert reply.attribute_tags[oids.TRANSACTION_ID] == PRINTABLE


@pytest.mark.proves("R-3.3.2-n")
@pytest.mark.parametrize("nonce", [NONCE, bytes(16), b"", b"x" * 100])
def test_a_nonce_of_ours_is_not_expected_back(world: World, device: Device, nonce: bytes) -> None:
    """RFC 8894 3.3.2: the drafts chained nonces from message to message; nobody does any more."""
    forgery = Forgery(device, world.ca).put(oids.RECIPIENT_NONCE, writer.octet_string(nonce))

    assert accepted(world, forgery.message()).recipient_nonce == NONCE


@pytest.mark.proves("R-3.2.1.5-b", "R-5.2-b", "R-4.4-a", "L-04", "R-3.3.3-a", "R-3.3.3-b")
@pytest.mark.parametrize(
    "names",
    [
        writer.sequence(name("Test CA").public_bytes(), subject()),
        writer.sequence(name("Other CA").public_bytes(), subject("another")),
    ],
    ids=["the names", "other names"],
)
def test_a_poll_is_answered_under_its_own_nonce(world: World, device: Device, names: bytes) -> None:
    """RFC 8894 3.3.3, 3.2.1.5: found by transactionID and key; the nonce is the poll's own."""
    issued = certificate_of(world.enrol(device))

    for nonce in (b"the first poll's", b"the second one's"):
        message = device.message(world.ca, names, message_type=MessageType.CERT_POLL, nonce=nonce)
        reply = world.respond(message)
        assert Reply.read(reply, world.ca).recipient_nonce == nonce
        assert certificate_of(device.read(reply, world.ca, nonce=nonce)).der == issued.der


USES = {
    "none": {},
    "signatures": {"digital_signature"},
    "encryption": {"key_encipherment"},
    "certificates": {"key_cert_sign"},
}
BITS = (
    *("digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement"),
    *("key_cert_sign", "crl_sign", "encipher_only", "decipher_only"),
)


@pytest.mark.proves("R-2.3-a", "R-2.3-e", "L-10")
@pytest.mark.parametrize("uses", USES)
def test_the_key_usage_of_a_signer_says_nothing(world: World, uses: str) -> None:
    """RFC 8894 2.3: devices write any, and what a self-signed certificate allows itself is worth nothing."""
    usage = x509.KeyUsage(**{bit: bit in USES[uses] for bit in BITS})
    signer = issue(
        name("ipad-17"), rsa_key(1), "ipad-17", rsa_key(1), extensions=[usage] if uses != "none" else []
    )
    device = Device(signer=signer)

    certificate_of(world.enrol(device))


@pytest.mark.proves("C-17", "R-3.2.1-a")
def test_an_unsigned_attribute_is_no_attribute(world: World, device: Device) -> None:
    """RFC 5652 5.3: anybody can put one there; it neither names a transaction nor disturbs one."""
    unsigned = writer.encode(
        0xA1, writer.sequence(writer.oid(oids.TRANSACTION_ID), writer.set_of([writer.printable_string("t1")]))
    )

    def with_unsigned(forgery: Forgery) -> bytes:
        parts = read(forgery.signer_info(), "SignerInfo", Deviations()).sequence()
        return forgery.message(writer.sequence(*(part.raw for part in parts), unsigned))

    rejected(world, with_unsigned(Forgery(device, world.ca).drop(oids.TRANSACTION_ID)))
    accepted(world, with_unsigned(Forgery(device, world.ca)))


@pytest.mark.proves("C-17")
def test_an_unknown_signed_attribute_is_passed_over(world: World, device: Device) -> None:
    """RFC 5652 11: SMIMECapabilities from one client, Microsoft's from another."""
    capabilities = writer.sequence(writer.sequence(writer.oid("2.16.840.1.101.3.4.1.2")))
    forgery = Forgery(device, world.ca).put("1.2.840.113549.1.9.15", capabilities).put("1.2.3.4", writer.NULL)

    accepted(world, forgery.message())


@pytest.mark.proves("C-20")
def test_a_message_ends_where_it_ends(world: World, device: Device) -> None:
    """RFC 5652 3: a line end from a text file is passed over; more may be another message."""
    message = device.message(world.ca)

    for more in (b"\x00\x00\x00", b"\r\n\r\n", b"x", message):
        rejected(world, message + more)
    for more in (b"\n", b"\r\n"):
        accepted(world, message + more)


@pytest.mark.proves("L-08", "N-080")
def test_an_ended_certificate_is_not_given_again(world: World, device: Device) -> None:
    """RFC 8894 7.4: the same request gets the same certificate, but not a dead one.

    jscep makes its transactionID of the key, and comes back under it in a year.
    """
    message = device.message(world.ca)
    first = certificate_of(device.read(world.respond(message), world.ca))
    world.now = first.not_valid_after + timedelta(days=1)

    second = certificate_of(device.read(world.respond(message), world.ca))

    assert second.serial_number != first.serial_number
    assert second.not_valid_after > world.now


@pytest.mark.proves("R-5.2-c")
def test_a_subject_may_have_several_certificates(world: World) -> None:
    """RFC 8894 5.2, figure 12: a device that lost its key comes back under its old name."""
    devices = [Device(key=rsa_key(number)) for number in (1, 2)]

    issued = [
        certificate_of(world.enrol(one, transaction_id=spki_of(one.key).hex()[-40:])) for one in devices
    ]

    assert len({one.serial_number for one in issued}) == 2
    assert {str(one.subject) for one in issued} == {"CN=ipad-17"}


@pytest.mark.proves("L-17", "R-2.5-b")
def test_a_renewal_leaves_the_old_certificate_as_it_is(world: World, device: Device) -> None:
    """RFC 8894 2.5: until the new one is in place, the device works with the old one."""
    old = certificate_of(world.enrol(device))
    world.now = NOW + timedelta(days=340)
    renewing = Device(key=rsa_key(2), signer_key=device.key, signer=old)

    new = certificate_of(ask(world, renewing, renewing.csr(None), MessageType.RENEWAL_REQ, "t2"))

    assert [one.revoked_at for one in world.issued()] == [None, None]
    assert new.not_valid_before > old.not_valid_before
    assert old.not_valid_after > world.now


@pytest.mark.proves("R-4.3.1-a", "R-6-b")
@pytest.mark.parametrize("secret", ["open sesame", "wrong"])
def test_a_cert_rep_is_a_200_whatever_it_says(world: World, device: Device, secret: str) -> None:
    """RFC 8894 4.3.1: an error of HTTP would be read as a broken server and tried again."""
    answer = post(world, device.message(world.ca, device.csr(secret)))

    assert (answer.status, answer.headers["content-type"]) == (200, "application/x-pki-message")
