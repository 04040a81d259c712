"""Every cipher, key transport, digest and signature scheme, at every level, and what replies mirror."""

from collections.abc import Iterator
from dataclasses import replace
from itertools import product

import pytest
from cryptography.hazmat.primitives.asymmetric import padding

from ca.algorithms import ciphers
from ca.algorithms.ciphers import AES_128_CBC, DES_CBC, DES_EDE3_CBC, Cipher
from ca.algorithms.digests import MD5, SHA1, SHA224, SHA256, SHA384, SHA512, Digest
from ca.algorithms.key_transport import PKCS1_V15, KeyTransport
from ca.algorithms.keys import RSA_ENCRYPTION_IDENTIFIER
from ca.algorithms.levels import CryptoLevel
from ca.algorithms.signatures import MGF1
from ca.asn1 import read, writer
from ca.deviations import Deviations
from ca.errors import FailInfo
from ca.pkcs7 import EnvelopedData, SignedData
from ca.pkcs7.recipient_info import KeyTransRecipient
from ca.scep.messages import Failure, Success
from tests.forging_csr import assert_refused, by_name, key_trans, seal, signed
from tests.world import Device, World, certificate_of, rsa_key

MODERN, COMPATIBLE, LEGACY = CryptoLevel.MODERN, CryptoLevel.COMPATIBLE, CryptoLevel.LEGACY
OAEP_HASHES = (SHA1, SHA256, SHA384, SHA512)
TRANSPORTS = (
    PKCS1_V15,
    *(KeyTransport(one, one) for one in OAEP_HASHES),
    *(KeyTransport(one, SHA1) for one in OAEP_HASHES[1:]),
    KeyTransport(SHA1, SHA256),
)
LISTED = (MD5, SHA1, SHA256, SHA384, SHA512)


def _id(value: Cipher | Digest | KeyTransport) -> str:
    mgf = value.mgf if isinstance(value, KeyTransport) else None
    return value.name + (f"-{mgf.name}" if mgf else "")


@pytest.fixture(scope="module")
def lasting() -> Iterator[World]:
    """One CA at level legacy for the whole product of algorithms."""
    world = World()
    world.profile = replace(world.profile, crypto=LEGACY)
    yield world
    world.store.close()


def _algorithms(reply: bytes) -> tuple[Digest, Cipher]:
    """What a CertRep SUCCESS is signed and encrypted with."""
    signed_reply = SignedData.load(reply)
    return signed_reply.signer_info.digest, EnvelopedData.load(signed_reply.data).cipher


@pytest.mark.proves("R-2.9-a", "R-2.9-b", "R-3.5.2-f", "C-10", "C-16")
@pytest.mark.parametrize("digest", LISTED, ids=_id)
@pytest.mark.parametrize("key_transport", TRANSPORTS, ids=_id)
@pytest.mark.parametrize("cipher", ciphers.CIPHERS, ids=_id)
def test_every_combination_enrols_at_the_level_that_has_it(
    lasting: World, cipher: Cipher, key_transport: KeyTransport, digest: Digest
) -> None:
    """RFC 8894 2.9 and what devices send besides; the reply mirrors digest and cipher at legacy."""
    device = Device(cipher=cipher, key_transport=key_transport, digest=digest)

    for pss in (False, True):
        reply = lasting.respond(device.message(lasting.ca, pss=pss))

        assert isinstance(device.read(reply, lasting.ca), Success)
        assert _algorithms(reply) == (digest, cipher)


ACCEPTED_CIPHERS = {
    MODERN: {one: one for one in ciphers.CIPHERS if one not in (DES_CBC, DES_EDE3_CBC)},
    COMPATIBLE: {one: one for one in ciphers.CIPHERS} | {DES_CBC: DES_EDE3_CBC},
    LEGACY: {one: one for one in ciphers.CIPHERS},
}
ACCEPTED_DIGESTS = {
    MODERN: (SHA256, SHA384, SHA512),
    COMPATIBLE: (SHA1, SHA256, SHA384, SHA512),
    LEGACY: LISTED,
}


@pytest.mark.proves("N-042", "N-044", "R-2.9-a", "R-2.9-c", "R-3.5.2-f", "S-08")
@pytest.mark.parametrize("cipher", ciphers.CIPHERS, ids=_id)
@pytest.mark.parametrize("level", CryptoLevel)
def test_a_level_decides_on_the_cipher(device: Device, level: CryptoLevel, cipher: Cipher) -> None:
    """DES depends on the level, and its reply is 3DES below legacy (N-042, N-044)."""
    world = World(uses=1)
    world.profile = replace(world.profile, crypto=level)
    device.cipher = cipher

    reply = world.respond(device.message(world.ca))

    if cipher in ACCEPTED_CIPHERS[level]:
        certificate_of(device.read(reply, world.ca))
        assert _algorithms(reply) == (SHA256, ACCEPTED_CIPHERS[level][cipher])
    else:
        assert_refused(world, device.read(reply, world.ca), FailInfo.BAD_ALG)


@pytest.mark.proves("N-041", "N-044", "R-2.9-a", "R-2.9-c", "R-3.5.2-f", "S-08")
@pytest.mark.parametrize("pss", [False, True], ids=["PKCS1", "PSS"])
@pytest.mark.parametrize(
    ("level", "digest"), [*product(CryptoLevel, LISTED), (MODERN, SHA224)], ids=lambda value: value.name
)
def test_a_level_decides_on_the_digest(device: Device, level: CryptoLevel, digest: Digest, pss: bool) -> None:
    """MD5 and SHA-1 depend on the level; a refused digest is answered over SHA-256 (N-041, N-044)."""
    world = World(uses=1)
    world.profile = replace(world.profile, crypto=level)
    device.digest = digest

    reply = world.respond(device.message(world.ca, pss=pss))

    if digest in ACCEPTED_DIGESTS[level]:
        certificate_of(device.read(reply, world.ca))
        assert _algorithms(reply) == (digest, AES_128_CBC)
    else:
        assert_refused(world, device.read(reply, world.ca), FailInfo.BAD_ALG)
        assert SignedData.load(reply).signer_info.digest is SHA256


def test_a_refusal_mirrors_the_digest(world: World, device: Device) -> None:
    """An old device that knows no SHA-256 must be able to read why it was refused."""
    device.digest = SHA1

    reply = world.respond(device.message(world.ca, device.csr("wrong")))

    assert isinstance(device.read(reply, world.ca), Failure)
    assert SignedData.load(reply).signer_info.digest is SHA1


@pytest.mark.proves("R-2.3-g", "R-3.1-b")
@pytest.mark.parametrize("key_transport", [PKCS1_V15, KeyTransport(SHA256, SHA1)], ids=_id)
def test_a_reply_is_for_the_signer_alone_by_pkcs1(
    world: World, device: Device, key_transport: KeyTransport
) -> None:
    """RFC 8894 3.2.2: one recipient, named by the signer's own bytes; Apple opens PKCS #1 v1.5 alone."""
    device.key_transport = key_transport
    signer = device.certificate()

    reply = world.respond(device.message(world.ca))

    (recipient,) = EnvelopedData.load(SignedData.load(reply).data).recipients
    assert isinstance(recipient, KeyTransRecipient)
    assert recipient.key_transport == PKCS1_V15
    assert recipient.issuer is not None
    assert recipient.issuer.raw == signer.issuer_der
    assert recipient.serial_number == signer.serial_number


@pytest.mark.proves("C-13")
def test_two_replies_share_neither_key_nor_iv(world: World, device: Device) -> None:
    """RFC 5652 6.3: content key and IV are fresh for each message, so equal content looks different."""
    message = device.message(world.ca)

    keys, ivs = set(), set()
    for _ in range(3):
        content = SignedData.load(world.respond(message)).data
        envelope = read(content, "envelope", Deviations()).sequence()[1].only_child().sequence()
        (recipient,) = EnvelopedData.load(content).recipients
        assert isinstance(recipient, KeyTransRecipient)
        keys.add(device.key.decrypt(recipient.encrypted_key, padding.PKCS1v15()))
        ivs.add(envelope[-1].sequence()[1].sequence()[1].octets())

    assert (len(keys), len(ivs)) == (3, 3)
    assert {len(one) for one in keys | ivs} == {16}


@pytest.mark.parametrize("pss", [False, True], ids=["PKCS1", "PSS"])
def test_a_reply_names_plain_algorithms(world: World, device: Device, pss: bool) -> None:
    """What strongSwan and old iOS want: rsaEncryption, and a digestAlgorithm that is a hash."""
    reply = world.respond(device.message(world.ca, pss=pss))

    signer_info = read(reply, "reply", Deviations()).sequence()[1].only_child().sequence()[-1].only_child()
    _, _, digest_algorithm, _, signature_algorithm, _ = signer_info.sequence()
    assert digest_algorithm.raw == SHA256.identifier
    assert signature_algorithm.raw == RSA_ENCRYPTION_IDENTIFIER


def _oaep(hash_algorithm: bytes, mgf: bytes, *rest: bytes) -> bytes:
    parameters = writer.sequence(writer.explicit(0, hash_algorithm), writer.explicit(1, mgf), *rest)
    return writer.sequence(writer.oid("1.2.840.113549.1.1.7"), parameters)


_MGF1 = writer.sequence(writer.oid(MGF1), SHA256.identifier)
_LABEL = writer.sequence(writer.oid("1.2.840.113549.1.1.9"), writer.octet_string(b"label"))
UNKNOWN_TRANSPORTS = {
    "OAEP over MD5": _oaep(MD5.identifier, _MGF1),
    "MGF1 over MD5": _oaep(SHA256.identifier, writer.sequence(writer.oid(MGF1), MD5.identifier)),
    "an unknown hash": _oaep(writer.sequence(writer.oid("1.2.3.4")), _MGF1),
    "an unknown MGF": _oaep(SHA256.identifier, writer.sequence(writer.oid("1.2.3.4"), SHA256.identifier)),
    "a label": _oaep(SHA256.identifier, _MGF1, writer.explicit(2, _LABEL)),
    "no key transport": writer.sequence(writer.oid("1.2.3.4")),
}


@pytest.mark.proves("N-094", "C-10")
@pytest.mark.parametrize("algorithm", UNKNOWN_TRANSPORTS.values(), ids=UNKNOWN_TRANSPORTS.keys())
def test_an_unknown_key_transport_is_refused_as_an_algorithm(device: Device, algorithm: bytes) -> None:
    """RFC 8894 3.2.1.4: badAlg is for what is unrecognised or unsupported (N-094)."""
    world = World(uses=1)
    recipient = key_trans(by_name(world.ca), bytes(256), algorithm)
    content = replace(seal(device.csr(), world.ca), recipients=(recipient,)).der()

    outcome = device.read(world.respond(signed(device, content)), world.ca)

    assert_refused(world, outcome, FailInfo.BAD_ALG)


@pytest.mark.proves("N-043")
@pytest.mark.parametrize("oid", ["1.2.840.113549.3.2", ciphers.AES_128_GCM.oid, "1.2.3.4"])
def test_an_unknown_cipher_is_refused_as_an_algorithm(device: Device, oid: str) -> None:
    """RC2 is broken, GCM belongs into AuthEnvelopedData (RFC 5084 1.3), the rest is unknown (N-043)."""
    world = World(uses=1)
    content = replace(seal(device.csr(), world.ca), cipher_oid=oid).der()

    outcome = device.read(world.respond(signed(device, content)), world.ca)

    assert_refused(world, outcome, FailInfo.BAD_ALG)


@pytest.mark.proves("C-10")
def test_an_oaep_without_parameters_is_over_sha1(world: World, device: Device) -> None:
    """RFC 4055 4.1: absent means SHA-1, MGF1 with SHA-1 and no label."""
    content_key = bytes(range(16))
    public_key = rsa_key(0).public_key()
    bare = writer.sequence(writer.oid("1.2.840.113549.1.1.7"), writer.sequence())
    recipient = key_trans(by_name(world.ca), KeyTransport(SHA1, SHA1).wrap(public_key, content_key), bare)
    envelope = replace(
        seal(b"", world.ca),
        recipients=(recipient,),
        octets=AES_128_CBC.encrypt(content_key, bytes(range(16)), device.csr()),
    )

    certificate_of(device.read(world.respond(signed(device, envelope.der())), world.ca))


def test_weak_algorithms_in_use_are_kept(world: World, device: Device) -> None:
    """They can be switched off with evidence only where it is known who still uses them."""
    device.digest, device.cipher = SHA1, DES_CBC
    deviations = Deviations()

    world.respond(device.message(world.ca), deviations)

    assert {"weak-digest", "weak-cipher"} <= set(deviations.kinds())
