"""The delegated responder (RFC 6960 4.2.2.2): a certificate for signing answers and nothing else."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from ca.algorithms.keys import PrivateKey
from ca.asn1 import Asn1Error, writer
from ca.issuing.authority import Authority
from ca.ocsp import oids as ocsp_oids
from ca.x509 import oids
from ca.x509.certificate import Certificate, key_identifier
from ca.x509.chain import ChainBroken, check_chain
from ca.x509.extensions import Extension, KeyUsageBit, encode_key_usage, read_key_purposes
from ca.x509.name import Name

# Short, for nobody asks whether it is revoked (RFC 6960 4.2.2.2.1).
VALIDITY = timedelta(days=30)
RENEW_BEFORE = timedelta(days=10)
_SUBJECT = Name.from_text("CN=OCSP responder")


@dataclass(frozen=True, slots=True)
class OcspSigner:
    """The certificate that goes along with each answer, and its key."""

    certificate: Certificate
    key: PrivateKey

    def is_due(self, now: datetime, last: datetime) -> bool:
        """Whether it is time for another. An answer outlives the moment in which it was signed.

        One that ends with its CA, at *last*, is the last one: no other could end later.
        """
        certificate = self.certificate
        whole = certificate.not_valid_after - certificate.not_valid_before
        is_last = certificate.not_valid_after >= last
        margin = timedelta() if is_last else min(RENEW_BEFORE, whole / 3)
        return not certificate.not_valid_before <= now < certificate.not_valid_after - margin

    def serves(self, authority: Authority, now: datetime) -> bool:
        """Whether it is one that *authority* issued for this, with its own key."""
        certificate = self.certificate
        try:
            purposes = read_key_purposes(certificate.extensions[oids.EXTENDED_KEY_USAGE].value)
            check_chain(certificate, authority.certificate, now)
        except (KeyError, Asn1Error, ChainBroken):
            return False
        return purposes == (oids.OCSP_SIGNING,) and certificate.spki == _spki(self.key)


def make_signer(authority: Authority, now: datetime) -> OcspSigner:
    """A new key of the CA's type, and a certificate of the CA for it."""
    key: PrivateKey
    if isinstance(authority.key, ec.EllipticCurvePrivateKey):
        key = ec.generate_private_key(ec.SECP256R1())
    else:
        key = rsa.generate_private_key(65537, 2048)
    spki = _spki(key)
    extensions = (
        Extension(oids.SUBJECT_KEY_IDENTIFIER, False, writer.octet_string(key_identifier(spki))),
        Extension(oids.KEY_USAGE, True, encode_key_usage(frozenset({KeyUsageBit.digitalSignature}))),
        Extension(oids.EXTENDED_KEY_USAGE, False, writer.sequence(writer.oid(oids.OCSP_SIGNING))),
        Extension(ocsp_oids.NO_CHECK, False, writer.NULL),
    )
    made = authority.certify(_SUBJECT.der, spki, extensions, now, VALIDITY)
    return OcspSigner(Certificate.load(made.der), key)


def _spki(key: PrivateKey) -> bytes:
    return key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
