"""Public keys: which types and sizes are accepted, and loading them from a SubjectPublicKeyInfo."""

from functools import lru_cache
from typing import TypeAlias

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import load_der_public_key

from ca.algorithms.identifier import AlgorithmIdentifier
from ca.asn1 import Asn1Error, read, writer
from ca.deviations import Deviations
from ca.errors import BadAlgorithm

PublicKey: TypeAlias = rsa.RSAPublicKey | ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey
PrivateKey: TypeAlias = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey

RSA_ENCRYPTION = "1.2.840.113549.1.1.1"
ED25519 = "1.3.101.112"
CURVES = frozenset({"secp256r1", "secp384r1", "secp521r1"})
MIN_RSA_BITS = 2048
# A larger modulus or exponent would let a stranger buy seconds of our time with one message.
MAX_RSA_BITS = 8192
MAX_EXPONENT_BITS = 64


# More than a round of requests has; how many more devices there are is not to show in its time.
@lru_cache(maxsize=32)
def load_public_key(spki: bytes) -> PublicKey:
    """Load the key of a DER SubjectPublicKeyInfo, bounded so that computing with it costs little.

    Whether it is good enough is :func:`check_public_key`'s to say. A device's signer certificate
    and CSR mostly hold one key: hence the cache.

    Raises:
        BadAlgorithm: It is no key, of a type nobody uses here, or unreasonably large.

    """
    try:
        _check_bounds(spki)
        key = load_der_public_key(spki)
    except (Asn1Error, ValueError, UnsupportedAlgorithm) as error:
        raise BadAlgorithm("the public key cannot be used", detail=str(error)) from error
    if not isinstance(key, rsa.RSAPublicKey | ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey):
        raise BadAlgorithm("this type of public key is not accepted")
    return key


def check_public_key(key: PublicKey, min_rsa_bits: int = MIN_RSA_BITS) -> None:
    """Check type and size of a key that may be certified or may sign.

    Raises:
        BadAlgorithm: The RSA key is too short, or the EC key on a curve we do not certify.

    """
    if isinstance(key, rsa.RSAPublicKey):
        if key.key_size < min_rsa_bits:
            raise BadAlgorithm(f"an RSA key must have at least {min_rsa_bits} bits", detail=key_label(key))
    elif isinstance(key, ec.EllipticCurvePublicKey) and key.curve.name not in CURVES:
        raise BadAlgorithm("an EC key must be on P-256, P-384 or P-521", detail=key.curve.name)


def is_weak(key: PublicKey) -> bool:
    """Whether it is an RSA key that is too short to be certified, and may sign a message all the same."""
    return isinstance(key, rsa.RSAPublicKey) and key.key_size < MIN_RSA_BITS


def _check_bounds(spki: bytes) -> None:
    """Judge an RSA key's size from its encoding, before OpenSSL computes with it."""
    algorithm, key = read(spki, "subjectPublicKeyInfo", Deviations()).sequence(2, 2)
    if AlgorithmIdentifier.read(algorithm).oid != RSA_ENCRYPTION:
        return
    parts = read(key.bits(), "RSAPublicKey", Deviations()).sequence(2, 2)
    modulus, exponent = (part.integer() for part in parts)
    if modulus.bit_length() > MAX_RSA_BITS or exponent.bit_length() > MAX_EXPONENT_BITS:
        raise BadAlgorithm(f"an RSA key has at most {MAX_RSA_BITS} bits")
    if modulus <= 0 or modulus % 2 == 0 or exponent % 2 == 0 or exponent < 3:
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
