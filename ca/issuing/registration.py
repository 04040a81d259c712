"""The registration authority (RA): the RSA certificate that opens and signs SCEP messages for a CA.

Its key stands where strangers' messages arrive, so that the CA's own need only issue; and a CA
whose key is not RSA can be written to by no client. What is here says what an RA certificate is and
when each counts; where they are kept is not known here.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from ca.algorithms.keys import PrivateKey
from ca.asn1 import writer
from ca.issuing.authority import Authority
from ca.issuing.reserved import ra_subject
from ca.issuing.root import CaUnusable
from ca.x509 import oids
from ca.x509.certificate import Certificate, key_identifier
from ca.x509.chain import ChainBroken, check_chain
from ca.x509.extensions import Extension, KeyUsageBit, encode_key_usage

RA_VALIDITY = timedelta(days=730)
# Administrators put RA certificates into the settings of clients by hand, and need time for it.
OVERLAP = timedelta(days=90)
# From its start an RA certificate opens messages; so much later it is shown, when every process that
# serves has surely found it.
SETTLING = timedelta(hours=1)
# Windows wants the purpose, Apple the bits (RFC 8894 2.1.2), and both want them explicit.
_USAGE = frozenset({KeyUsageBit.digitalSignature, KeyUsageBit.keyEncipherment})


def make_ra_certificate(authority: Authority, key: PrivateKey, now: datetime) -> Certificate:
    """Have *authority* certify the RA *key*, for two years or until its own end.

    Raises:
        OperationNotOffered: The CA certificate itself has expired.

    """
    spki = _spki(key)
    extensions = (
        Extension(oids.SUBJECT_KEY_IDENTIFIER, False, writer.octet_string(key_identifier(spki))),
        Extension(oids.KEY_USAGE, True, encode_key_usage(_USAGE)),
        Extension(
            oids.EXTENDED_KEY_USAGE, False, writer.sequence(writer.oid(oids.CERTIFICATE_REQUEST_AGENT))
        ),
    )
    subject = ra_subject(authority.certificate)
    return Certificate.load(authority.certify(subject, spki, extensions, now, RA_VALIDITY).der)


def check_ra(certificate: Certificate, key: PrivateKey) -> rsa.RSAPrivateKey:
    """Check that *key* is an RSA key and that of *certificate*, and return it.

    Raises:
        CaUnusable: It is not.

    """
    if not isinstance(key, rsa.RSAPrivateKey):
        raise CaUnusable("the RA key is not RSA: SCEP clients encrypt to it")
    if _spki(key) != certificate.spki:
        raise CaUnusable("the RA key does not belong to its certificate")
    return key


def is_renewal_due(newest: Certificate | None, issuer: Certificate, now: datetime) -> bool:
    """Whether another RA certificate is needed beside the *newest*.

    It is where there is none of this CA, and in time before its end; but not where another could
    not last longer, because the CA itself ends.
    """
    if newest is None or not _is_of(newest, issuer):
        return True
    end = newest.not_valid_after
    return end - OVERLAP <= now and end < issuer.not_valid_after


def order_certificates(
    newest_first: Sequence[Certificate], issuer: Certificate, now: datetime
) -> list[Certificate]:
    """The RA certificates that count at *now*: first the one that GetCACert shows, then those that
    still open what is encrypted to them.

    The newest is shown once it has settled. Where none is valid any more, the newest has to do.
    """
    living = [one for one in newest_first if now <= one.not_valid_after] or list(newest_first[:1])
    ours = [one for one in living if _is_of(one, issuer)] or living
    settled = [one for one in ours if one.not_valid_before + SETTLING <= now]
    shown = settled[0] if settled else ours[-1]
    return [shown, *(one for one in living if one is not shown)]


def _is_of(certificate: Certificate, issuer: Certificate) -> bool:
    try:
        # At its first moment: a host whose clock is wrong for a day must not make one after another.
        check_chain(certificate, issuer, certificate.not_valid_before)
    except ChainBroken:
        return False
    return True


def _spki(key: PrivateKey) -> bytes:
    return key.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
