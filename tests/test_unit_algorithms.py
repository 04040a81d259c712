"""Algorithms by themselves: which of their forms are read, and what each level answers with."""

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from ca.algorithms.ciphers import AES_128_CBC, AES_256_GCM, DES_CBC, DES_EDE3_CBC, Cipher
from ca.algorithms.digests import SHA1, SHA256
from ca.algorithms.key_transport import PKCS1_V15, RSAES_OAEP, KeyTransport
from ca.algorithms.keys import PublicKey, key_label
from ca.algorithms.levels import CryptoLevel
from ca.algorithms.signatures import RSASSA_PSS, Scheme, SignatureAlgorithm
from ca.asn1 import Asn1Error, read, writer
from ca.deviations import Deviations
from ca.errors import BadAlgorithm
from tests.forging_csr import KEYS
from tests.world import rsa_key

KEY = rsa_key(0)
SECRET = b"what is signed"
LABEL = "1.2.840.113549.1.1.9"


def oaep(label_source: bytes) -> bytes:
    return writer.sequence(writer.oid(RSAES_OAEP), writer.sequence(writer.explicit(2, label_source)))


@pytest.mark.proves("C-10")
def test_an_oaep_with_its_empty_label_written_out_is_read() -> None:
    """RFC 4055 4.1: pSpecified of no octets is the default, which some write all the same."""
    source = writer.sequence(writer.oid(LABEL), writer.octet_string(b""))

    transport = KeyTransport.read(read(oaep(source), "test", Deviations()))

    assert (transport.oaep, transport.mgf) == (SHA1, SHA1)
    assert transport.unwrap(KEY, transport.wrap(KEY.public_key(), b"content key")) == b"content key"


@pytest.mark.proves("C-10")
@pytest.mark.parametrize(
    "source",
    [
        writer.sequence(writer.oid(LABEL), writer.octet_string(b"x")),
        writer.sequence(writer.oid(LABEL)),
        writer.sequence(writer.oid("1.2.3"), writer.octet_string(b"")),
    ],
)
def test_an_oaep_with_a_label_is_refused(source: bytes) -> None:
    """RFC 4055 4.1: nobody agreed on a label with us."""
    with pytest.raises(BadAlgorithm, match="label"):
        KeyTransport.read(read(oaep(source), "test", Deviations()))


@pytest.mark.parametrize("salt", [-1, 513])
def test_a_salt_of_impossible_length_is_refused(salt: int) -> None:
    """RFC 4055 3.1: a length is a claim of the sender."""
    parameters = writer.sequence(writer.explicit(2, writer.integer(salt)))
    identifier = writer.sequence(writer.oid(RSASSA_PSS), parameters)

    with pytest.raises(Asn1Error, match="salt"):
        SignatureAlgorithm.read(read(identifier, "test", Deviations()))


def test_a_pss_without_parameters_has_the_defaults() -> None:
    """RFC 4055 3.1: SHA-1, MGF1 over SHA-1, and 20 octets of salt."""
    identifier = writer.sequence(writer.oid(RSASSA_PSS))

    read_back = SignatureAlgorithm.read(read(identifier, "test", Deviations()))

    assert read_back == SignatureAlgorithm(Scheme.PSS, SHA1, SHA1, 20)


@pytest.mark.proves("R-2.9-c")
@pytest.mark.parametrize(
    ("level", "asked", "answered"),
    [
        (CryptoLevel.MODERN, DES_CBC, AES_128_CBC),
        (CryptoLevel.MODERN, DES_EDE3_CBC, AES_128_CBC),
        (CryptoLevel.COMPATIBLE, DES_CBC, DES_EDE3_CBC),
        (CryptoLevel.LEGACY, DES_CBC, DES_CBC),
        (CryptoLevel.MODERN, AES_256_GCM, AES_256_GCM),
    ],
)
def test_a_reply_is_under_no_cipher_that_its_level_forbids(
    level: CryptoLevel, asked: Cipher, answered: Cipher
) -> None:
    """RFC 8894 2.9: a client's cipher is mirrored only where it may be used."""
    assert level.reply_cipher(asked) is answered


@pytest.mark.parametrize(
    ("kind", "label"),
    [("RSA", "rsa:2048"), ("P-256", "ec:p256"), ("P-521", "ec:p521"), ("Ed25519", "ed25519")],
)
def test_a_key_has_a_name_for_people(kind: str, label: str) -> None:
    """It is what an administrator writes into settings and reads in a listing."""
    key: PublicKey = KEYS[kind]().public_key()

    assert key_label(key) == label


def test_an_ec_signature_is_no_rsa_signature() -> None:
    """RFC 5754 3: scheme and key belong together, whatever the octets are."""
    key = ec.generate_private_key(ec.SECP256R1())
    signature = key.sign(SECRET, ec.ECDSA(SHA256.primitive))

    assert SignatureAlgorithm(Scheme.ECDSA, SHA256).holds(key.public_key(), signature, SECRET, SHA256)
    assert not SignatureAlgorithm(Scheme.PKCS1, SHA256).holds(key.public_key(), signature, SECRET, SHA256)
    assert not SignatureAlgorithm(Scheme.ECDSA, SHA256).holds(KEY.public_key(), signature, SECRET, SHA256)


def test_pkcs1_names_the_key_transport_of_the_field() -> None:
    """RFC 3370 4.2.1; a log tells which of the two it was."""
    assert PKCS1_V15.name == "RSAES-PKCS1-v1_5"
    assert KeyTransport(SHA256, SHA256).name == "RSAES-OAEP/SHA-256"
