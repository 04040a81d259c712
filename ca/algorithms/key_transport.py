"""Key transport (RFC 3370 4.2.1, RFC 3560): a content key to and from an RSA key.

What comes in may be PKCS #1 v1.5 or RSAES-OAEP with any hash and a MGF1 hash of its own: Windows
sends OAEP. What goes out to devices is PKCS #1 v1.5: Apple reads nothing else.
"""

from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric import padding, rsa

from ca.algorithms import digests
from ca.algorithms.digests import Digest
from ca.algorithms.identifier import AlgorithmIdentifier, explicit_parameters, note_absent_parameters
from ca.algorithms.keys import RSA_ENCRYPTION, RSA_ENCRYPTION_IDENTIFIER
from ca.algorithms.signatures import MGF1, digest_of, mgf_digest_of
from ca.asn1 import Element, writer
from ca.errors import BadAlgorithm

RSAES_OAEP = "1.2.840.113549.1.1.7"
P_SPECIFIED = "1.2.840.113549.1.1.9"


@dataclass(frozen=True, slots=True)
class KeyTransport:
    """PKCS #1 v1.5, or RSAES-OAEP where a hash is named."""

    oaep: Digest | None = None
    mgf: Digest | None = None

    @property
    def name(self) -> str:
        """What a log calls it."""
        return f"RSAES-OAEP/{self.oaep.name}" if self.oaep else "RSAES-PKCS1-v1_5"

    @classmethod
    def read(cls, element: Element) -> "KeyTransport":
        """Read the keyEncryptionAlgorithm of a recipient.

        Raises:
            Asn1Error: It is no AlgorithmIdentifier.
            BadAlgorithm: It is not one of the two, or OAEP over a hash nobody may use.

        """
        identifier = AlgorithmIdentifier.read(element)
        if identifier.oid == RSA_ENCRYPTION:
            note_absent_parameters(element, "keyEncryptionAlgorithm")
            return PKCS1_V15
        if identifier.oid != RSAES_OAEP:
            raise BadAlgorithm("unknown key transport algorithm", detail=identifier.oid)
        given = explicit_parameters(identifier.parameters) if identifier.parameters else {}
        # RFC 4055 4.1: absent means SHA-1, MGF1 with SHA-1 and an empty label.
        oaep = digest_of(AlgorithmIdentifier.read(given[0])) if 0 in given else digests.SHA1
        mgf = mgf_digest_of(given[1]) if 1 in given else digests.SHA1
        if digests.MD5 in (oaep, mgf):
            raise BadAlgorithm("RSAES-OAEP over MD5 is not accepted")
        if 2 in given:
            _check_empty_label(given[2])
        return cls(oaep, mgf)

    def identifier(self) -> bytes:
        """The DER AlgorithmIdentifier, with OAEP's parameters written out."""
        if self.oaep is None:
            return RSA_ENCRYPTION_IDENTIFIER
        mgf = writer.sequence(writer.oid(MGF1), (self.mgf or self.oaep).identifier)
        parameters = writer.sequence(writer.explicit(0, self.oaep.identifier), writer.explicit(1, mgf))
        return writer.sequence(writer.oid(RSAES_OAEP), parameters)

    def _padding(self) -> padding.AsymmetricPadding:
        if self.oaep is None:
            return padding.PKCS1v15()
        mgf = padding.MGF1((self.mgf or self.oaep).primitive)
        return padding.OAEP(mgf, self.oaep.primitive, None)

    def wrap(self, key: rsa.RSAPublicKey, content_key: bytes) -> bytes:
        """Encrypt a content key."""
        return key.encrypt(content_key, self._padding())

    def unwrap(self, key: rsa.RSAPrivateKey, encrypted: bytes) -> bytes | None:
        """Decrypt a content key; None where the block is bad. Only ``decrypt`` may look."""
        try:
            return key.decrypt(encrypted, self._padding())
        except ValueError:
            return None


def _check_empty_label(element: Element) -> None:
    source = AlgorithmIdentifier.read(element)
    if source.oid != P_SPECIFIED or source.parameters is None or source.parameters.octets():
        raise BadAlgorithm("RSAES-OAEP with a label is not accepted")


PKCS1_V15 = KeyTransport()
