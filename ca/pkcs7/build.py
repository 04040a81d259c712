"""Writes SignedData in DER (RFC 5652 5): signed with attributes, or degenerate with certificates alone."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from cryptography.hazmat.primitives.asymmetric import ed25519

from ca.algorithms.digests import SHA256, Digest
from ca.algorithms.keys import PrivateKey
from ca.algorithms.signatures import certificate_identifier, cms_identifier, fitting_digest
from ca.algorithms.signatures import sign as sign_bytes
from ca.asn1 import tags, writer
from ca.pkcs7 import oids
from ca.pkcs7.content_info import content_info
from ca.x509.certificate import Certificate

_VERSION_1 = writer.integer(1)
_VERSION_3 = writer.integer(3)
_CONTENT_TYPE_DATA = writer.sequence(writer.oid(oids.CONTENT_TYPE), writer.set_of([writer.oid(oids.DATA)]))
_NO_CONTENT = writer.sequence(writer.oid(oids.DATA))
_EMPTY_SET = writer.set_of([])


def sign(
    certificate: Certificate,
    key: PrivateKey,
    data: bytes | None,
    certificates: Sequence[Certificate] = (),
    attributes: Mapping[str, bytes] | None = None,
    *,
    digest: Digest = SHA256,
    pss: bool = False,
    named_digest: bool = False,
    by_key_identifier: bool = False,
    signing_time: datetime | None = None,
) -> bytes:
    """Sign *data* as id-data and return the DER of the ContentInfo.

    *data* of None leaves the eContent out, empty bytes make it an empty OCTET STRING.
    *certificates* travel beside *certificate*, which always does. *attributes* map a dotted OID to
    the DER of its one value and are signed beside contentType, messageDigest and signingTime.
    Ed25519 goes with SHA-512, whatever *digest* says. With *named_digest* the signatureAlgorithm is
    sha256WithRSAEncryption and its kin.

    Ruby: OpenSSL::PKCS7.sign(certificate, key, data, certificates, OpenSSL::PKCS7::BINARY)
    """
    if isinstance(key, ed25519.Ed25519PrivateKey):
        # RFC 8419 3.1: where there are signed attributes.
        digest = fitting_digest(key)
    signed = {
        oids.MESSAGE_DIGEST: writer.octet_string(digest.of(data or b"")),
        oids.SIGNING_TIME: writer.time(signing_time or datetime.now(UTC)),
        **(attributes or {}),
    }
    encoded = sorted([_CONTENT_TYPE_DATA, *(_attribute(oid, value) for oid, value in signed.items())])
    content = b"".join(encoded)
    # RFC 5652 5.4: signed as a SET OF, sent under the tag [0].
    signature = sign_bytes(key, writer.encode(tags.SET, content), digest, pss=pss)
    signer_info = writer.sequence(
        _VERSION_3 if by_key_identifier else _VERSION_1,
        _signer_identifier(certificate, by_key_identifier=by_key_identifier),
        digest.identifier,
        writer.encode(tags.CONTEXT_0_CONSTRUCTED, content),
        certificate_identifier(key, digest) if named_digest else cms_identifier(key, digest, pss=pss),
        writer.octet_string(signature),
    )
    carried = {one.der for one in (certificate, *certificates)}
    return content_info(
        oids.SIGNED_DATA,
        writer.sequence(
            _VERSION_3 if by_key_identifier else _VERSION_1,
            writer.set_of([digest.identifier]),
            _encapsulated(data),
            writer.set_of(carried, tags.CONTEXT_0_CONSTRUCTED),
            writer.set_of([signer_info]),
        ),
    )


def degenerate(certificates: Sequence[bytes], crls: Sequence[bytes] = ()) -> bytes:
    """A certs-only or crls-only SignedData without signers (RFC 8894 3.4), as DER of the ContentInfo.

    The order given is kept, though DER would sort: iOS and the Go clients take the first
    certificate for theirs.

    Ruby: p7 = OpenSSL::PKCS7.new; p7.type = "signed"; p7.certificates = certificates
    """
    return content_info(
        oids.SIGNED_DATA,
        writer.sequence(
            _VERSION_1,
            _EMPTY_SET,
            _NO_CONTENT,
            writer.encode(tags.CONTEXT_0_CONSTRUCTED, b"".join(certificates)) if certificates else b"",
            writer.encode(tags.CONTEXT_1_CONSTRUCTED, b"".join(crls)) if crls else b"",
            _EMPTY_SET,
        ),
    )


def _attribute(oid: str, value: bytes) -> bytes:
    return writer.sequence(writer.oid(oid), writer.set_of([value]))


def _signer_identifier(certificate: Certificate, *, by_key_identifier: bool) -> bytes:
    if by_key_identifier:
        return writer.encode(tags.CONTEXT_0, certificate.subject_key_identifier)
    return writer.sequence(certificate.issuer_der, certificate.serial_der)


def _encapsulated(data: bytes | None) -> bytes:
    if data is None:
        return _NO_CONTENT
    return writer.sequence(writer.oid(oids.DATA), writer.explicit(0, writer.octet_string(data)))
