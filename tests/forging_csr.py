"""Requests, envelopes and certificates put together byte by byte, so that one place can be wrong."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TypeAlias

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from app.store import SqlStore
from ca import pkcs7
from ca.algorithms.ciphers import AES_128_CBC, Cipher
from ca.algorithms.digests import SHA256, Digest
from ca.algorithms.key_transport import PKCS1_V15
from ca.algorithms.keys import ED25519
from ca.algorithms.keys import RSA_ENCRYPTION_IDENTIFIER as RSA_ENCRYPTION
from ca.algorithms.signatures import certificate_identifier, sign
from ca.asn1 import tags, writer
from ca.deviations import Deviations
from ca.errors import FailInfo
from ca.identity import ScepIdentity
from ca.issuing.authority import Authority
from ca.pkcs7 import oids as cms
from ca.pkcs7.content_info import content_info
from ca.policy.enrolment import EnrolmentPolicy
from ca.scep import codec, oids
from ca.scep.messages import Failure, MessageType, Outcome, Transaction
from ca.x509 import oids as x509_oids
from ca.x509.certificate import Certificate
from ca.x509.extensions import Extension
from tests.world import NONCE, NOW, SECRET, Device, World, certificate_of, der, name, rsa_key

Key: TypeAlias = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey
COMMON_NAME = "2.5.4.3"
KEYS: dict[str, Callable[[], Key]] = {
    "RSA": lambda: rsa_key(1),
    "P-256": lambda: ec.generate_private_key(ec.SECP256R1()),
    "P-384": lambda: ec.generate_private_key(ec.SECP384R1()),
    "P-521": lambda: ec.generate_private_key(ec.SECP521R1()),
    "Ed25519": ed25519.Ed25519PrivateKey.generate,
}


def spki_of(key: Key) -> bytes:
    return key.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )


def rdn(oid: str, text: str | bytes, tag: int = tags.UTF8_STRING) -> bytes:
    """One RelativeDistinguishedName with one attribute, whose string has any type and any octets."""
    octets = text.encode() if isinstance(text, str) else text
    return writer.set_of([writer.sequence(writer.oid(oid), writer.encode(tag, octets))])


def subject(text: str | bytes = "ipad-17", tag: int = tags.UTF8_STRING) -> bytes:
    return writer.sequence(rdn(COMMON_NAME, text, tag))


def attribute(oid: str, *values: bytes) -> bytes:
    return writer.sequence(writer.oid(oid), writer.set_of(values))


def challenge(*secrets: str) -> bytes:
    return attribute(x509_oids.CHALLENGE_PASSWORD, *map(writer.utf8_string, secrets))


def extension_request(*extensions: Extension, oid: str = x509_oids.EXTENSION_REQUEST) -> bytes:
    return attribute(oid, writer.sequence(*(extension.encode() for extension in extensions)))


def alternative_names(*names: bytes, critical: bool = False) -> Extension:
    return Extension(x509_oids.SUBJECT_ALT_NAME, critical, writer.sequence(*names))


def dns(host: str | bytes) -> bytes:
    return writer.encode(0x82, host.encode() if isinstance(host, str) else host)


def csr(
    *attributes: bytes,
    key: Key | None = None,
    subject_der: bytes | None = None,
    spki: bytes | None = None,
    version: int = 0,
    digest: Digest = SHA256,
    signature: bytes | None = None,
) -> bytes:
    """A PKCS #10 request of device key 1, signed rightly unless a *signature* is given.

    The attributes stand in the order given. *spki* puts another public key into it than *key*'s.
    """
    key = key or rsa_key(1)
    info = writer.sequence(
        writer.integer(version),
        subject() if subject_der is None else subject_der,
        spki or spki_of(key),
        writer.encode(tags.CONTEXT_0_CONSTRUCTED, b"".join(attributes)),
    )
    if isinstance(key, ed25519.Ed25519PrivateKey):
        algorithm, signed = writer.sequence(writer.oid(ED25519)), key.sign(info)
    else:
        algorithm, signed = certificate_identifier(key, digest), sign(key, info, digest)
    return writer.sequence(info, algorithm, writer.bit_string(signed if signature is None else signature))


def by_name(certificate: Certificate) -> bytes:
    return writer.sequence(certificate.issuer_der, certificate.serial_der)


def by_key_identifier(identifier: bytes) -> bytes:
    return writer.encode(tags.CONTEXT_0, identifier)


def key_trans(identifier: bytes, encrypted_key: bytes, algorithm: bytes = RSA_ENCRYPTION) -> bytes:
    """A KeyTransRecipientInfo (RFC 5652 6.2.1)."""
    version = 0 if identifier[0] == tags.SEQUENCE else 2
    return writer.sequence(writer.integer(version), identifier, algorithm, writer.octet_string(encrypted_key))


def wrap(certificate: Certificate, content_key: bytes) -> bytes:
    public_key = certificate.public_key()
    assert isinstance(public_key, rsa.RSAPublicKey)
    return PKCS1_V15.wrap(public_key, content_key)


@dataclass(frozen=True)
class Envelope:
    """An EnvelopedData in its parts; :func:`seal` makes a right one, ``replace`` spoils it."""

    recipients: tuple[bytes, ...]
    iv: bytes
    octets: bytes
    cipher_oid: str = AES_128_CBC.oid
    content_type: str = cms.DATA

    def der(self) -> bytes:
        content = writer.sequence(
            writer.oid(self.content_type),
            writer.sequence(writer.oid(self.cipher_oid), writer.octet_string(self.iv)),
            writer.encode(tags.CONTEXT_0, self.octets),
        )
        recipients = writer.set_of(self.recipients)
        return content_info(cms.ENVELOPED_DATA, writer.sequence(writer.integer(0), recipients, content))


def seal(data: bytes, *certificates: Certificate, cipher: Cipher = AES_128_CBC) -> Envelope:
    key, iv = cipher.new_key(), bytes(range(cipher.block_octets))
    recipients = tuple(key_trans(by_name(one), wrap(one, key)) for one in certificates)
    return Envelope(recipients, iv, cipher.encrypt(key, iv, data), cipher.oid)


def flipped(octets: bytes, index: int, mask: int = 1) -> bytes:
    """*octets* with the bits of *mask* turned over at *index*."""
    spoiled = bytearray(octets)
    spoiled[index] ^= mask
    return bytes(spoiled)


def signed(
    device: Device,
    content: bytes,
    message_type: MessageType = MessageType.PKCS_REQ,
    transaction_id: str = "t1",
) -> bytes:
    """A pkiMessage around any content, its signature right."""
    attributes = {
        oids.MESSAGE_TYPE: writer.printable_string(message_type),
        oids.TRANSACTION_ID: writer.printable_string(transaction_id),
        oids.SENDER_NONCE: writer.octet_string(NONCE),
    }
    key = device.signer_key or device.key
    return pkcs7.sign(device.certificate(), key, content, attributes=attributes, digest=device.digest)


def attributes_of(reply: bytes) -> dict[str, bytes]:
    """What a CertRep says, but for what is fresh in each: senderNonce and signingTime."""
    fresh = {oids.SENDER_NONCE, cms.SIGNING_TIME}
    attributes = pkcs7.SignedData.load(reply).attributes
    return {oid: values[0].raw for oid, values in attributes.items() if oid not in fresh}


def ask(
    world: World,
    device: Device,
    payload: bytes,
    message_type: MessageType = MessageType.PKCS_REQ,
    transaction_id: str = "t1",
    *,
    spki: bytes | None = None,
) -> Outcome:
    """Send *payload* and read the reply as its device would, for a certificate over *spki*."""
    message = device.message(world.ca, payload, transaction_id=transaction_id, message_type=message_type)
    transaction = Transaction(transaction_id, NONCE)
    expected = codec.Expectation(transaction, (world.ca,), spki or spki_of(device.key))
    key = device.signer_key or device.key
    return codec.decode_cert_rep(world.respond(message), expected, device.certificate(), key, Deviations())


def assert_refused(world: World, outcome: Outcome, fail_info: FailInfo = FailInfo.BAD_REQUEST) -> None:
    """A FAILURE of that kind with words in it; nothing was issued and no use of a challenge is gone."""
    assert isinstance(outcome, Failure), outcome
    assert outcome.fail_info is fail_info, outcome
    assert 0 < len(outcome.text) <= 255
    assert SECRET not in outcome.text
    assert world.issued() == []
    assert world.uses_left() == [1]


def certified(
    world: World, *extensions: Extension, key: Key | None = None, transaction_id: str = "t1"
) -> Certificate:
    """What the CA issues to device 1, signing for *key*, when it asks for these extensions."""
    key = key or rsa_key(1)
    wishes = (extension_request(*extensions),) if extensions else ()
    payload = csr(challenge(SECRET), *wishes, key=key)
    return certificate_of(ask(world, Device(), payload, transaction_id=transaction_id, spki=spki_of(key)))


def issue(
    ca_name: x509.Name,
    ca_key: rsa.RSAPrivateKey,
    common_name: str,
    key: rsa.RSAPrivateKey,
    *,
    serial: int | None = None,
    extensions: Iterable[x509.ExtensionType] = (),
) -> Certificate:
    """A certificate that no :class:`World` knows, in anybody's name."""
    builder = (
        x509.CertificateBuilder()
        .subject_name(name(common_name))
        .issuer_name(ca_name)
        .public_key(key.public_key())
        .serial_number(serial or x509.random_serial_number())
        .not_valid_before(NOW - timedelta(days=1))
        .not_valid_after(NOW + timedelta(days=700))
    )
    for extension in extensions:
        builder = builder.add_extension(extension, critical=False)
    return Certificate.load(der(builder.sign(ca_key, hashes.SHA256())))


def install(world: World, ca: Certificate, key: rsa.RSAPrivateKey, store: SqlStore | None = None) -> None:
    """Let *world* be the CA of another certificate."""
    world.ca, world.key, world.store = ca, key, store or world.store
    world.responder = replace(
        world.responder,
        authority=Authority(ca, key),
        identity=ScepIdentity(ca, key),
        policy=EnrolmentPolicy(ca, world.challenge_key),
        store=world.store,
        chain=(ca.der,),
    )
