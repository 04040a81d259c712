"""An OCSPResponse (RFC 6960 4.2): the status of each certificate, signed by the delegated responder."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from ca.algorithms.digests import SHA256
from ca.algorithms.signatures import certificate_identifier, sign
from ca.asn1 import tags, writer
from ca.issuing.crl import reason_code
from ca.ocsp import oids
from ca.ocsp.errors import ResponseStatus
from ca.ocsp.request import CertId
from ca.ocsp.signer import OcspSigner
from ca.x509.certificate import key_identifier
from ca.x509.extensions import Extension

_GOOD = writer.encode(tags.CONTEXT_0, b"")
_UNKNOWN = writer.encode(0x82, b"")
_SUCCESSFUL = writer.encode(tags.ENUMERATED, bytes((ResponseStatus.successful,)))


@dataclass(frozen=True, slots=True)
class CertStatus:
    """What is known of a certificate: revoked where there is a time, else good or *known* to nobody."""

    known: bool
    revoked_at: datetime | None = None
    reason: str | None = None

    def encode(self) -> bytes:
        """The DER of the CHOICE."""
        if self.revoked_at is None:
            return _GOOD if self.known else _UNKNOWN
        reason = reason_code(self.reason)
        time = writer.generalized_time(self.revoked_at)
        return writer.encode(tags.CONTEXT_1_CONSTRUCTED, time + (reason and writer.explicit(0, reason)))


def encode_response(
    statuses: Sequence[tuple[CertId, CertStatus]],
    nonce: bytes | None,
    signer: OcspSigner,
    now: datetime,
    next_update: datetime,
) -> bytes:
    """The DER of a successful response."""
    produced_at = writer.generalized_time(now)
    until = writer.explicit(0, writer.generalized_time(next_update))
    singles = (writer.sequence(one.der, status.encode(), produced_at, until) for one, status in statuses)
    extensions = b""
    if nonce is not None:
        value = Extension(oids.NONCE, False, writer.octet_string(nonce)).encode()
        extensions = writer.explicit(1, writer.sequence(value))
    data = writer.sequence(
        # RFC 5019 2.2.2: by the key, which is shorter and has one form.
        writer.explicit(2, writer.octet_string(key_identifier(signer.certificate.spki))),
        produced_at,
        writer.sequence(*singles),
        extensions,
    )
    basic = writer.sequence(
        data,
        certificate_identifier(signer.key, SHA256),
        writer.bit_string(sign(signer.key, data, SHA256)),
        writer.explicit(0, writer.sequence(signer.certificate.der)),
    )
    response = writer.sequence(writer.oid(oids.BASIC_RESPONSE), writer.octet_string(basic))
    return writer.sequence(_SUCCESSFUL, writer.explicit(0, response))
