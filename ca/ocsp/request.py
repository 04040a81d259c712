"""An OCSPRequest as received (RFC 6960 4.1): whose status is asked for, and with which nonce.

A signature on it is not looked at: whoever asks gets the answer.
"""

from dataclasses import dataclass

from ca.algorithms.identifier import AlgorithmIdentifier
from ca.asn1 import Asn1Error, Element, read, tags, writer
from ca.deviations import Deviations
from ca.ocsp import oids
from ca.ocsp.errors import OcspRefusal, ResponseStatus
from ca.x509.extensions import Extension, read_extensions

MAX_REQUEST_OCTETS = 8192
MAX_CERTIFICATES = 32
# RFC 9654 2.1 raised the 32 of RFC 8954, for algorithms whose nonces are longer.
MAX_NONCE_OCTETS = 128
MAX_SERIAL_OCTETS = 64


@dataclass(frozen=True, slots=True)
class CertId:
    """Which certificate is meant: its issuer by two digests, and its serial number.

    *der* is what the answer repeats.
    """

    der: bytes
    digest: str
    issuer_name_hash: bytes
    issuer_key_hash: bytes
    serial_number: int


@dataclass(frozen=True, slots=True)
class OcspRequest:
    """What is asked, in the order in which it is answered."""

    certificates: tuple[CertId, ...]
    nonce: bytes | None


def read_request(der: bytes) -> OcspRequest:
    """Read a request.

    Raises:
        OcspRefusal: It is none, too large, or has what nobody here understands.

    """
    try:
        if len(der) > MAX_REQUEST_OCTETS:
            raise Asn1Error(f"longer than {MAX_REQUEST_OCTETS} octets")
        return _read(read(der, "ocspRequest", Deviations()))
    except Asn1Error as error:
        raise OcspRefusal(ResponseStatus.malformedRequest, f"no OCSP request: {error}") from error


def _read(element: Element) -> OcspRequest:
    # What may stand behind is the signature.
    parts = element.sequence(1, 2)[0].sequence(1, 4)
    if parts[0].tag == tags.CONTEXT_0_CONSTRUCTED:
        if parts[0].only_child().integer():
            raise Asn1Error("a version that is not known")
        parts = parts[1:]
    # The requestor's name.
    if parts and parts[0].tag == tags.CONTEXT_1_CONSTRUCTED:
        parts = parts[1:]
    if not 1 <= len(parts) <= 2:
        raise Asn1Error("no requestList")
    asked = parts[0].sequence(1, MAX_CERTIFICATES)
    extensions = _extensions(parts[1]) if len(parts) == 2 else ()
    return OcspRequest(tuple(map(_read_single, asked)), _nonce(extensions))


def _read_single(element: Element) -> CertId:
    cert_id, *extensions = element.sequence(1, 2)
    for part in extensions:
        _refuse_critical(read_extensions(part.expect(tags.CONTEXT_0_CONSTRUCTED).only_child()))
    algorithm, name_hash, key_hash, serial = cert_id.sequence(4, 4)
    digest = AlgorithmIdentifier.read(algorithm)
    if digest.parameters is not None:
        raise Asn1Error("a digest with parameters")
    if len(serial.content) > MAX_SERIAL_OCTETS:
        raise Asn1Error("a serial number that nobody has")
    # Clients look for their own octets in the answer: with NULL or without, but never BER.
    null = writer.NULL if len(algorithm.children()) == 2 else b""
    der = writer.sequence(
        writer.sequence(writer.oid(digest.oid), null),
        writer.octet_string(name_hash.octets()),
        writer.octet_string(key_hash.octets()),
        writer.integer(serial.integer()),
    )
    return CertId(der, digest.oid, name_hash.octets(), key_hash.octets(), serial.integer())


def _extensions(element: Element) -> tuple[Extension, ...]:
    extensions = read_extensions(element.expect(tags.CONTEXT_2_CONSTRUCTED).only_child())
    _refuse_critical(tuple(one for one in extensions if one.oid != oids.NONCE))
    return extensions


def _refuse_critical(extensions: tuple[Extension, ...]) -> None:
    """RFC 5280 4.2: what is critical must be understood, and nothing but the nonce is."""
    for one in extensions:
        if one.critical:
            raise Asn1Error(f"an unknown critical extension, {one.oid}")


def _nonce(extensions: tuple[Extension, ...]) -> bytes | None:
    found = [one.value for one in extensions if one.oid == oids.NONCE]
    if not found:
        return None
    if len(found) > 1:
        raise Asn1Error("two nonces")
    # RFC 6960 4.4.1: an OCTET STRING inside the one of the extension.
    nonce = read(found[0], "nonce", Deviations()).octets()
    if not 1 <= len(nonce) <= MAX_NONCE_OCTETS:
        raise Asn1Error(f"a nonce is of 1 to {MAX_NONCE_OCTETS} octets")
    return nonce
