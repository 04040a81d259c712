"""The keys and digests of CSRs: which are certified, and how the others are refused."""

import hashlib
import secrets
from collections.abc import Callable
from dataclasses import replace
from time import perf_counter
from typing import TypeAlias

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from ca.algorithms.digests import MD5, SHA1, SHA256, SHA384, SHA512, Digest
from ca.algorithms.keys import RSA_ENCRYPTION_IDENTIFIER
from ca.algorithms.levels import CryptoLevel
from ca.asn1 import writer
from ca.errors import FailInfo
from tests.conformance.marks import cases
from tests.forging_csr import KEYS, Key, ask, assert_refused, challenge, csr, spki_of, subject
from tests.world import SECRET, Device, World, certificate_of, rsa_key

Forge: TypeAlias = Callable[[], bytes]


pytestmark = pytest.mark.uses(1)


def _prime(bits: int) -> int:
    while True:
        candidate = secrets.randbits(bits) | 3 << bits - 2 | 1
        # 65537 has to have an inverse, so that the key can sign.
        if candidate % 65537 != 1 and pow(2, candidate - 1, candidate) == 1:
            return candidate


def _rsa_spki(modulus: int, exponent: int) -> bytes:
    key = writer.sequence(writer.integer(modulus), writer.integer(exponent))
    return writer.sequence(RSA_ENCRYPTION_IDENTIFIER, writer.bit_string(key))


def _rsa_csr(modulus: int, exponent: int, private_exponent: int) -> bytes:
    """A CSR of an RSA key that no library would make, signed rightly by schoolbook RSA."""
    info = writer.sequence(
        writer.integer(0),
        subject(),
        _rsa_spki(modulus, exponent),
        writer.encode(0xA0, challenge(SECRET)),
    )
    digest_info = writer.sequence(SHA256.identifier, writer.octet_string(hashlib.sha256(info).digest()))
    octets = (modulus.bit_length() + 7) // 8
    padded = b"\0\1" + b"\xff" * (octets - len(digest_info) - 3) + b"\0" + digest_info
    signature = pow(int.from_bytes(padded, "big"), private_exponent, modulus).to_bytes(octets, "big")
    algorithm = writer.sequence(writer.oid("1.2.840.113549.1.1.11"), writer.NULL)
    return writer.sequence(info, algorithm, writer.bit_string(signature))


def _small_rsa(bits: int) -> bytes:
    p, q = _prime(bits // 2), _prime(bits // 2)
    return _rsa_csr(p * q, 65537, pow(65537, -1, (p - 1) * (q - 1)))


def _forged(spki: bytes) -> bytes:
    """A CSR over a key that nobody can check."""
    return csr(challenge(SECRET), spki=spki)


def _ec_spki(parameters: bytes, point: bytes) -> bytes:
    algorithm = writer.sequence(writer.oid("1.2.840.10045.2.1"), parameters)
    return writer.sequence(algorithm, writer.bit_string(point))


def _explicit_p256() -> bytes:
    prime = 2**256 - 2**224 + 2**192 + 2**96 - 1
    order = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
    b = 0x5AC635D8AA3A93E7B3EBBD55769886BC651D06B0CC53B0F63BCE3C3E27D2604B
    x = 0x6B17D1F2E12C4247F8BCE6E563A440F277037D812DEB33A0F4A13945D898C296
    y = 0x4FE342E2FE1A7F9B8EE7EB4A7C0F9E162BCE33576B315ECECBB6406837BF51F5
    point = b"\4" + x.to_bytes(32, "big") + y.to_bytes(32, "big")
    field = writer.sequence(writer.oid("1.2.840.10045.1.1"), writer.integer(prime))
    curve = writer.sequence(
        writer.octet_string((prime - 3).to_bytes(32, "big")), writer.octet_string(b.to_bytes(32, "big"))
    )
    parameters = writer.sequence(
        writer.integer(1), field, curve, writer.octet_string(point), writer.integer(order), writer.integer(1)
    )
    return _forged(_ec_spki(parameters, point))


def _dsa() -> bytes:
    numbers = writer.sequence(*(writer.integer(secrets.randbits(bits) | 1) for bits in (2048, 256, 2047)))
    algorithm = writer.sequence(writer.oid("1.2.840.10040.4.1"), numbers)
    return _forged(writer.sequence(algorithm, writer.bit_string(writer.integer(secrets.randbits(2000)))))


WEAK_KEYS: dict[str, Forge] = {
    "N-063 RSA of 512 bits": lambda: _small_rsa(512),
    "N-063 RSA of 1024 bits": lambda: _small_rsa(1024),
    "N-064 P-192": lambda: csr(challenge(SECRET), key=ec.generate_private_key(ec.SECP192R1())),
    "N-064 secp256k1": lambda: csr(challenge(SECRET), key=ec.generate_private_key(ec.SECP256K1())),
}


@pytest.mark.proves("P-09", "S-05", "R-3.2.1.4-a")
@pytest.mark.parametrize("forge", cases(WEAK_KEYS))
def test_a_weak_key_is_refused_as_an_algorithm(world: World, device: Device, forge: Forge) -> None:
    """RFC 8894 7.1, 3.2.1.4: told once the CSR is proven to be its sender's (N-063, N-064)."""
    assert_refused(world, ask(world, device, forge()), FailInfo.BAD_ALG)


UNCHECKABLE_KEYS: dict[str, Forge] = {
    "N-063 an even modulus": lambda: _forged(_rsa_spki(1 << 2047 | 2, 65537)),
    "N-063 an exponent of 1": lambda: _rsa_csr(rsa_key(1).public_key().public_numbers().n, 1, 1),
    "N-063 an even exponent": lambda: _forged(_rsa_spki(1 << 2047 | 1, 65536)),
    "N-063 a modulus of 20 000 bits": lambda: _forged(_rsa_spki(1 << 19_999 | 1, 65537)),
    "N-063 an exponent of 2000 bits": lambda: _forged(_rsa_spki(1 << 2047 | 1, 1 << 2000 | 1)),
    "N-063 a negative modulus": lambda: _forged(_rsa_spki(-(1 << 2047 | 1), 65537)),
    "N-064 DSA": _dsa,
    "N-064 explicit parameters": _explicit_p256,
    "N-064 a point off the curve": lambda: _forged(
        _ec_spki(writer.oid("1.2.840.10045.3.1.7"), b"\4" + b"\1" * 64)
    ),
    "N-064 the point at infinity": lambda: _forged(_ec_spki(writer.oid("1.2.840.10045.3.1.7"), b"\0")),
    "N-064 SM2": lambda: _forged(_ec_spki(writer.oid("1.2.156.10197.1.301"), b"\4" + b"\1" * 64)),
    "an Ed25519 key of 31 octets": lambda: _forged(
        writer.sequence(writer.sequence(writer.oid("1.3.101.112")), writer.bit_string(bytes(31)))
    ),
}


@pytest.mark.proves("P-09")
@pytest.mark.parametrize("forge", cases(UNCHECKABLE_KEYS))
def test_a_key_that_nobody_can_check_is_refused_like_an_unreadable_envelope(
    world: World, device: Device, forge: Forge
) -> None:
    """Its CSR may be a captured one with bits turned over, whose padding the answer would tell (RFC 3218).

    No message buys a second of arithmetic either (N-063, N-064).
    """
    payload = forge()
    unreadable = ask(world, device, b"no CSR")
    started = perf_counter()

    outcome = ask(world, device, payload)

    assert perf_counter() - started < 1
    assert_refused(world, outcome)
    assert outcome == unreadable


@pytest.mark.proves("N-065", "P-10")
@pytest.mark.parametrize(
    ("level", "digest"),
    [
        (CryptoLevel.MODERN, MD5),
        (CryptoLevel.MODERN, SHA1),
        (CryptoLevel.COMPATIBLE, MD5),
    ],
    ids=lambda value: value.name,
)
def test_a_csr_over_a_weak_digest_is_refused_as_an_algorithm(
    world: World, device: Device, level: CryptoLevel, digest: Digest
) -> None:
    """RFC 8894 2.9: MD5 never by default, SHA-1 not at modern; its signature is right (N-065)."""
    world.profile = replace(world.profile, crypto=level)

    assert_refused(world, ask(world, device, csr(challenge(SECRET), digest=digest)), FailInfo.BAD_ALG)


@pytest.mark.proves("P-10")
@pytest.mark.parametrize(
    ("level", "digest"),
    [
        (CryptoLevel.MODERN, SHA256),
        (CryptoLevel.MODERN, SHA384),
        (CryptoLevel.MODERN, SHA512),
        (CryptoLevel.COMPATIBLE, SHA1),
        (CryptoLevel.LEGACY, MD5),
    ],
    ids=lambda value: value.name,
)
def test_a_csr_over_an_accepted_digest_is_certified(
    world: World, device: Device, level: CryptoLevel, digest: Digest
) -> None:
    """Old gear signs CSRs over what it has; the level says how old it may be (P-10)."""
    world.profile = replace(world.profile, crypto=level)

    certificate_of(ask(world, device, csr(challenge(SECRET), digest=digest)))


@pytest.mark.proves("P-09", "R-3.3.1-b")
@pytest.mark.parametrize("make", KEYS.values(), ids=KEYS.keys())
def test_a_key_of_a_good_type_is_certified(world: World, device: Device, make: Callable[[], Key]) -> None:
    """The CSR's key may be of another type than the RSA key that signs and decrypts (RFC 8894 2.3)."""
    key = make()

    certificate = certificate_of(ask(world, device, csr(challenge(SECRET), key=key), spki=spki_of(key)))

    assert certificate.spki == spki_of(key)
