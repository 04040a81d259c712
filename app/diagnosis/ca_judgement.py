"""What clients ask of the certificates that GetCACert gives (RFC 8894 2.1.2, 4.2.1)."""

from collections.abc import Sequence

from app.diagnosis.node import Node
from app.diagnosis.opener import Opener
from app.diagnosis.tlv import Tlv
from app.diagnosis.words import oid_name, signature_name
from app.diagnosis.x509_tree import read_certificate
from ca.algorithms.keys import key_label, load_public_key
from ca.algorithms.signatures import RSASSA_PSS
from ca.asn1 import Asn1Error
from ca.deviations import Deviations
from ca.errors import BadAlgorithm
from ca.x509 import oids
from ca.x509.certificate import Certificate
from ca.x509.extensions import KeyUsageBit, read_key_purposes

_ENCIPHERING = {KeyUsageBit.digitalSignature, KeyUsageBit.keyEncipherment}
_FOR_WINDOWS = {oids.CERTIFICATE_REQUEST_AGENT, oids.KEY_PURPOSES["serverAuth"]}


def is_authority(one: Tlv) -> bool:
    """Whether it is a CA's certificate."""
    certificate = read_certificate(one, Deviations())
    try:
        return certificate is not None and certificate.is_ca
    except Asn1Error:
        return False


def judge_ca(node: Node, one: Tlv, opener: Opener, *, behind: bool = False) -> None:
    """What clients ask of the certificate that GetCACert gives; *behind* an RA they do not write to it."""
    certificate = read_certificate(one, Deviations())
    if certificate is None:
        return
    try:
        _judge_ca(node, certificate, behind=behind)
        if not certificate.not_valid_before <= opener.now <= certificate.not_valid_after:
            node.note("ca-expired", f"at {opener.now:%Y-%m-%d %H:%M} UTC")
    except Asn1Error as error:
        node.note("damaged-encoding", str(error))
    algorithm = one.child(1)
    if algorithm is not None and signature_name(algorithm).startswith(oid_name(RSASSA_PSS)):
        node.note("ca-pss")


def _judge_ca(node: Node, certificate: Certificate, *, behind: bool) -> None:
    if not certificate.is_ca:
        node.note("ca-not-ca")
    usage = certificate.key_usage
    if not behind and usage is not None and not usage >= _ENCIPHERING:
        missing = ", ".join(bit.name for bit in sorted(_ENCIPHERING - usage))
        node.note("ca-key-usage", f"{missing} is not there")
    if oids.EXTENDED_KEY_USAGE in certificate.extensions:
        node.note("ca-eku")
    if not behind and not _has_rsa_key(certificate):
        node.note("ca-not-rsa")


def _has_rsa_key(certificate: Certificate) -> bool:
    try:
        return key_label(load_public_key(certificate.spki)).startswith("rsa")
    except BadAlgorithm:
        return False


def judge_bundle(node: Node, elements: Sequence[Tlv], opener: Opener) -> None:
    """What clients ask of the bundle that GetCACert gives: an RA below another of its certificates."""
    found = [one for one in (read_certificate(element, Deviations()) for element in elements) if one]
    places = [child for child in node.children if child.place == "certificate"]
    try:
        subjects = {one.subject_der for one in found}
        below = [one for one in found if not one.is_self_issued and one.issuer_der in subjects]
        ras = [one for one in below if (one.key_usage or frozenset()) >= _ENCIPHERING]
        authorities = [one.is_ca for one in found]
    except Asn1Error as error:
        node.note("damaged-encoding", str(error))
        return
    if not ras:
        node.note("ra-missing")
    elif not any(_suits_windows(one) for one in ras):
        node.note("ra-eku")
    for place, element, authority in zip(places, elements, authorities, strict=False):
        if authority:
            judge_ca(place, element, opener, behind=True)


def _suits_windows(certificate: Certificate) -> bool:
    extension = certificate.extensions.get(oids.EXTENDED_KEY_USAGE)
    return extension is not None and bool(_FOR_WINDOWS & set(read_key_purposes(extension.value)))
