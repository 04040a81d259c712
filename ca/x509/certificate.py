"""Certificates as they come out of real devices, read without judging their signature.

``cryptography`` refuses serial numbers of more than 20 octets (sscep, certmonger, strongSwan),
X.509 v1 (certmonger) and critical authorityKeyIdentifiers (Windows), so signer certificates are
read here.
"""

from collections.abc import Mapping
from datetime import datetime
from functools import cached_property, lru_cache
from hashlib import sha1, sha256

from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from ca.algorithms.keys import PublicKey, check_public_key, load_public_key
from ca.asn1 import Asn1Error, Element, read, tags
from ca.deviations import DeviationKind, Deviations
from ca.x509 import oids
from ca.x509.extensions import Extension, KeyUsageBit, read_ca_flag, read_extensions, read_key_usage
from ca.x509.general_names import GeneralName, read_general_names
from ca.x509.name import Name

MAX_SERIAL_OCTETS = 20


class Certificate:
    """An X.509 certificate.

    Its bytes are kept as received: *der* whole, *issuer_der*, *serial_der* and *spki* as copied
    into recipients and comparisons.
    """

    def __init__(self, element: Element) -> None:
        self._element = element
        self.der = element.raw
        tbs = element.sequence(3, 3)[0].sequence(6, 10)
        self.version = 1
        if tbs[0].tag == tags.CONTEXT_0_CONSTRUCTED:
            self.version = tbs[0].only_child().integer() + 1
            tbs = tbs[1:]
        if len(tbs) < 6:
            raise Asn1Error("TBSCertificate of too few parts")
        serial, _, issuer, self._validity, self._subject, spki, *rest = tbs
        self.serial_number = serial.integer()
        self.serial_der = serial.raw
        self._serial = serial
        self.issuer_der = issuer.raw
        self.subject_der = self._subject.raw
        self.spki = spki.raw
        self._rest = rest

    @classmethod
    def load(cls, der: bytes, deviations: Deviations | None = None) -> "Certificate":
        """Read the DER (or BER) of one certificate.

        Raises:
            Asn1Error: It is none.

        """
        return cls(read(der, "certificate", Deviations() if deviations is None else deviations))

    @cached_property
    def extensions(self) -> Mapping[str, Extension]:
        """The extensions by OID; of two with the same OID the first."""
        for part in self._rest:
            if part.tag == tags.CONTEXT_3_CONSTRUCTED:
                found = read_extensions(part.only_child())
                return {extension.oid: extension for extension in reversed(found)}
        return {}

    @cached_property
    def subject(self) -> Name:
        """The subject."""
        return Name.read(self._subject)

    @cached_property
    def subject_alt_names(self) -> tuple[GeneralName, ...]:
        """The alternative names, none where there is no extension."""
        extension = self.extensions.get(oids.SUBJECT_ALT_NAME)
        return read_general_names(extension.value) if extension else ()

    @property
    def not_valid_before(self) -> datetime:
        """The start of validity, UTC."""
        return self._validity.sequence(2)[0].time()

    @property
    def not_valid_after(self) -> datetime:
        """The end of validity, UTC; this second is still inside."""
        return self._validity.sequence(2)[1].time()

    @property
    def is_self_issued(self) -> bool:
        """Whether subject and issuer are one name, as in a self-signed certificate."""
        return self.issuer_der == self.subject_der

    @property
    def is_ca(self) -> bool:
        """Whether basicConstraints says cA TRUE."""
        extension = self.extensions.get(oids.BASIC_CONSTRAINTS)
        return extension is not None and read_ca_flag(extension.value)

    @property
    def key_usage(self) -> frozenset[KeyUsageBit] | None:
        """The keyUsage bits, None where there is no such extension."""
        extension = self.extensions.get(oids.KEY_USAGE)
        return read_key_usage(extension.value) if extension else None

    @cached_property
    def subject_key_identifier(self) -> bytes:
        """The identifier in the extension, or SHA-1 of the key (RFC 5280 4.2.1.2, method 1)."""
        extension = self.extensions.get(oids.SUBJECT_KEY_IDENTIFIER)
        if extension:
            return read(extension.value, "subjectKeyIdentifier", Deviations()).octets()
        return key_identifier(self.spki)

    def public_key(self, min_rsa_bits: int = 1024) -> PublicKey:
        """The key.

        Raises:
            BadAlgorithm: It is of a type or size that we do not compute with.

        """
        key = load_public_key(self.spki)
        check_public_key(key, min_rsa_bits)
        return key

    def fingerprint(self) -> str:
        """SHA-256 of the DER in lower-case hexadecimal (RFC 8894 2.2)."""
        return sha256(self.der).hexdigest()

    def fingerprint_sha1(self) -> str:
        """SHA-1 of the DER, for clients that know no better."""
        return sha1(self.der, usedforsecurity=False).hexdigest()

    def note_oddities(self, deviations: Deviations) -> None:
        """Tell *deviations* what another reader would refuse in this certificate."""
        place = "pkiMessage.certificates"
        if self.version != 3:
            deviations.add(DeviationKind.SIGNER_X509_VERSION, place, f"v{self.version}")
        # RFC 5280 4.1.2.2: what counts are the content octets, however their length is written.
        octets = len(self._serial.content)
        if octets > MAX_SERIAL_OCTETS or self.serial_number <= 0:
            deviations.add(DeviationKind.SIGNER_SERIAL_NUMBER, place, f"{octets} octets")
        try:
            aki = self.extensions.get(oids.AUTHORITY_KEY_IDENTIFIER)
        except Asn1Error:
            return
        if aki and aki.critical:
            deviations.add(DeviationKind.SIGNER_CRITICAL_AKI, place)


@lru_cache(maxsize=32)
def key_id(spki: bytes) -> bytes:
    """What a key is found by, however it is written: an EC point may be compressed (SEC 1 2.3.3).

    That is the identifier of its usual form.

    Raises:
        BadAlgorithm: It is no key that is accepted here.

    """
    key = load_public_key(spki)
    return key_identifier(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))


@lru_cache(maxsize=32)
def key_identifier(spki: bytes) -> bytes:
    """SHA-1 of the key bits of a SubjectPublicKeyInfo (RFC 5280 4.2.1.2, method 1)."""
    key = read(spki, "subjectPublicKeyInfo", Deviations()).sequence(2)[1]
    return sha1(key.content[1:], usedforsecurity=False).digest()
