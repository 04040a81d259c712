"""Opening an envelope for a person who has the key: whomever it names, and with words for what fails."""

import pytest

from ca.asn1 import writer
from ca.errors import BadContent, EnvelopeUnreadable
from ca.pkcs7 import encrypt, encrypt_with_password
from ca.scep.codec import open_envelope
from tests.forging import envelope
from tests.world import SECRET, World, rsa_key, self_signed

AES_128_CBC = "2.16.840.1.101.3.4.1.2"


@pytest.fixture(scope="module")
def world() -> World:
    return World()


def test_the_key_is_tried_on_every_recipient(world: World) -> None:
    """Somebody may have named his own certificate first, or nobody's by a name that fits."""
    message = encrypt([self_signed("other", rsa_key(2)), self_signed("stranger", world.key)], b"payload")

    assert open_envelope(message, world.key, None) == b"payload"


def test_a_password_opens_what_is_sealed_with_one() -> None:
    """As replies to clients without RSA keys are."""
    assert open_envelope(encrypt_with_password(SECRET, b"payload"), None, SECRET) == b"payload"


def test_another_key_does_not_open_it(world: World) -> None:
    """And that is what is said."""
    with pytest.raises(EnvelopeUnreadable):
        open_envelope(encrypt([world.ca], b"payload"), rsa_key(3), None)


def test_the_right_key_does_not_open_what_was_damaged(world: World) -> None:
    """The content key fits, and the padding behind it is wrong."""
    damaged = envelope(world.ca, AES_128_CBC, writer.octet_string(bytes(16)))

    with pytest.raises(EnvelopeUnreadable):
        open_envelope(damaged, world.key, None)


@pytest.mark.parametrize("password", [None, SECRET])
def test_what_does_not_fit_the_envelope_is_said(world: World, password: str | None) -> None:
    """A key for what is sealed with a password, and nothing at all."""
    with pytest.raises(BadContent):
        open_envelope(encrypt_with_password(SECRET, b"payload"), world.key if password else None, None)
