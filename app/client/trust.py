"""Which of the certificates that GetCACert gave may do what. Nothing in here talks to a server.

A CA's fingerprint vouches for everything that CA ever signed, and so for the certificate of every
device. A certificate beside the CA's is taken for a registration authority (RA) only where its
extKeyUsage says so or is absent, as the RAs of NDES and OpenXPKI have it; one that is for
clientAuth or serverAuth is a device's, and who holds it could pass for the server.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from cryptography.hazmat.primitives.asymmetric import rsa

from app.client.errors import ClientError
from ca.asn1 import Asn1Error
from ca.errors import BadAlgorithm
from ca.x509 import oids
from ca.x509.certificate import Certificate
from ca.x509.chain import ChainBroken, check_chain
from ca.x509.extensions import KeyUsageBit, read_key_purposes

# RFC 6402 2.10 has the first; NDES gives the second to both of its RA certificates.
_RA_PURPOSES = {"1.3.6.1.5.5.7.3.28", "1.3.6.1.4.1.311.20.2.1"}
_FINGERPRINT = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")


def read_fingerprint(text: str) -> str:
    """A SHA-256 or SHA-1 fingerprint as people copy it, in lower case without colons.

    Raises:
        ValueError: It is none; an empty one would be no pin at all.

    """
    digits = text.strip().replace(":", "").lower()
    if not _FINGERPRINT.fullmatch(digits):
        raise ValueError(f"{text!r} is no fingerprint: 64 hexadecimal digits (SHA-256), or 40 (SHA-1)")
    return digits


@dataclass(frozen=True, slots=True)
class Roles:
    """A server's certificates in the roles they may have.

    *authorities* are the CA's, the issuing one first, and what is above them; *anchors* are those
    that vouch for the others; *signers* may sign a CertRep; *recipient* is whom to encrypt to.
    """

    authorities: tuple[Certificate, ...]
    anchors: tuple[Certificate, ...]
    signers: tuple[Certificate, ...]
    recipient: Certificate

    @property
    def issuer(self) -> Certificate:
        """The certificate of the CA that issues."""
        return self.authorities[0]

    def check_issued(self, certificate: Certificate, others: tuple[Certificate, ...], now: datetime) -> None:
        """Check that the CA signed *certificate*, if need be through *others*.

        Raises:
            ChainBroken: It did not.

        """
        # The clock of a new device may be slow; that the certificate begins later is no fault.
        now = max(now, certificate.not_valid_before)
        _check_below(certificate, self.anchors, (*self.authorities, *others), now)


def assign_roles(certificates: tuple[Certificate, ...], fingerprint: str | None, now: datetime) -> Roles:
    """Sort the certificates of a GetCACert answer; *fingerprint* is that of one of them.

    Raises:
        ClientError: The pinned one is missing, one is not of that CA, or none can be encrypted to.

    """
    certificates = tuple({one.der: one for one in certificates}.values())
    pinned = _find_pinned(certificates, fingerprint) if fingerprint else None
    authorities = [one for one in certificates if len(certificates) == 1 or _is_authority(one)]
    others = [one for one in certificates if one not in authorities]
    above = [one for one in authorities if pinned and _is_below(pinned, [one], authorities, now)]
    above = _issuing_first(above)
    anchors = authorities if pinned is None else [pinned] if pinned in authorities else above[:1]
    below = [one for one in authorities if one in anchors or _is_below(one, anchors, authorities, now)]
    if not anchors:
        raise ClientError("GetCACert gave no CA certificate to hold the others against")
    for one in certificates:
        # Anybody can put the true CA certificate beside his own.
        if one not in (*above, *below) and not _is_below(one, anchors, authorities, now):
            raise ClientError(
                "a certificate beside the CA's is not of that CA, or not in date: do not trust this server"
            )
    registration = [one for one in others if one is pinned or _is_registration_authority(one)]
    below = _issuing_first(below)
    return Roles(
        authorities=(*below, *(one for one in above if one not in below)),
        anchors=tuple(anchors),
        signers=(*below, *(one for one in registration if _fits(one, KeyUsageBit.digitalSignature))),
        recipient=_find_recipient(registration, below, ignored=len(others) - len(registration)),
    )


def _find_recipient(
    registration: Sequence[Certificate], authorities: Sequence[Certificate], *, ignored: int
) -> Certificate:
    # One that says it is an RA goes before one that merely does not deny it.
    registration = sorted(registration, key=lambda one: not _purposes(one))
    enciphering = [one for one in registration if _fits(one, KeyUsageBit.keyEncipherment)]
    # Old CA certificates lack keyEncipherment (RFC 8894 2.1.2), and their CAs decrypt all the same.
    for one in (*enciphering, *authorities):
        if is_rsa(one):
            return one
    hint = (
        ": the one beside the CA's is not an RA's by its extKeyUsage; if you know that it is, pin its own"
        " fingerprint"
    )
    raise ClientError(f"none of the server's certificates can be encrypted to{hint if ignored else ''}")


def _find_pinned(certificates: Sequence[Certificate], fingerprint: str) -> Certificate:
    for one in certificates:
        if fingerprint in (one.fingerprint(), one.fingerprint_sha1()):
            return one
    raise ClientError("the fingerprint of the CA certificate is another: do not trust this server")


def _is_authority(certificate: Certificate) -> bool:
    try:
        return certificate.is_ca
    except Asn1Error:
        return False


def _issuing_first(authorities: Sequence[Certificate]) -> list[Certificate]:
    """Those first that issued no other of them: the order in the bundle means nothing."""

    def has_issued_another(certificate: Certificate) -> bool:
        return any(one.issuer_der == certificate.subject_der for one in authorities if one is not certificate)

    return sorted(authorities, key=has_issued_another)


def _is_below(
    certificate: Certificate, anchors: Sequence[Certificate], between: Sequence[Certificate], now: datetime
) -> bool:
    try:
        _check_below(certificate, anchors, between, now)
    except ChainBroken:
        return False
    return True


def _check_below(
    certificate: Certificate, anchors: Sequence[Certificate], between: Sequence[Certificate], now: datetime
) -> None:
    broken = ChainBroken("there is no CA certificate")
    for anchor in anchors:
        try:
            return check_chain(certificate, anchor, now, between)
        except ChainBroken as error:
            broken = error
    raise broken


def _is_registration_authority(certificate: Certificate) -> bool:
    purposes = _purposes(certificate)
    return purposes is not None and (not purposes or not _RA_PURPOSES.isdisjoint(purposes))


def _purposes(certificate: Certificate) -> tuple[str, ...] | None:
    """The extKeyUsage: empty where it is absent, None where it cannot be read."""
    try:
        extension = certificate.extensions.get(oids.EXTENDED_KEY_USAGE)
        return read_key_purposes(extension.value) if extension else ()
    except Asn1Error:
        return None


def _fits(certificate: Certificate, bit: KeyUsageBit) -> bool:
    """RFC 5280 4.2.1.3: an absent keyUsage forbids nothing. NDES has one RA certificate for each."""
    try:
        usage = certificate.key_usage
    except Asn1Error:
        return False
    return usage is None or bit in usage


def is_rsa(certificate: Certificate) -> bool:
    """Whether something can be encrypted to its key, as far as that can be read."""
    try:
        return isinstance(certificate.public_key(), rsa.RSAPublicKey)
    except (Asn1Error, BadAlgorithm):
        return False
