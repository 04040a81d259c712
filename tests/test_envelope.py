"""Envelopes that do not open, or hold something else: what a stranger may learn from the answer."""

import os
from collections.abc import Callable
from dataclasses import replace
from typing import TypeAlias

import pytest

from ca.algorithms.ciphers import AES_128_CBC, AES_128_GCM
from ca.asn1 import writer
from ca.deviations import Deviations
from ca.errors import FailInfo
from ca.pkcs7 import encrypt
from ca.pkcs7 import oids as cms
from ca.scep.messages import MessageType
from ca.x509.certificate import Certificate
from tests.conformance.marks import cases
from tests.forging_csr import (
    Envelope,
    assert_refused,
    attribute,
    attributes_of,
    by_key_identifier,
    by_name,
    challenge,
    csr,
    flipped,
    key_trans,
    seal,
    signed,
    spki_of,
    wrap,
)
from tests.world import SECRET, Device, World, certificate_of, rsa_key, self_signed

Spoil: TypeAlias = Callable[[Certificate, bytes], bytes]


pytestmark = pytest.mark.uses(1)


def _other_ca() -> Certificate:
    return self_signed("Other CA", rsa_key(7))


def _to(ca: Certificate, payload: bytes, *recipients: bytes) -> bytes:
    """The right content with other recipients."""
    return replace(seal(payload, ca), recipients=recipients).der()


def _with_key(ca: Certificate, payload: bytes, content_key: bytes) -> bytes:
    """A content key of some length in a sound block."""
    return _to(ca, payload, key_trans(by_name(ca), wrap(ca, content_key)))


def _change(ca: Certificate, payload: bytes, index: int) -> bytes:
    envelope = seal(payload, ca)
    return replace(envelope, octets=flipped(envelope.octets, index)).der()


def _truncate(ca: Certificate, payload: bytes, length: int | None) -> bytes:
    envelope = seal(payload, ca)
    return replace(envelope, octets=envelope.octets[:length]).der()


def _change_iv(ca: Certificate, payload: bytes) -> bytes:
    envelope = seal(payload, ca)
    return replace(envelope, iv=flipped(envelope.iv, 0)).der()


def _change_tag(ca: Certificate, payload: bytes) -> bytes:
    return flipped(encrypt([ca], payload, AES_128_GCM), -1)


def _change_signature(ca: Certificate, payload: bytes) -> bytes:
    return seal(flipped(payload, -1), ca).der()


def _change_algorithm(mask: int) -> Spoil:
    """Turn bits of sha256WithRSAEncryption over by the ciphertext block before it.

    Whoever captured a message can do it, for he knows what stands there. The block that this
    spoils lies in an attribute, which nobody reads before the proof.
    """

    def spoil(ca: Certificate, _: bytes) -> bytes:
        for length in range(64, 80):
            filler = attribute("1.2.840.113549.1.9.2", writer.utf8_string("x" * length))
            payload = csr(challenge(SECRET), filler)
            last_octet = payload.rindex(writer.oid("1.2.840.113549.1.1.11")) + 10
            # The whole AlgorithmIdentifier up to there in one block.
            if last_octet % 16 == 15:
                break
        envelope = seal(payload, ca)
        return replace(envelope, octets=flipped(envelope.octets, last_octet - 16, mask)).der()

    return spoil


UNREADABLE: dict[str, Spoil] = {
    "N-089 for another CA": lambda _, payload: seal(payload, _other_ca()).der(),
    "N-090 a key of random octets": lambda ca, payload: _to(
        ca, payload, key_trans(by_name(ca), b"\0" + os.urandom(255))
    ),
    "N-090 a key that is too short": lambda ca, payload: _to(ca, payload, key_trans(by_name(ca), b"\1" * 9)),
    "N-090 a key above the modulus": lambda ca, payload: _to(
        ca, payload, key_trans(by_name(ca), b"\xff" * 256)
    ),
    "N-090 a content key of 15 octets": lambda ca, payload: _with_key(ca, payload, bytes(15)),
    "N-090 a content key of 32 octets": lambda ca, payload: _with_key(ca, payload, bytes(32)),
    "N-090 a content key of no octets": lambda ca, payload: _with_key(ca, payload, b""),
    "N-090 another content key": lambda ca, payload: _with_key(ca, payload, bytes(16)),
    "N-091 the last block altered": lambda ca, payload: _change(ca, payload, -1),
    "N-091 the padding altered": lambda ca, payload: _change(ca, payload, -17),
    "N-091 the first block altered": lambda ca, payload: _change(ca, payload, 0),
    "N-091 a block within altered": lambda ca, payload: _change(ca, payload, 400),
    "N-091 the IV altered": _change_iv,
    "N-091 the GCM tag altered": _change_tag,
    "N-092 no ciphertext": lambda ca, payload: _truncate(ca, payload, 0),
    "N-092 no whole blocks": lambda ca, payload: _truncate(ca, payload, -1),
    "N-092 blocks missing": lambda ca, payload: _truncate(ca, payload, -64),
    "N-098 for an unknown key identifier": lambda ca, payload: _to(
        ca, payload, key_trans(by_key_identifier(b"nobody"), wrap(_other_ca(), bytes(16)))
    ),
    "N-116 for the next CA": lambda _, payload: seal(payload, self_signed("Test CA", rsa_key(7))).der(),
    "N-047 another payload": lambda ca, _: seal(writer.sequence(ca.issuer_der, ca.serial_der), ca).der(),
    "N-049 bytes after the CSR": lambda ca, payload: seal(payload + b"\0", ca).der(),
    "N-049 a line end after the CSR": lambda ca, payload: seal(payload + b"\r\n", ca).der(),
    "N-060 the CSR's signature broken": _change_signature,
    "N-060 another key in the CSR": lambda ca, _: seal(
        csr(challenge(SECRET), spki=spki_of(rsa_key(2))), ca
    ).der(),
    "an unknown algorithm in the CSR": _change_algorithm(0x0B ^ 0x63),
    "MD5 in the CSR": _change_algorithm(0x0B ^ 0x04),
}


@pytest.mark.proves("C-11", "R-3.2.2-b", "R-3.2-b", "C-13")
@pytest.mark.parametrize("spoil", cases(UNREADABLE))
def test_what_is_wrong_behind_the_encryption_is_not_told(world: World, device: Device, spoil: Spoil) -> None:
    """RFC 3218: one answer to everything, or a captured message can be read byte by byte (N-089..092)."""
    message = signed(device, spoil(world.ca, csr(challenge(SECRET))))
    reference = world.respond(signed(device, seal(b"no CSR", world.ca).der()))

    reply = world.respond(message)

    assert_refused(world, device.read(reply, world.ca))
    assert attributes_of(reply) == attributes_of(reference)
    assert len(reply) == len(reference)


WRONG_CONTENT: dict[str, Spoil] = {
    "N-045 signedData inside": lambda ca, payload: replace(
        seal(payload, ca), content_type=cms.SIGNED_DATA
    ).der(),
    "N-046 a bare CSR": lambda _, payload: payload,
    "N-093 an IV of no octets": lambda ca, payload: replace(seal(payload, ca), iv=b"").der(),
    "N-093 an IV of 8 octets": lambda ca, payload: replace(seal(payload, ca), iv=bytes(8)).der(),
    "N-093 an IV of 17 octets": lambda ca, payload: replace(seal(payload, ca), iv=bytes(17)).der(),
    "N-097 a thousand recipients": lambda ca, payload: _to(
        ca, payload, *(key_trans(by_key_identifier(b"%d" % one), b"\1" * 256) for one in range(1000))
    ),
    "no recipients": lambda ca, payload: replace(seal(payload, ca), recipients=()).der(),
    "an empty content": lambda _ca, _payload: b"",
}


@pytest.mark.proves("R-3.1-e", "R-3.2.2-a")
@pytest.mark.parametrize("spoil", cases(WRONG_CONTENT))
def test_what_is_no_envelope_is_refused(world: World, device: Device, spoil: Spoil) -> None:
    """RFC 8894 3.2.2, 3.2: the content of a PKCSReq is one CMS envelope around one CSR."""
    reply = world.respond(signed(device, spoil(world.ca, csr(challenge(SECRET)))))

    if spoil is WRONG_CONTENT["no recipients"]:
        assert_refused(world, device.read(reply, world.ca), FailInfo.BAD_ALG)
    else:
        assert_refused(world, device.read(reply, world.ca))


@pytest.mark.proves("N-048")
def test_a_get_cert_with_a_csr_inside_is_refused(world: World, device: Device) -> None:
    """RFC 8894 3.3.4: a GetCert holds an IssuerAndSerialNumber, and issues nothing (N-048)."""
    message = signed(device, seal(csr(challenge(SECRET)), world.ca).der(), MessageType.GET_CERT)

    assert_refused(world, device.read(world.respond(message), world.ca), FailInfo.BAD_CERT_ID)


def _password_recipient(iterations: int) -> bytes:
    """A PasswordRecipientInfo with PBKDF2 (RFC 5652 6.2.4)."""
    derivation = writer.sequence(
        writer.oid("1.2.840.113549.1.5.12"),
        writer.sequence(writer.octet_string(bytes(8)), writer.integer(iterations)),
    )
    inner = writer.sequence(writer.oid(AES_128_CBC.oid), writer.octet_string(bytes(16)))
    encryption = writer.sequence(writer.oid("1.2.840.113549.1.9.16.3.9"), inner)
    parts = (
        writer.integer(0),
        writer.encode(0xA0, derivation[2:]),
        encryption,
        writer.octet_string(bytes(32)),
    )
    return writer.encode(0xA3, b"".join(parts))


@pytest.mark.proves("N-095")
@pytest.mark.parametrize("iterations", [2048, 2**31])
def test_an_envelope_under_a_password_is_refused(world: World, device: Device, iterations: int) -> None:
    """RFC 8894 3.1 has it for keys that cannot encrypt; ours can, and nothing is derived (N-095)."""
    content = _to(world.ca, csr(challenge(SECRET)), _password_recipient(iterations))

    assert_refused(world, device.read(world.respond(signed(device, content)), world.ca))


@pytest.mark.proves("N-096", "C-15")
def test_an_envelope_by_key_agreement_is_refused_as_an_algorithm(world: World, device: Device) -> None:
    """RFC 5753 is not part of RFC 8894, and an RSA key agrees on nothing (N-096)."""
    key_agreement = writer.encode(0xA1, writer.integer(3) + writer.octet_string(bytes(32)))
    content = _to(world.ca, csr(challenge(SECRET)), key_agreement)

    outcome = device.read(world.respond(signed(device, content)), world.ca)

    assert_refused(world, outcome, FailInfo.BAD_ALG)


def _others(ca: Certificate, content_key: bytes, *, ours: bytes) -> dict[str, tuple[bytes, ...]]:
    mine = wrap(ca, content_key)
    stranger = key_trans(by_name(_other_ca()), wrap(_other_ca(), content_key))
    return {
        "ours last": (stranger, key_trans(by_name(ca), mine)),
        "two for us": (key_trans(by_name(ca), mine), key_trans(by_key_identifier(ours), mine)),
        "by key identifier": (key_trans(by_key_identifier(ours), mine),),
        "unknown kinds first": (_password_recipient(1), stranger, key_trans(by_name(ca), mine)),
    }


@pytest.mark.proves("C-08", "C-09")
@pytest.mark.parametrize("kind", ["ours last", "two for us", "by key identifier", "unknown kinds first"])
def test_our_recipient_is_found_among_several(world: World, device: Device, kind: str) -> None:
    """RFC 5652 6.1: step-ca's clients encrypt to RA and CA, each named either way."""
    content_key = bytes(range(16))
    recipients = _others(world.ca, content_key, ours=world.ca.subject_key_identifier)[kind]
    octets = AES_128_CBC.encrypt(content_key, bytes(16), device.csr())
    message = signed(device, Envelope(recipients, bytes(16), octets).der())

    certificate_of(device.read(world.respond(message), world.ca))


@pytest.mark.parametrize(
    "identifier",
    [by_key_identifier(b"odd"), by_name(self_signed("Odd", rsa_key(7)))],
    ids=["key identifier", "name"],
)
def test_a_recipient_named_wrongly_is_found_again(world: World, device: Device, identifier: bytes) -> None:
    """Whole fleets name the CA's certificate wrongly while our key opens the envelope: kept, not refused."""
    content_key = bytes(range(16))
    recipients = (key_trans(identifier, wrap(world.ca, content_key)),)
    octets = AES_128_CBC.encrypt(content_key, bytes(16), device.csr())
    deviations = Deviations()

    reply = world.respond(signed(device, Envelope(recipients, bytes(16), octets).der()), deviations)

    certificate_of(device.read(reply, world.ca))
    assert "recipient-refound" in deviations.kinds()


@pytest.mark.proves("N-097")
def test_a_thousand_recipients_cost_no_thousand_decryptions(world: World, device: Device) -> None:
    """One message buys one RSA operation at most, wherever our recipient stands (N-097)."""
    right = seal(device.csr(), world.ca)
    many = (*(key_trans(by_key_identifier(b"%d" % one), b"\1" * 256) for one in range(15)), *right.recipients)

    reply = world.respond(signed(device, replace(right, recipients=many).der()))

    certificate_of(device.read(reply, world.ca))
