"""Algorithms, signer keys and signature forms: which count at which level, and which are forged."""

import logging
from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from ca.algorithms.ciphers import AES_128_GCM, DES_CBC, DES_EDE3_CBC, Cipher
from ca.algorithms.digests import MD5, SHA1, SHA256, Digest
from ca.algorithms.levels import CryptoLevel
from ca.asn1 import writer
from ca.deviations import DeviationKind, Deviations
from ca.pkcs7 import encrypt, sign
from ca.scep import oids
from ca.scep.messages import MessageType
from ca.x509.certificate import Certificate
from tests.forging import Forgery, envelope
from tests.test_cms_refusals import BAD_ALG, BAD_MESSAGE_CHECK, BAD_REQUEST, accepted, refused
from tests.world import NONCE, NOW, Device, World, der, name, rsa_key, self_signed

MODERN, COMPATIBLE, LEGACY = CryptoLevel.MODERN, CryptoLevel.COMPATIBLE, CryptoLevel.LEGACY
MD5_WITH_RSA = "1.2.840.113549.1.1.4"
SHA256_WITH_RSA = "1.2.840.113549.1.1.11"
RC2_CBC = "1.2.840.113549.3.2"
EC_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


@pytest.mark.proves("N-041", "N-044", "R-2.9-c", "R-2.9-b", "R-3.5.2-f", "R-3.5.2-h")
@pytest.mark.parametrize(
    ("digest", "level"), [(MD5, MODERN), (MD5, COMPATIBLE), (SHA1, MODERN)], ids=lambda one: one.name
)
def test_a_digest_below_the_level_is_refused_under_sha_256(
    world: World, device: Device, digest: Digest, level: CryptoLevel
) -> None:
    """RFC 8894 2.9 forbids MD5 and lets SHA-1 be; a refusal is not signed with either. N-041, N-044."""
    device.digest = digest

    reply = refused(world, device.message(world.ca), BAD_ALG, level)

    assert reply.digest == SHA256.oid


@pytest.mark.parametrize(
    ("digest", "level"), [(MD5, MODERN), (MD5, COMPATIBLE), (SHA1, MODERN)], ids=lambda one: one.name
)
@pytest.mark.parametrize("message_type", [MessageType.PKCS_REQ, MessageType.CERT_POLL])
def test_a_refused_digest_is_logged_with_who_sent_what(
    world: World,
    device: Device,
    caplog: pytest.LogCaptureFixture,
    digest: Digest,
    level: CryptoLevel,
    message_type: MessageType,
) -> None:
    """RFC 8894 2.9: the level can be raised once nobody is refused any more, which takes a count."""
    device.digest = digest

    with caplog.at_level(logging.INFO, "ca.responder"):
        refused(world, device.message(world.ca, message_type=message_type), BAD_ALG, level)

    (line,) = caplog.messages
    assert f"message={message_type.label} " in line
    assert "deviations=weak-digest" in line


def test_a_refused_cipher_is_logged_with_who_sent_what(
    world: World, device: Device, caplog: pytest.LogCaptureFixture
) -> None:
    """RFC 8894 2.9: single DES is counted where it is refused as well as where it is not."""
    device.cipher = DES_CBC

    with caplog.at_level(logging.INFO, "ca.responder"):
        refused(world, device.message(world.ca), BAD_ALG, MODERN)

    assert "message=PKCSReq " in caplog.messages[0]
    assert "deviations=weak-cipher" in caplog.messages[0]


def test_what_a_forged_message_claims_to_be_is_logged(
    world: World, device: Device, caplog: pytest.LogCaptureFixture
) -> None:
    """Its signature does not hold, so that it is a claim; and one of nothing that exists is unknown."""
    forgery = Forgery(device, world.ca)
    forgery.signature = bytes(256)
    nonsense = Forgery(device, world.ca).put(oids.MESSAGE_TYPE, writer.printable_string("99"))

    with caplog.at_level(logging.INFO, "ca.responder"):
        refused(world, forgery.message(), BAD_MESSAGE_CHECK)
        refused(world, nonsense.message(), BAD_REQUEST)

    assert [line.split()[0] for line in caplog.messages] == ["message=PKCSReq", "message=unknown"]


@pytest.mark.proves("N-041", "R-2.9-c")
@pytest.mark.parametrize("level", [MODERN, COMPATIBLE])
def test_md5_with_rsa_is_refused_under_its_own_name_too(
    world: World, device: Device, level: CryptoLevel
) -> None:
    """RFC 8894 2.9: the signature algorithm may name MD5 as well as the digest algorithm. N-041."""
    forgery = Forgery(device, world.ca, digest=MD5)
    forgery.signature_algorithm = writer.sequence(writer.oid(MD5_WITH_RSA), writer.NULL)

    refused(world, forgery.message(), BAD_ALG, level)


@pytest.mark.proves("N-041", "L-02", "R-2.9-b")
@pytest.mark.parametrize(
    ("digest", "level"), [(MD5, LEGACY), (SHA1, LEGACY), (SHA1, COMPATIBLE)], ids=lambda one: one.name
)
def test_an_old_digest_is_mirrored_where_the_level_accepts_it(
    world: World, device: Device, digest: Digest, level: CryptoLevel
) -> None:
    """Who signs with an old digest can often check no other. N-041, N-044."""
    device.digest = digest

    reply = accepted(world, device.message(world.ca), level)

    assert reply.digest == digest.oid


@pytest.mark.proves("N-042", "N-044", "R-2.9-c", "R-3.5.2-f")
@pytest.mark.parametrize("cipher", [DES_CBC, DES_EDE3_CBC], ids=lambda one: one.name)
def test_an_old_cipher_is_refused_at_level_modern(world: World, device: Device, cipher: Cipher) -> None:
    """RFC 8894 2.9: DES is forbidden, 3DES a MAY. N-042, N-044."""
    device.cipher = cipher

    refused(world, device.message(world.ca), BAD_ALG, MODERN)


@pytest.mark.proves("N-042", "L-02", "R-2.9-b")
@pytest.mark.parametrize("level", [COMPATIBLE, LEGACY])
@pytest.mark.parametrize("cipher", [DES_CBC, DES_EDE3_CBC], ids=lambda one: one.name)
def test_an_old_cipher_is_opened_below(
    world: World, device: Device, cipher: Cipher, level: CryptoLevel
) -> None:
    """Cisco IOS and scepclient send single DES whatever is advertised. N-042, N-044."""
    device.cipher = cipher

    accepted(world, device.message(world.ca), level)


@pytest.mark.proves("N-043", "R-3.2.1.4-a")
@pytest.mark.parametrize("level", [MODERN, COMPATIBLE, LEGACY])
@pytest.mark.parametrize(
    ("algorithm", "parameters"),
    [
        pytest.param(
            RC2_CBC, writer.sequence(writer.integer(160), writer.octet_string(bytes(8))), id="RC2-40"
        ),
        pytest.param(
            AES_128_GCM.oid, writer.sequence(writer.octet_string(bytes(12)), writer.integer(16)), id="AES-GCM"
        ),
        pytest.param("1.2.3.4", writer.octet_string(bytes(16)), id="unknown"),
        pytest.param("1.2.3.4", b"", id="unknown, no parameters"),
    ],
)
def test_a_cipher_that_no_level_knows_is_a_bad_algorithm(
    world: World, device: Device, algorithm: str, parameters: bytes, level: CryptoLevel
) -> None:
    """RFC 8894 3.2.1.4; AES-GCM belongs into AuthEnvelopedData (RFC 5084 1.1). N-043."""
    content = envelope(world.ca, algorithm, parameters)

    refused(world, Forgery(device, world.ca, content).message(), BAD_ALG, level)


@pytest.mark.proves("R-3.2.1.4-a")
@pytest.mark.parametrize("place", ["digest_algorithm", "signature_algorithm"])
def test_an_unknown_signature_algorithm_is_a_bad_algorithm(world: World, device: Device, place: str) -> None:
    """RFC 8894 3.2.1.4: failInfo 0, and SHA-256 in the reply because nothing can be mirrored. N-041."""
    forgery = Forgery(device, world.ca)
    setattr(forgery, place, writer.sequence(writer.oid("1.2.3.4"), writer.NULL))

    assert refused(world, forgery.message(), BAD_ALG).digest == SHA256.oid


@pytest.mark.proves("N-109", "C-16")
def test_algorithms_that_contradict_each_other_are_a_bad_message_check(world: World, device: Device) -> None:
    """RFC 5652 5.3: the signature is over the digest that digestAlgorithm names. N-109."""
    forgery = Forgery(device, world.ca, digest=SHA1)
    forgery.signature_algorithm = writer.sequence(writer.oid(SHA256_WITH_RSA), writer.NULL)

    refused(world, forgery.message(), BAD_MESSAGE_CHECK)


@pytest.mark.proves("N-110")
@pytest.mark.parametrize(
    ("r", "s"), [(0, 0), (0, 1), (1, 0), (EC_ORDER, 1), (1, EC_ORDER), (1 << 300, 1), (-1, 1)]
)
def test_an_ecdsa_signature_out_of_range_is_a_bad_message_check(
    world: World, device: Device, r: int, s: int
) -> None:
    """FIPS 186-5 6.4.2: r and s lie between 1 and n-1, or anybody can sign. N-110."""
    key = ec.generate_private_key(ec.SECP256R1())
    device.signer = ec_certificate(key)
    forgery = Forgery(device, world.ca, key=key)
    forgery.signature = writer.sequence(writer.integer(r), writer.integer(s))

    refused(world, forgery.message(), BAD_MESSAGE_CHECK)


@pytest.mark.proves("N-111", "C-19")
def test_a_loose_block_under_exponent_three_is_a_bad_message_check(world: World, device: Device) -> None:
    """RFC 8017 8.2.2: the whole block is compared, or a cube root is a signature. N-111."""
    key = rsa.generate_private_key(3, 2048)
    device.signer = self_signed("ipad-17", key)
    forgery = Forgery(device, world.ca, key=key)
    forgery.signature = cube_root_signature(forgery.signed_octets())

    refused(world, forgery.message(), BAD_MESSAGE_CHECK)


@pytest.mark.proves("N-112", "C-02")
def test_unsorted_attributes_may_be_signed_sorted(world: World, device: Device) -> None:
    """RFC 5652 5.4: the signature is over the DER, whatever was sent. N-112."""
    forgery = Forgery(device, world.ca)
    forgery.sent_unsorted = True

    deviations = Deviations()
    world.respond(forgery.message(), deviations)

    assert len(world.issued()) == 1
    assert DeviationKind.UNSORTED_ATTRIBUTES in deviations.kinds()
    assert DeviationKind.SIGNED_UNSORTED not in deviations.kinds()


@pytest.mark.proves("N-112", "C-02")
def test_unsorted_attributes_may_be_signed_as_they_are_sent(world: World, device: Device) -> None:
    """Clients exist that sign what they send; it is kept in mind. N-112."""
    forgery = Forgery(device, world.ca)
    forgery.sent_unsorted = forgery.signed_unsorted = True

    deviations = Deviations()
    world.respond(forgery.message(), deviations)

    assert len(world.issued()) == 1
    assert DeviationKind.SIGNED_UNSORTED in deviations.kinds()


@pytest.mark.proves("N-108", "C-05")
@pytest.mark.parametrize("extension", [True, False])
def test_a_signer_named_by_its_key_identifier_is_found(world: World, device: Device, extension: bool) -> None:
    """RFC 5652 5.3: subjectKeyIdentifier is the other way to name a signer. N-108."""
    if extension:
        device.signer = with_key_identifier(device.key, b"an identifier")
    forgery = Forgery(device, world.ca)
    forgery.signer_identifier = writer.encode(0x80, device.certificate().subject_key_identifier)

    accepted(world, forgery.message())


@pytest.mark.proves("N-108")
def test_a_key_identifier_that_no_certificate_has_is_a_bad_message_check(
    world: World, device: Device
) -> None:
    """RFC 8894 3.2: the signer's certificate travels in the message. N-108."""
    forgery = Forgery(device, world.ca)
    forgery.signer_identifier = writer.encode(0x80, bytes(20))

    refused(world, forgery.message(), BAD_MESSAGE_CHECK)


@pytest.mark.proves("N-117")
@pytest.mark.parametrize("days", [-400, 400], ids=["expired", "not yet valid"])
def test_a_device_without_a_clock_enrols(world: World, device: Device, days: int) -> None:
    """A self-signed signer's dates say what a device's clock says: nothing. N-117."""
    device.signer = self_signed("ipad-17", device.key, NOW + timedelta(days=days))

    accepted(world, device.message(world.ca))


@pytest.mark.proves("N-117")
@pytest.mark.parametrize("days", [-400, 400], ids=["expired", "not yet valid"])
def test_the_signers_dates_are_kept_in_mind(world: World, device: Device, days: int) -> None:
    """What is let pass is told to the administrator. N-117."""
    device.signer = self_signed("ipad-17", device.key, NOW + timedelta(days=days))
    deviations = Deviations()

    world.respond(device.message(world.ca), deviations)

    assert DeviationKind.SIGNER_VALIDITY in deviations.kinds()


def test_an_honest_ec_signer_is_told_why_it_cannot_enrol(world: World, device: Device) -> None:
    """The reply's envelope needs an RSA key or a password; the signature itself was right. N-110."""
    key = ec.generate_private_key(ec.SECP256R1())
    attributes = {
        oids.MESSAGE_TYPE: writer.printable_string("19"),
        oids.TRANSACTION_ID: writer.printable_string("t1"),
        oids.SENDER_NONCE: writer.octet_string(NONCE),
    }
    content = encrypt([world.ca], device.csr(None))

    refused(world, sign(ec_certificate(key), key, content, attributes=attributes), BAD_ALG)


@pytest.mark.proves("R-2.3-f", "C-12")
def test_the_reply_to_a_signer_in_the_middle_of_the_bag_is_for_him(world: World, device: Device) -> None:
    """RFC 5652 5.1: the bag is a set, so that a place in it says nothing. N-031."""
    forgery = Forgery(device, world.ca)
    stranger = self_signed("stranger", rsa_key(2)).der
    forgery.certificates = [world.ca.der, *forgery.certificates, stranger]

    accepted(world, forgery.message())


def ec_certificate(key: ec.EllipticCurvePrivateKey) -> Certificate:
    builder = builder_for(key.public_key())
    return Certificate.load(der(builder.sign(key, hashes.SHA256())))


def with_key_identifier(key: rsa.RSAPrivateKey, identifier: bytes) -> Certificate:
    extension = x509.SubjectKeyIdentifier(identifier)
    builder = builder_for(key.public_key()).add_extension(extension, critical=False)
    return Certificate.load(der(builder.sign(key, hashes.SHA256())))


def builder_for(key: rsa.RSAPublicKey | ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(name("ipad-17"))
        .issuer_name(name("ipad-17"))
        .public_key(key)
        .serial_number(17)
        .not_valid_before(NOW)
        .not_valid_after(NOW + timedelta(days=7))
    )


def cube_root_signature(signed: bytes) -> bytes:
    """A number whose cube begins like a right PKCS #1 v1.5 block, with garbage behind the digest."""
    info = writer.sequence(SHA256.identifier, writer.octet_string(SHA256.of(signed)))
    head = b"\x00\x01" + b"\xff" * 8 + b"\x00" + info
    wanted = int.from_bytes(head + b"\xff" * (256 - len(head)), "big")
    low, high = 0, 1 << 700
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if middle**3 <= wanted else (low, middle - 1)
    assert (low**3).to_bytes(256, "big").startswith(head)
    return low.to_bytes(256, "big")
