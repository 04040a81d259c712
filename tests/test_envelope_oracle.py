"""Whether a stranger who captured an envelope can make the server tell him what is in it."""

from dataclasses import replace

import pytest

from ca.asn1 import tags, writer
from ca.scep.messages import MessageType
from ca.x509.certificate import Certificate
from tests.forging_csr import Envelope, attribute, attributes_of, challenge, csr, flipped, seal, signed
from tests.world import SECRET, Device, World, rsa_key

pytestmark = pytest.mark.uses(1)


def _guessing(ca: Certificate, *, right: bool) -> tuple[bytes, Envelope]:
    """A captured CSR, and its envelope with a guess at the last octet of a block of the challenge.

    That block stands in the place of the last one; the padding is right where the guess is.
    """
    payload = next(
        request
        for length in range(32)
        if len(request := csr(challenge(SECRET), attribute("1.2.3.4", writer.utf8_string("x" * length)))) % 16
        == 15
    )
    envelope = seal(payload, ca)
    guessed = payload.index(SECRET.encode()) | 15
    guess = payload[guessed] ^ envelope.octets[guessed - 16] ^ (1 if right else 2)
    tail = bytes((*bytes(15), guess)) + envelope.octets[guessed - 15 : guessed + 1]
    return payload, replace(envelope, octets=envelope.octets[:-32] + tail)


@pytest.mark.proves("C-11", "N-091")
@pytest.mark.parametrize("right", [True, False])
def test_a_right_guess_at_a_captured_byte_looks_like_a_wrong_one(
    world: World, device: Device, right: bool
) -> None:
    """Vaudenay 2002, RFC 3218: 256 guesses a byte would read the challenge out of a captured message.

    A bit turned over in the CSR's key must not show that the padding was right.
    """
    payload, envelope = _guessing(world.ca, right=right)
    modulus = rsa_key(1).public_key().public_numbers().n.to_bytes(256, "big")
    even = flipped(envelope.octets, payload.index(modulus) + 255 - 16)

    outcome = device.read(world.respond(signed(device, replace(envelope, octets=even).der())), world.ca)

    assert outcome == device.read(world.respond(signed(device, seal(b"", world.ca).der())), world.ca)


@pytest.mark.proves("C-11", "N-091")
@pytest.mark.parametrize(
    "message_type",
    [MessageType.CERT_POLL, MessageType.GET_CERT, MessageType.GET_CRL],
    ids=lambda one: one.label,
)
def test_a_captured_envelope_tells_nothing_as_another_message(
    world: World, device: Device, message_type: MessageType
) -> None:
    """RFC 3218: the stranger who signs it anew chooses the messageType, and so what is looked for in it.

    By the IV he makes two elements of the CSR's three, and by a block before it an INTEGER of the
    signature: an IssuerAndSerialNumber, if the padding is right.
    """
    replies = []
    for right in (True, False):
        payload, envelope = _guessing(world.ca, right=right)
        algorithm = payload.rindex(writer.oid("1.2.840.113549.1.1.11")) - 2
        length, longer = payload[6:8], (int.from_bytes(payload[6:8], "big") + 15).to_bytes(2, "big")
        iv = flipped(flipped(envelope.iv, 6, length[0] ^ longer[0]), 7, length[1] ^ longer[1])
        octets = flipped(envelope.octets, algorithm + 15 - 16, tags.BIT_STRING ^ tags.INTEGER)
        content = replace(envelope, iv=iv, octets=octets).der()
        replies.append(world.respond(signed(device, content, message_type)))

    right_guess, wrong_guess = map(attributes_of, replies)
    assert right_guess == wrong_guess
