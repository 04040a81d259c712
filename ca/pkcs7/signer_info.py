"""One SignerInfo (RFC 5652 5.3): who signed, with what, and the attributes under the signature."""

from collections.abc import Mapping
from dataclasses import dataclass

from ca.algorithms import digests
from ca.algorithms.digests import Digest
from ca.algorithms.identifier import AlgorithmIdentifier
from ca.algorithms.levels import CryptoLevel
from ca.algorithms.signatures import SignatureAlgorithm, digest_of
from ca.asn1 import Asn1Error, Element, tags, writer
from ca.deviations import DeviationKind
from ca.errors import BadMessageCheck
from ca.x509.certificate import Certificate
from ca.x509.name import Name

MAX_ATTRIBUTES = 64


@dataclass(frozen=True, slots=True)
class SignerInfo:
    """A SignerInfo, its signature not verified.

    *issuer_der* and *serial_number* name the signer, or *subject_key_identifier* does.
    *attributes* maps a dotted OID to the values of every signed attribute of that type: RFC 5652
    5.3 allows one, but who reads must see the others to refuse them.
    """

    issuer_der: bytes
    serial_number: int
    subject_key_identifier: bytes | None
    attributes: Mapping[str, list[Element]]
    _digest_algorithm: AlgorithmIdentifier
    _signature_algorithm: Element
    _signed_attributes: Element | None
    _signature: bytes

    @classmethod
    def read(cls, element: Element) -> "SignerInfo":
        """Raises: Asn1Error: It is no SignerInfo."""
        version, sid, digest_algorithm, *rest = element.sequence(5, 7)
        signed = rest.pop(0) if rest[0].tag == tags.CONTEXT_0_CONSTRUCTED else None
        if len(rest) < 2:
            raise Asn1Error("SignerInfo of too few parts")
        key_identifier = None
        issuer_der, serial_number = b"", 0
        if sid.tag in (tags.CONTEXT_0, tags.CONTEXT_0_CONSTRUCTED):
            key_identifier = sid.octets(tags.CONTEXT_0)
        else:
            issuer, serial = sid.sequence(2, 2)
            issuer_der, serial_number = issuer.raw, serial.integer()
        # RFC 5652 5.3: 1 with issuerAndSerialNumber, 3 with subjectKeyIdentifier.
        if version.integer() != (1 if key_identifier is None else 3):
            detail = f"SignerInfo {version.integer()}"
            element.deviate(DeviationKind.CMS_VERSION, detail, part="signerInfos")
        return cls(
            issuer_der,
            serial_number,
            key_identifier,
            _read_attributes(signed) if signed else {},
            AlgorithmIdentifier.read(digest_algorithm),
            rest[0],
            signed,
            rest[1].octets(),
        )

    @property
    def has_signed_attributes(self) -> bool:
        """Whether there are any. SCEP requires them (RFC 8894 3.2)."""
        return self._signed_attributes is not None

    @property
    def digest(self) -> Digest:
        """The digest algorithm.

        Raises:
            BadAlgorithm: It is one we do not know.

        """
        return digest_of(self._digest_algorithm)

    @property
    def known_digest(self) -> Digest | None:
        """The digest algorithm, None where we do not know it."""
        return digests.BY_OID.get(self._digest_algorithm.oid)

    def names(self, certificate: Certificate) -> bool:
        """Whether this SignerInfo says that *certificate*'s key signed."""
        if self.subject_key_identifier is not None:
            return self.subject_key_identifier == certificate.subject_key_identifier
        if self.serial_number != certificate.serial_number:
            return False
        if self.issuer_der == certificate.issuer_der:
            return True
        return Name.load(self.issuer_der).matches(Name.load(certificate.issuer_der))

    def check_algorithms(self, level: CryptoLevel) -> SignatureAlgorithm:
        """Check digest and signature algorithm against *level* and each other.

        Raises:
            BadAlgorithm: One of them is unknown or not accepted.
            BadMessageCheck: They contradict each other.

        """
        digest = self.digest
        level.check_digest(digest)
        try:
            algorithm = SignatureAlgorithm.read(self._signature_algorithm)
        except Asn1Error as error:
            raise BadMessageCheck("the signatureAlgorithm cannot be read") from error
        if algorithm.digest is not None and algorithm.digest is not digest:
            raise BadMessageCheck("digestAlgorithm and signatureAlgorithm contradict each other")
        return algorithm

    def check_signature(self, certificate: Certificate, algorithm: SignatureAlgorithm) -> None:
        """Check the signature over the signed attributes.

        RFC 5652 5.4: it is over their DER as a SET OF, whatever was sent. Clients exist that sign
        what they sent, unsorted; that is tried first, because for everybody else both are one.

        Raises:
            BadAlgorithm: The signer's key is not one we compute with.
            BadMessageCheck: The signature does not hold.

        """
        if self._signed_attributes is None:
            raise BadMessageCheck("there are no signed attributes")
        key, field = certificate.public_key(), self._signed_attributes
        encodings = [attribute.raw for attribute in field.children()]
        is_sorted = encodings == sorted(encodings)
        if not is_sorted:
            field.deviate(DeviationKind.UNSORTED_ATTRIBUTES, "signedAttrs")
        if algorithm.holds(key, self._signature, b"\x31" + field.raw[1:], self.digest):
            if not is_sorted:
                field.deviate(DeviationKind.SIGNED_UNSORTED)
            return
        try:
            ordered = writer.set_of(map(writer.normalise, field.children()))
        except Asn1Error as error:
            # Values that nobody asked for are read here for the first time.
            raise BadMessageCheck("a signed attribute cannot be read", detail=str(error)) from error
        if not algorithm.holds(key, self._signature, ordered, self.digest):
            raise BadMessageCheck("the signature does not hold")


def _read_attributes(field: Element) -> Mapping[str, list[Element]]:
    attributes: dict[str, list[Element]] = {}
    parts = field.children()
    if len(parts) > MAX_ATTRIBUTES:
        raise Asn1Error("too many signed attributes")
    for part in parts:
        kind, values = part.sequence(2, 2)
        attributes.setdefault(kind.oid(), []).extend(values.expect(tags.SET).children())
    return attributes
