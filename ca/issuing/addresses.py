"""Where a certificate says that its status can be asked for (RFC 5280 4.2.1.13, 4.2.2.1)."""

from dataclasses import dataclass
from hashlib import sha256

from ca.asn1 import writer
from ca.x509 import oids
from ca.x509.certificate import Certificate
from ca.x509.extensions import Extension

_URI = 0x86


def public_name(certificate: Certificate) -> str:
    """What a CA is called in addresses: the same for as long as its name and key are."""
    return sha256(certificate.subject_der + certificate.spki).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class StatusAddresses:
    """The URLs, in ASCII, of the CRL, of OCSP and of the CA certificate; *crl* None where there is none."""

    ocsp: str
    ca_certificate: str
    crl: str | None

    def encode(self) -> bytes:
        """The DER of both extensions."""
        access = writer.sequence(
            writer.sequence(writer.oid(oids.OCSP_ACCESS), _uri(self.ocsp)),
            writer.sequence(writer.oid(oids.CA_ISSUERS_ACCESS), _uri(self.ca_certificate)),
        )
        information = Extension(oids.AUTHORITY_INFORMATION_ACCESS, False, access).encode()
        if self.crl is None:
            return information
        point = writer.sequence(writer.explicit(0, writer.explicit(0, _uri(self.crl))))
        return Extension(oids.CRL_DISTRIBUTION_POINTS, False, writer.sequence(point)).encode() + information


def _uri(url: str) -> bytes:
    return writer.encode(_URI, url.encode("ascii"))
