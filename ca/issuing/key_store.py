"""Private keys in files: making, writing and loading them."""

from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from ca.algorithms.keys import PrivateKey

_RSA_BITS = {"rsa:2048": 2048, "rsa:3072": 3072, "rsa:4096": 4096}
_CURVES: dict[str, ec.EllipticCurve] = {"ec:p256": ec.SECP256R1(), "ec:p384": ec.SECP384R1()}
KEY_TYPES = (*_RSA_BITS, *_CURVES)
CLIENT_KEY_TYPES = (*KEY_TYPES, "ed25519")
# Of a file with a key; a device has no end.
_MOST_OCTETS = 64 << 10


class KeyUnusable(Exception):
    """A private key cannot be loaded or is of no use here; the text says why."""


def generate_rsa_key(bits: int) -> rsa.RSAPrivateKey:
    """A new RSA key."""
    return rsa.generate_private_key(65537, bits)


def generate_key(key_type: str) -> PrivateKey:
    """A new key of one of ``CLIENT_KEY_TYPES``."""
    if key_type == "ed25519":
        return ed25519.Ed25519PrivateKey.generate()
    if key_type in _CURVES:
        return ec.generate_private_key(_CURVES[key_type])
    return generate_rsa_key(_RSA_BITS[key_type])


def encode_private_key(key: PrivateKey) -> bytes:
    """PEM, PKCS #8, not encrypted: the file's rights protect it."""
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def load_private_key(pem: bytes, passphrase: bytes | None = None) -> PrivateKey:
    """Load a PEM private key.

    Raises:
        KeyUnusable: It is none, the passphrase is wrong or missing, or its type is not RSA, EC or
            Ed25519.

    """
    try:
        key = serialization.load_pem_private_key(pem, passphrase)
    except TypeError as error:
        missing = "is encrypted, and no passphrase was given" if passphrase is None else "is not encrypted"
        raise KeyUnusable(f"the private key {missing}") from error
    except (ValueError, UnsupportedAlgorithm) as error:
        wrong = "" if passphrase is None else ", or the passphrase is wrong"
        raise KeyUnusable(f"the private key cannot be read{wrong}") from error
    if not isinstance(key, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey):
        raise KeyUnusable("the private key is neither RSA nor EC nor Ed25519")
    return key


def read_private_key(path: Path, passphrase: bytes | None = None) -> PrivateKey:
    """Load the PEM private key in a file, which is named where it is of no use.

    Raises:
        OSError: The file cannot be read.
        KeyUnusable: As for :func:`load_private_key`, or the file is longer than 64 KiB.

    """
    with path.open("rb") as file:
        pem = file.read(_MOST_OCTETS + 1)
    if len(pem) > _MOST_OCTETS:
        raise KeyUnusable(f"{path}: longer than any private key ({_MOST_OCTETS >> 10} KiB)")
    try:
        return load_private_key(pem, passphrase)
    except KeyUnusable as error:
        raise KeyUnusable(f"{path}: {error}") from error
