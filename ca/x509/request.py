"""Certification requests (PKCS #10, RFC 2986), read as real devices write them.

``cryptography`` refuses every strongSwan CSR (its attributes are not in DER order), so the
structure is read here and the signature is checked over the bytes as received.
"""

from dataclasses import dataclass

from ca.algorithms.digests import SHA256
from ca.algorithms.keys import PublicKey, check_public_key, is_weak, key_label, load_public_key
from ca.algorithms.levels import CryptoLevel
from ca.algorithms.signatures import SignatureAlgorithm
from ca.asn1 import Asn1Error, Element, read, strings, tags
from ca.deviations import DeviationKind, Deviations
from ca.errors import BadAlgorithm, SubjectRefused
from ca.x509 import oids
from ca.x509.extensions import Extension, read_extensions
from ca.x509.name import Name

# RFC 2985 5.4.1 ends at 255 characters; what Intune puts there is longer.
MAX_CHALLENGE = 255
# Names of the most parts that may be, and of the most letters that each may have, come near it.
MAX_SUBJECT_OCTETS = 8192


@dataclass(frozen=True, slots=True)
class CertificationRequest:
    """A request whose own signature holds, with what it asks for.

    *der* is the request as received; *subject* is clean DER; *extensions* are wishes, none of them
    granted. Ruby: OpenSSL::X509::Request
    """

    der: bytes
    subject: Name
    spki: bytes
    public_key: PublicKey
    challenge_password: str | None
    extensions: tuple[Extension, ...]


class UnprovenRequest:
    """A request of which only the outline was read: it may be anyone's, for any key."""

    def __init__(self, der: bytes, deviations: Deviations) -> None:
        """Read the outline.

        Raises:
            Asn1Error: It is no CertificationRequest, or more follows it.

        """
        self.der = der
        info, self._algorithm, signature = read(der, "csr", deviations).sequence(3, 3)
        self._signature = signature.bits()
        self._signed = info.raw
        version, self._subject, spki, *self._attributes = info.sequence(3, 4)
        self.version = version.integer()
        self.spki = spki.expect(tags.SEQUENCE).raw
        self._subject.expect(tags.SEQUENCE)

    def is_proven(self) -> bool:
        """Whether the request is signed by the key it names (proof of possession).

        A key or an algorithm that nobody could check proves nothing. No level is asked here: until
        the signature holds, any octet may be an attacker's, and every answer but one a hint to him.

        Raises:
            Asn1Error: Its algorithm cannot be read.

        """
        try:
            algorithm = SignatureAlgorithm.read(self._algorithm)
            key = load_public_key(self.spki)
        except BadAlgorithm:
            return False
        return algorithm.holds(key, self._signature, self._signed, algorithm.digest or SHA256)

    def read(self, level: CryptoLevel, deviations: Deviations) -> CertificationRequest:
        """Read the rest. Call it only once :meth:`is_proven` said yes.

        Raises:
            Asn1Error: It breaks PKCS #10.
            BadAlgorithm: The key, or the digest it signed with, is not accepted at *level*.
            SubjectRefused: The subject is too long to be looked at.

        """
        digest = SignatureAlgorithm.read(self._algorithm).digest or SHA256
        key = load_public_key(self.spki)
        # Before they may be refused, as those of the message are.
        if not CryptoLevel.MODERN.accepts_digest(digest):
            deviations.add(DeviationKind.WEAK_DIGEST, "csr", digest.name)
        if is_weak(key):
            deviations.add(DeviationKind.WEAK_KEY, "csr", key_label(key))
        level.check_digest(digest)
        check_public_key(key)
        if self.version != 0:
            raise Asn1Error("the version of a PKCS #10 request is 0")
        if len(self._subject.raw) > MAX_SUBJECT_OCTETS:
            raise SubjectRefused(f"the subject is longer than {MAX_SUBJECT_OCTETS} octets")
        attributes = self._read_attributes(deviations)
        return CertificationRequest(
            der=self.der,
            subject=Name.read(self._subject),
            spki=self.spki,
            public_key=key,
            challenge_password=_challenge(attributes, deviations),
            extensions=_requested_extensions(attributes),
        )

    def _read_attributes(self, deviations: Deviations) -> list[tuple[str, list[Element]]]:
        if not self._attributes:
            # RFC 2986 4.1: the field is not optional, though it may be empty.
            deviations.add(DeviationKind.CSR_ATTRIBUTES_MISSING, "csr.attributes")
            return []
        field = self._attributes[0].expect(tags.CONTEXT_0_CONSTRUCTED)
        encodings = [part.raw for part in field.children()]
        if encodings != sorted(encodings):
            deviations.add(DeviationKind.UNSORTED_ATTRIBUTES, "csr.attributes")
        pairs = [part.sequence(2, 2) for part in field.children()]
        return [(kind.oid(), values.expect(tags.SET).children()) for kind, values in pairs]


def _challenge(attributes: list[tuple[str, list[Element]]], deviations: Deviations) -> str | None:
    """RFC 2985 5.4.1: at most one challengePassword, of one value. An empty one counts as none."""
    values = [values for oid, values in attributes if oid == oids.CHALLENGE_PASSWORD]
    if not values:
        return None
    if len(values) > 1 or len(values[0]) != 1:
        raise Asn1Error("a challengePassword has one value")
    challenge = strings.text(values[0][0])
    if len(challenge) > MAX_CHALLENGE:
        deviations.add(DeviationKind.CHALLENGE_LENGTH, "csr.attributes", f"{len(challenge)} characters")
    return challenge or None


def _requested_extensions(attributes: list[tuple[str, list[Element]]]) -> tuple[Extension, ...]:
    """The wishes in either extensionRequest attribute (RFC 2985 5.4.2, and Microsoft's of old)."""
    wishes = [
        read_extensions(value)
        for oid, values in attributes
        if oid in (oids.EXTENSION_REQUEST, oids.MICROSOFT_EXTENSION_REQUEST)
        for value in values
    ]
    if not wishes:
        return ()
    if any(set(other) != set(wishes[0]) for other in wishes[1:]):
        raise Asn1Error("the requested extensions contradict each other")
    if len({extension.oid for extension in wishes[0]}) != len(wishes[0]):
        raise Asn1Error("an extension is requested twice")
    return wishes[0]
