"""Public keys: which types and sizes are accepted, and loading them from a SubjectPublicKeyInfo."""

from functools import lru_cache
from typing import TypeAlias

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import load_der_public_key

from ca.algorithms.identifier import AlgorithmIdentifier
from ca.asn1 import Asn1Error, read, tags, writer
from ca.deviations import Deviations
from ca.errors import BadAlgorithm

PublicKey: TypeAlias = rsa.RSAPublicKey | ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey
PrivateKey: TypeAlias = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey

RSA_ENCRYPTION = "1.2.840.113549.1.1.1"
EC_PUBLIC_KEY = "1.2.840.10045.2.1"
ED25519 = "1.3.101.112"
CURVES = {
    "1.2.840.10045.3.1.7": "P-256",
    "1.3.132.0.34": "P-384",
    "1.3.132.0.35": "P-521",
}
MIN_RSA_BITS = 2048
# A larger modulus or exponent would let a stranger buy seconds of our time with one message.
MAX_RSA_BITS = 8192
MAX_EXPONENT_BITS = 64


@lru_cache(maxsize=512)
def load_public_key(spki: bytes, min_rsa_bits: int = MIN_RSA_BITS) -> PublicKey:
    """Load the key of a DER SubjectPublicKeyInfo, once it is known to be fit.

    A device's signer certificate and CSR mostly hold one key, and its polls repeat it: hence
    the cache.

    Raises:
        BadAlgorithm: Its type, size, curve or exponent is not one we accept, or it is no key.

    """
    try:
        _check_shape(spki, min_rsa_bits)
        key = load_der_public_key(spki)
    except (Asn1Error, ValueError, UnsupportedAlgorithm) as error:
        raise BadAlgorithm("the public key cannot be used", detail=str(error)) from error
    if not isinstance(key, rsa.RSAPublicKey | ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey):
        raise BadAlgorithm("this type of public key is not accepted")
    return key


def _check_shape(spki: bytes, min_rsa_bits: int) -> None:
    """Judge type and size from the encoding, before OpenSSL computes with them."""
    algorithm, key = read(spki, "subjectPublicKeyInfo", Deviations()).sequence(2, 2)
    identifier = AlgorithmIdentifier.read(algorithm)
    if identifier.oid == RSA_ENCRYPTION:
        _check_rsa(key.bits(), min_rsa_bits)
    elif identifier.oid == EC_PUBLIC_KEY:
        curve = identifier.parameters
        if curve is None or curve.tag != tags.OBJECT_IDENTIFIER or curve.oid() not in CURVES:
            raise BadAlgorithm("an EC key must be on a named curve: P-256, P-384 or P-521")
    elif identifier.oid != ED25519:
        raise BadAlgorithm("this type of public key is not accepted", detail=identifier.oid)


def _check_rsa(key: bytes, min_bits: int) -> None:
    modulus, exponent = (part.integer() for part in read(key, "RSAPublicKey", Deviations()).sequence(2, 2))
    bits = modulus.bit_length()
    if modulus < 0 or not min_bits <= bits <= MAX_RSA_BITS:
        raise BadAlgorithm(f"an RSA key must have {min_bits} to {MAX_RSA_BITS} bits", detail=f"{bits} bits")
    if modulus % 2 == 0 or exponent % 2 == 0 or not 3 <= exponent < 1 << MAX_EXPONENT_BITS:
        raise BadAlgorithm("the RSA key is not a sound one")


def key_label(key: PublicKey) -> str:
    """What an administrator calls the key: ``rsa:2048``, ``ec:p256``, ``ed25519``."""
    match key:
        case rsa.RSAPublicKey():
            return f"rsa:{key.key_size}"
        case ec.EllipticCurvePublicKey():
            return f"ec:p{key.curve.key_size}"
    return "ed25519"


RSA_ENCRYPTION_IDENTIFIER = writer.sequence(writer.oid(RSA_ENCRYPTION), writer.NULL)
