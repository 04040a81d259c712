"""The CA that signs certificates (RFC 5280 4.1, 4.2).

The TBSCertificate is put together here and not by a builder, so that subject and issuer keep the
very bytes of the CSR and of the CA certificate, whatever string types those use.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from hashlib import sha256

from ca.algorithms.keys import PrivateKey
from ca.algorithms.signatures import SignatureAlgorithm, certificate_identifier, fitting_digest, sign
from ca.asn1 import Asn1Error, Element, read, tags, writer
from ca.deviations import Deviations
from ca.errors import OperationNotOffered
from ca.issuing.addresses import StatusAddresses
from ca.issuing.reserved import reserved_readings
from ca.issuing.sid import sid_extension
from ca.ports import StoredCertificate
from ca.profiles import CertificateContent, Profile, search_name, subject_key
from ca.x509 import oids
from ca.x509.certificate import Certificate, key_id, key_identifier
from ca.x509.extensions import Extension, KeyUsageBit, encode_key_usage
from ca.x509.general_names import encode_general_names
from ca.x509.request import CertificationRequest

# Devices come out of the box with clocks that are slow by minutes.
BACKDATE = timedelta(minutes=5)
SERIAL_OCTETS = 16
_VERSION_3 = writer.explicit(0, writer.integer(2))
# RFC 5280 4.2.1.9: an empty SEQUENCE is cA FALSE, the default.
_NOT_A_CA = Extension(oids.BASIC_CONSTRAINTS, True, writer.sequence()).encode()
# What tells of the CA in a certificate, and not of its holder.
_OF_THE_ISSUER = {
    oids.AUTHORITY_KEY_IDENTIFIER,
    oids.BASIC_CONSTRAINTS,
    oids.CRL_DISTRIBUTION_POINTS,
    oids.AUTHORITY_INFORMATION_ACCESS,
}


@dataclass(frozen=True, slots=True)
class Certified:
    """A certificate that was just signed, with what of it cannot be chosen before."""

    serial: int
    der: bytes
    not_before: datetime
    not_after: datetime


class Authority:
    """A CA certificate with its private key, which nothing else in the inner ring ever touches.

    The key may be RSA or EC; messages are opened and signed elsewhere (see ``registration``).
    *addresses* are where the certificates of devices say that their status is told; None for nowhere.
    """

    def __init__(
        self, certificate: Certificate, key: PrivateKey, addresses: StatusAddresses | None = None
    ) -> None:
        self.certificate = certificate
        self.not_after = certificate.not_valid_after
        self.key = key
        self._digest = fitting_digest(key)
        self.algorithm = certificate_identifier(key, self._digest)
        identifier = writer.encode(tags.CONTEXT_0, certificate.subject_key_identifier)
        aki = Extension(oids.AUTHORITY_KEY_IDENTIFIER, False, writer.sequence(identifier))
        self.authority_key_identifier = aki.encode()
        # As :func:`issuer_key` has it of each certificate of this CA.
        self.issuer_key = _issuer_key(certificate.subject_der, self.authority_key_identifier)
        self._not_before = certificate.not_valid_before
        self._fixed_extensions = _NOT_A_CA + self.authority_key_identifier
        # Computed once: every request is compared with them.
        self.reserved = reserved_readings(certificate)
        # The DER of the extensions that say so.
        self.status = b"" if addresses is None else addresses.encode()

    def with_key(self, key: PrivateKey) -> "Authority":
        """The same CA with another key, whose signatures nobody will believe."""
        other = Authority(self.certificate, key)
        other.status = self.status
        return other

    @property
    def may_sign_crls(self) -> bool:
        """Whether the CA's keyUsage allows it (RFC 5280 4.2.1.3)."""
        usage = self.certificate.key_usage
        return usage is None or KeyUsageBit.cRLSign in usage

    def has_issued(self, der: bytes) -> bool:
        """Whether a certificate of the store is this CA's, by name and key, and not an earlier one's."""
        return issuer_key(Certificate.load(der)) == self.issuer_key

    def sign_structure(self, *parts: bytes) -> bytes:
        """Sign what is put together of *parts*, as certificates and CRLs are (RFC 5280 4.1, 5.1)."""
        tbs = writer.sequence(*parts)
        return writer.sequence(tbs, self.algorithm, writer.bit_string(sign(self.key, tbs, self._digest)))

    def read_structure(self, der: bytes, least: int) -> list[Element]:
        """The parts of what :meth:`sign_structure` made, *least* or more.

        Raises:
            Asn1Error: It is something else, or not of this CA.

        """
        tbs, algorithm, signature = read(der, "structure", Deviations()).sequence(3, 3)
        if algorithm.raw != self.algorithm:
            raise Asn1Error("signed by another algorithm")
        scheme = SignatureAlgorithm.read(algorithm)
        if not scheme.holds(self.key.public_key(), signature.bits(), tbs.raw, self._digest):
            raise Asn1Error("not signed by this CA")
        return tbs.sequence(least)

    def sign_certificate(
        self,
        csr: CertificationRequest,
        content: CertificateContent,
        profile: Profile,
        transaction_id: str,
        now: datetime,
        *,
        renewed_from: str | None = None,
        status: bytes = b"",
    ) -> StoredCertificate:
        """Issue a certificate for the key of *csr*.

        *status* is where its status is told if this authority does not know (see :meth:`certify`).
        It starts some minutes before *now* and ends with the profile's validity, on its last day or with
        this CA, whichever is first.

        Raises:
            OperationNotOffered: The CA certificate itself has expired, or the profile's last day is over.

        """
        lasting = timedelta(days=profile.validity_days)
        if profile.valid_until is not None:
            lasting = min(lasting, profile.valid_until - now.replace(microsecond=0))
            if lasting <= timedelta():
                raise OperationNotOffered(
                    f"the certificates of this profile ended on {profile.valid_until:%Y-%m-%d}"
                )
        extensions = _extensions(key_identifier(csr.spki), content)
        made = self.certify(content.subject.der, csr.spki, extensions, now, lasting, self.status or status)
        return StoredCertificate(
            serial=f"{made.serial:x}",
            der=made.der,
            subject=str(content.subject),
            subject_alt_names=tuple(map(str, content.subject_alt_names)),
            profile=profile.name,
            not_before=made.not_before,
            not_after=made.not_after,
            transaction_id=transaction_id,
            renewed_from=renewed_from,
            key_id=key_id(csr.spki),
            subject_key=subject_key(profile.name, content.subject, content.subject_alt_names),
            name=search_name(content.subject, content.subject_alt_names),
        )

    def sign_again(self, earlier: StoredCertificate, now: datetime) -> StoredCertificate:
        """Issue what another CA of this server has issued: for the same key and names, to the same end.

        Raises:
            OperationNotOffered: The CA certificate itself has expired.

        """
        certificate = Certificate.load(earlier.der)
        extensions = [one for oid, one in certificate.extensions.items() if oid not in _OF_THE_ISSUER]
        lasting = earlier.not_after - now.replace(microsecond=0)
        made = self.certify(certificate.subject_der, certificate.spki, extensions, now, lasting, self.status)
        return replace(
            earlier,
            serial=f"{made.serial:x}",
            der=made.der,
            not_before=made.not_before,
            not_after=made.not_after,
        )

    def certify(
        self,
        subject: bytes,
        spki: bytes,
        extensions: Sequence[Extension],
        now: datetime,
        lasting: timedelta,
        status: bytes = b"",
    ) -> Certified:
        """Sign a certificate that is no CA's. *subject*, *spki* and *status* are DER.

        *status* are the extensions that say where it is told whether it is revoked; what serves the CA
        itself has none, because its certificate is not in the store.

        It starts and ends as :meth:`sign_certificate` says.

        Raises:
            OperationNotOffered: The CA certificate itself has expired.

        """
        now = now.replace(microsecond=0)
        if now >= self.not_after:
            raise OperationNotOffered("this CA's own certificate has expired")
        not_before, not_after = max(now - BACKDATE, self._not_before), min(now + lasting, self.not_after)
        serial = new_serial_number()
        own = b"".join(extension.encode() for extension in extensions)
        der = self.sign_structure(
            _VERSION_3,
            writer.integer(serial),
            self.algorithm,
            # RFC 5280 4.1.2.4: chains are compared by these bytes.
            self.certificate.subject_der,
            writer.sequence(writer.time(not_before), writer.time(not_after)),
            subject,
            spki,
            writer.explicit(3, writer.sequence(self._fixed_extensions, own, status)),
        )
        return Certified(serial, der, not_before, not_after)


def _extensions(identifier: bytes, content: CertificateContent) -> list[Extension]:
    purposes = writer.sequence(*map(writer.oid, content.key_purposes))
    extensions = [
        Extension(oids.SUBJECT_KEY_IDENTIFIER, False, writer.octet_string(identifier)),
        Extension(oids.KEY_USAGE, True, encode_key_usage(content.key_usage)),
        Extension(oids.EXTENDED_KEY_USAGE, False, purposes),
    ]
    if content.subject_alt_names:
        names = encode_general_names(content.subject_alt_names)
        # RFC 5280 4.2.1.6: critical where the subject is empty.
        extensions.append(Extension(oids.SUBJECT_ALT_NAME, not content.subject, names))
    if content.sid:
        extensions.append(sid_extension(content.sid))
    return extensions


def issuer_key(certificate: Certificate) -> bytes:
    """What stands for the CA that issued a certificate: the CA's name and key identifier, as it has them.

    Of one that names no key it is nobody's.
    """
    aki = certificate.extensions.get(oids.AUTHORITY_KEY_IDENTIFIER)
    return _issuer_key(certificate.issuer_der, aki.encode() if aki else b"")


def _issuer_key(name: bytes, key_identifier: bytes) -> bytes:
    return sha256(name + key_identifier).digest()


def new_serial_number() -> int:
    """128 random bits, positive and never short (RFC 5280 4.1.2.2)."""
    while (serial := int.from_bytes(os.urandom(SERIAL_OCTETS), "big")) < 1 << 64:
        pass
    return serial
