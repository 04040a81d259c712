"""Signature algorithms: an AlgorithmIdentifier and a key in, OpenSSL's verdict out.

RSA PKCS #1 v1.5 (RFC 3370 3.2, RFC 5754 3.2), RSASSA-PSS (RFC 4056), ECDSA (RFC 5754 3.3) and
Ed25519 (RFC 8410, RFC 8419).
"""

from dataclasses import dataclass
from enum import Enum, auto

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa

from ca.algorithms import digests
from ca.algorithms.digests import Digest
from ca.algorithms.identifier import AlgorithmIdentifier, explicit_parameters, note_absent_parameters
from ca.algorithms.keys import (
    ED25519,
    RSA_ENCRYPTION,
    RSA_ENCRYPTION_IDENTIFIER,
    PrivateKey,
    PublicKey,
)
from ca.asn1 import Asn1Error, Element, writer
from ca.errors import BadAlgorithm

RSASSA_PSS = "1.2.840.113549.1.1.10"
MGF1 = "1.2.840.113549.1.1.8"
_MAX_SALT = 512

_RSA = {
    "1.2.840.113549.1.1.4": digests.MD5,
    "1.2.840.113549.1.1.5": digests.SHA1,
    "1.3.14.3.2.29": digests.SHA1,  # sha1WithRSASignature of OIW, from old Microsoft tools
    "1.2.840.113549.1.1.14": digests.SHA224,
    "1.2.840.113549.1.1.11": digests.SHA256,
    "1.2.840.113549.1.1.12": digests.SHA384,
    "1.2.840.113549.1.1.13": digests.SHA512,
}
_ECDSA = {
    "1.2.840.10045.4.1": digests.SHA1,
    "1.2.840.10045.4.3.1": digests.SHA224,
    "1.2.840.10045.4.3.2": digests.SHA256,
    "1.2.840.10045.4.3.3": digests.SHA384,
    "1.2.840.10045.4.3.4": digests.SHA512,
}
_RSA_OID = {digest.name: oid for oid, digest in _RSA.items() if oid != "1.3.14.3.2.29"}
_ECDSA_OID = {digest.name: oid for oid, digest in _ECDSA.items()}


class Scheme(Enum):
    """How a digest becomes a signature."""

    PKCS1 = auto()
    PSS = auto()
    ECDSA = auto()
    ED25519 = auto()


@dataclass(frozen=True, slots=True)
class SignatureAlgorithm:
    """A scheme with its digest; None is a bare ``rsaEncryption``, which names none."""

    scheme: Scheme
    digest: Digest | None
    mgf_digest: Digest | None = None
    salt_octets: int = 0

    @classmethod
    def read(cls, element: Element) -> "SignatureAlgorithm":
        """Read an AlgorithmIdentifier.

        Raises:
            Asn1Error: It is none.
            BadAlgorithm: We do not know it.

        """
        identifier = AlgorithmIdentifier.read(element)
        oid = identifier.oid
        if oid == RSA_ENCRYPTION or oid in _RSA:
            note_absent_parameters(element, "signatureAlgorithm")
            return cls(Scheme.PKCS1, _RSA.get(oid))
        if oid in _ECDSA:
            return cls(Scheme.ECDSA, _ECDSA[oid])
        if oid == RSASSA_PSS:
            return _read_pss(identifier.parameters)
        if oid == ED25519:
            return cls(Scheme.ED25519, None)
        raise BadAlgorithm("unknown signature algorithm", detail=oid)

    def holds(self, key: PublicKey, signature: bytes, data: bytes, digest: Digest) -> bool:
        """Whether *signature* is *key*'s over *data*, hashed with *digest*."""
        try:
            match self.scheme, key:
                case Scheme.PKCS1, rsa.RSAPublicKey():
                    key.verify(signature, data, padding.PKCS1v15(), digest.primitive)
                case Scheme.PSS, rsa.RSAPublicKey():
                    key.verify(signature, data, self._pss(digest), digest.primitive)
                case Scheme.ECDSA, ec.EllipticCurvePublicKey():
                    key.verify(signature, data, ec.ECDSA(digest.primitive))
                case Scheme.ED25519, ed25519.Ed25519PublicKey():
                    key.verify(signature, data)
                case _:
                    return False
        except (InvalidSignature, UnsupportedAlgorithm, ValueError):
            return False
        return True

    def _pss(self, digest: Digest) -> padding.PSS:
        mgf = padding.MGF1((self.mgf_digest or digest).primitive)
        return padding.PSS(mgf, self.salt_octets)


def digest_of(identifier: AlgorithmIdentifier) -> Digest:
    """Raises: BadAlgorithm: The digest is one we do not know."""
    try:
        return digests.BY_OID[identifier.oid]
    except KeyError:
        raise BadAlgorithm("unknown digest algorithm", detail=identifier.oid) from None


def mgf_digest_of(element: Element) -> Digest:
    """The digest inside a MGF1 AlgorithmIdentifier (RFC 4055 2.2)."""
    mgf = AlgorithmIdentifier.read(element)
    if mgf.oid != MGF1 or mgf.parameters is None:
        raise BadAlgorithm("unknown mask generation function", detail=mgf.oid)
    return digest_of(AlgorithmIdentifier.read(mgf.parameters))


def _read_pss(parameters: Element | None) -> SignatureAlgorithm:
    """RFC 4055 3.1: each member has a default, SHA-1 and 20 octets of salt."""
    given = explicit_parameters(parameters) if parameters else {}
    digest = digest_of(AlgorithmIdentifier.read(given[0])) if 0 in given else digests.SHA1
    mgf = mgf_digest_of(given[1]) if 1 in given else digests.SHA1
    salt = given[2].integer() if 2 in given else 20
    if not 0 <= salt <= _MAX_SALT:
        raise Asn1Error("PSS salt of an impossible length")
    return SignatureAlgorithm(Scheme.PSS, digest, mgf, salt)


def sign(key: PrivateKey, data: bytes, digest: Digest, *, pss: bool = False) -> bytes:
    """Sign *data* with RSA PKCS #1 v1.5, RSASSA-PSS, ECDSA, or Ed25519, which has a digest of its own."""
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return key.sign(data)
    if isinstance(key, ec.EllipticCurvePrivateKey):
        return key.sign(data, ec.ECDSA(digest.primitive))
    if pss:
        salt = digest.primitive.digest_size
        return key.sign(data, padding.PSS(padding.MGF1(digest.primitive), salt), digest.primitive)
    return key.sign(data, padding.PKCS1v15(), digest.primitive)


def cms_identifier(key: PrivateKey, digest: Digest, *, pss: bool = False) -> bytes:
    """The AlgorithmIdentifier of a SignerInfo.

    For PKCS #1 v1.5 it is the bare ``rsaEncryption``: strongSwan and old iOS insist on it.
    """
    if not isinstance(key, rsa.RSAPrivateKey):
        return certificate_identifier(key, digest)
    if not pss:
        return RSA_ENCRYPTION_IDENTIFIER
    mgf = writer.sequence(writer.oid(MGF1), digest.identifier)
    salt = writer.integer(digest.primitive.digest_size)
    parameters = writer.sequence(
        writer.explicit(0, digest.identifier), writer.explicit(1, mgf), writer.explicit(2, salt)
    )
    return writer.sequence(writer.oid(RSASSA_PSS), parameters)


def fitting_digest(key: PrivateKey) -> Digest:
    """The digest that *key* is best used with: as strong as the curve (RFC 5480 4)."""
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return digests.SHA512
    if isinstance(key, ec.EllipticCurvePrivateKey):
        return {384: digests.SHA384, 521: digests.SHA512}.get(key.curve.key_size, digests.SHA256)
    return digests.SHA256


def certificate_identifier(key: PrivateKey, digest: Digest) -> bytes:
    """The AlgorithmIdentifier of a certificate: sha256WithRSAEncryption and its kin."""
    if isinstance(key, ed25519.Ed25519PrivateKey):
        # RFC 8410 3: no parameters.
        return writer.sequence(writer.oid(ED25519))
    if isinstance(key, ec.EllipticCurvePrivateKey):
        return writer.sequence(writer.oid(_ECDSA_OID[digest.name]))
    return writer.sequence(writer.oid(_RSA_OID[digest.name]), writer.NULL)
