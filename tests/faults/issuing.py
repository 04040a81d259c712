"""What the server issues: a certificate for a CSR that another module has judged, and a CRL."""

import secrets
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

from asn1crypto import core, keys, x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import CertificateRevocationListBuilder

from tests.faults.conduct import Conduct
from tests.faults.material import Material, rsa_key
from tests.faults.signing import spki
from tests.faults.writing import dump

_ONE_NAME = x509.Name.build({"common_name": "device"})
_KNOWN = {"subject_alt_name", "basic_constraints", "key_usage", "extended_key_usage"}


class Issuer:
    """Issues, and counts its serial numbers."""

    def __init__(self, material: Material, conduct: Conduct) -> None:
        self._material = material
        self._conduct = conduct
        self._numbers = count(2)

    def issue(self, csr: Any) -> bytes:
        """A certificate in DER for a CSR of asn1crypto: its subject, its key, the names it asks for."""
        asked = csr["certification_request_info"]
        key = asked["subject_pk_info"]
        if self._conduct.certifies_own_key:
            key = keys.PublicKeyInfo.load(spki(rsa_key("other")))
        now = datetime.now(UTC).replace(microsecond=0) - timedelta(minutes=5)
        begin, end = (now + timedelta(days=days) for days in self._conduct.leaf_days)
        issuing_key = rsa_key(self._conduct.leaf_key) if self._conduct.leaf_key else self._material.ca_key
        tbs = x509.TbsCertificate(
            {
                "version": "v3",
                "serial_number": self._serial(),
                "signature": {"algorithm": "sha256_rsa"},
                "issuer": x509.Name.load(self._material.ca.subject.public_bytes()),
                "validity": {
                    "not_before": x509.Time({"utc_time": begin}),
                    "not_after": x509.Time({"utc_time": end}),
                },
                "subject": _ONE_NAME if self._conduct.renames else asked["subject"],
                "subject_public_key_info": key,
                "extensions": self._extensions(asked, key),
            }
        )
        signature = issuing_key.sign(dump(tbs), padding.PKCS1v15(), hashes.SHA256())
        return dump(
            x509.Certificate(
                {
                    "tbs_certificate": tbs,
                    "signature_algorithm": {"algorithm": "sha256_rsa"},
                    "signature_value": core.OctetBitString(signature),
                }
            )
        )

    def _serial(self) -> int:
        match self._conduct.serials:
            case "same":
                return 4711
            case "sequential":
                return next(self._numbers)
        return secrets.randbits(126) | 1 << 126

    def _extensions(self, asked: Any, key: Any) -> list[Any]:
        wanted = {one["extn_id"].native: one for one in requested_extensions(asked)}
        ca = self._conduct.leaf_is_ca
        usage = {"digital_signature", "key_encipherment"} | ({"key_cert_sign"} if ca else set())
        extensions = [
            _extension("basic_constraints", x509.BasicConstraints({"ca": ca}), critical=True),
            _extension("key_usage", x509.KeyUsage(usage), critical=True),
            _extension("extended_key_usage", x509.ExtKeyUsageSyntax(["client_auth"])),
            _extension("key_identifier", core.OctetString(key.sha1)),
            _extension("authority_key_identifier", self._authority_key_identifier()),
        ]
        if "subject_alt_name" in wanted:
            names = wanted["subject_alt_name"]["extn_value"].parsed
            extensions.append(_extension("subject_alt_name", names))
        if self._conduct.copies_extensions:
            extensions += [one for name, one in wanted.items() if name not in _KNOWN]
        return extensions

    def _authority_key_identifier(self) -> Any:
        public = keys.PublicKeyInfo.load(spki(self._material.ca_key))
        return x509.AuthorityKeyIdentifier({"key_identifier": public.sha1})

    def revocation_list(self) -> bytes:
        """A CRL on which nobody is."""
        now = datetime.now(UTC)
        builder = CertificateRevocationListBuilder().issuer_name(self._material.ca.subject)
        builder = builder.last_update(now).next_update(now + timedelta(days=7))
        return builder.sign(self._material.ca_key, hashes.SHA256()).public_bytes(Encoding.DER)


def requested_extensions(asked: Any) -> list[Any]:
    """Those of a CSR's extensionRequest."""
    found: list[Any] = []
    for attribute in asked["attributes"]:
        if attribute["type"].native == "extension_request":
            found += attribute["values"][0]
    return found


def _extension(name: str, value: Any, *, critical: bool = False) -> Any:
    return x509.Extension({"extn_id": name, "critical": critical, "extn_value": value})
