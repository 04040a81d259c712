"""Messages as libraries of others write them: read by ours and by OpenSSL, and other octets than DER."""

import shutil
import subprocess

import pytest

from ca.algorithms.ciphers import DES_CBC
from ca.algorithms.digests import SHA1
from ca.deviations import DeviationKind, Deviations
from ca.pkcs7 import EnvelopedData, SignedData, encrypt, sign
from ca.pkcs7.form import rewrite
from ca.scep import codec
from ca.scep.codec import Form, envelope_cipher
from ca.scep.messages import MessageType, Transaction
from ca.x509.certificate import Certificate
from tests.world import NONCE, Device, World, rsa_key, self_signed

KEY = rsa_key(0)
OWN = self_signed("Test CA", KEY)
PAYLOAD = bytes(2500)
NOTICED = {
    Form.DER: set(),
    Form.STREAMED: {DeviationKind.INDEFINITE_LENGTH, DeviationKind.CONSTRUCTED_STRING},
    Form.NESTED: {DeviationKind.CONSTRUCTED_STRING, DeviationKind.ABSENT_PARAMETERS},
}


@pytest.mark.parametrize("form", Form)
def test_an_envelope_opens_in_every_form(form: Form) -> None:
    """Jscep streams it; scepclient and node-forge put a string into a string."""
    noticed = Deviations()

    envelope = EnvelopedData.load(rewrite(encrypt([OWN], PAYLOAD), form), noticed)

    assert envelope.decrypt(KEY, OWN) == PAYLOAD
    assert {one.kind for one in noticed} <= NOTICED[form]


@pytest.mark.parametrize("form", Form)
def test_a_signature_holds_in_every_form(form: Form) -> None:
    """What is signed is copied (RFC 5652 5.4); only what is around it is written otherwise."""
    der = sign(OWN, KEY, PAYLOAD)

    signed = SignedData.load(rewrite(der, form))

    assert signed.verify() is signed.certificates[0]
    assert signed.data == PAYLOAD
    assert (rewrite(der, form) == der) == (form is Form.DER)


@pytest.mark.parametrize("form", Form)
def test_a_message_without_content_has_none_in_any_form(form: Form) -> None:
    """A refusal may go without (RFC 8894 3.2): there is nothing to cut in pieces then."""
    signed = SignedData.load(rewrite(sign(OWN, KEY, None), form))

    assert signed.content is None


@pytest.mark.parametrize("form", Form)
def test_a_request_is_read_in_every_form(form: Form, world: World) -> None:
    """And the server notices just that of it."""
    noticed, device = Deviations(), Device()
    message = codec.encode_request(
        MessageType.PKCS_REQ,
        device.csr(),
        Transaction("t1", NONCE),
        device.certificate(),
        device.key,
        world.ca,
        form=form,
        named_digest=form is Form.STREAMED,
    )

    device.read(world.respond(message, noticed), world.ca)

    assert {one.kind for one in noticed if one.kind in set().union(*NOTICED.values())} == NOTICED[form]
    if openssl := shutil.which("openssl"):
        verify = [openssl, "cms", "-verify", "-inform", "DER", "-binary", "-noverify"]
        done = subprocess.run(verify, input=message, capture_output=True, check=False)
        assert done.returncode == 0, done.stderr


def test_the_signature_algorithm_may_name_its_digest() -> None:
    """BouncyCastle writes sha1WithRSAEncryption where others write rsaEncryption; both hold."""
    bare, named = (sign(OWN, KEY, b"x", digest=SHA1, named_digest=named) for named in (False, True))

    assert bytes.fromhex("2a864886f70d010105") not in bare.replace(OWN.der, b"")
    assert bytes.fromhex("2a864886f70d010105") in named.replace(OWN.der, b"")
    assert isinstance(SignedData.load(named).verify(), Certificate)


def test_the_cipher_of_an_envelope_is_known_without_a_key() -> None:
    """A client that reads no other than it sent knows before it opens anything."""
    assert envelope_cipher(encrypt([OWN], PAYLOAD, DES_CBC)) is DES_CBC
