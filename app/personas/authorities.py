"""Who is who among the certificates of GetCACert, as clients take it that check less than ours does."""

from dataclasses import dataclass
from datetime import UTC, datetime

from app.client import ClientError
from app.client.trust import assign_roles, is_rsa
from ca.asn1 import Asn1Error
from ca.x509.certificate import Certificate
from ca.x509.extensions import KeyUsageBit


@dataclass(frozen=True, slots=True)
class Authorities:
    """*all* are the CA's certificates, the issuing one first; *signers* may sign a reply."""

    recipient: Certificate
    all: tuple[Certificate, ...]
    signers: tuple[Certificate, ...]

    @property
    def issuer(self) -> Certificate:
        """The certificate of the CA that issues."""
        return self.all[0]


def sort_certificates(certificates: tuple[Certificate, ...], fingerprint: str | None) -> Authorities:
    """Sort them; with a *fingerprint* only what it vouches for counts, else whatever is there.

    Raises:
        ClientError: The fingerprint is of none, or no certificate has a key to encrypt to.

    """
    if fingerprint is not None:
        roles = assign_roles(certificates, fingerprint, datetime.now(UTC))
        return Authorities(roles.recipient, roles.authorities, roles.signers)
    usable = [one for one in certificates if is_rsa(one)]
    if not usable:
        raise ClientError("none of the server's certificates can be encrypted to")
    enciphering = [one for one in usable if _enciphers(one)]
    below = [one for one in enciphering if not _is_authority(one)]
    recipient = (below or enciphering or usable)[0]
    issuing = (recipient.subject_der, recipient.issuer_der)
    authorities = [one for one in certificates if len(certificates) == 1 or _is_authority(one)]
    # The issuer of an RA, or the recipient itself, before those above.
    in_order = sorted(authorities, key=lambda one: one.subject_der not in issuing)
    return Authorities(recipient, tuple(in_order or certificates), certificates)


def _enciphers(certificate: Certificate) -> bool:
    try:
        return certificate.key_usage is None or KeyUsageBit.keyEncipherment in certificate.key_usage
    except Asn1Error:
        return False


def _is_authority(certificate: Certificate) -> bool:
    try:
        return certificate.is_ca
    except Asn1Error:
        return False
