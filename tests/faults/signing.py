"""The signature of a reply (RFC 8894 3.2, RFC 5652 5), right and wrong."""

import os
from datetime import UTC, datetime

from asn1crypto import algos, core
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tests.faults.conduct import Attributes, Conduct
from tests.faults.material import Material
from tests.faults.reading import DIGESTS, SCEP, Message
from tests.faults.writing import (
    DATA,
    NULL,
    RSA,
    SIGNED_DATA,
    content_info,
    dump,
    integer,
    octets,
    oid,
    sequence,
    set_of,
    tagged,
)

ATTRIBUTES = {
    "contentType": "1.2.840.113549.1.9.3",
    "messageDigest": "1.2.840.113549.1.9.4",
    "signingTime": "1.2.840.113549.1.9.5",
    **SCEP,
}
_SIGNATURES = {
    "md5": f"{RSA}4",
    "sha1": f"{RSA}5",
    "sha224": f"{RSA}14",
    "sha256": f"{RSA}11",
    "sha384": f"{RSA}12",
    "sha512": f"{RSA}13",
}


def sign_reply(
    content: bytes | None, status: str, fail_info: str, message: Message, material: Material, conduct: Conduct
) -> bytes:
    """A CertRep to *message* about what is encoded in *content*; None is none."""
    digest = conduct.digest or message.digest
    attributes = conduct.attributes(_attributes(content, status, fail_info, message, digest, conduct))
    infos = [_signer_info(content or b"", attributes, digest, material, conduct)] * conduct.signers
    kind = DATA if conduct.content_type == "data" else SIGNED_DATA
    certificate = material.signer.public_bytes(Encoding.DER)
    signed = sequence(
        integer(1),
        set_of([_digest_algorithm(digest, conduct)]),
        sequence(oid(kind), b"" if content is None else tagged(0, octets(content))),
        tagged(0, certificate) if conduct.embeds_signer else b"",
        set_of(infos),
    )
    reply = content_info(SIGNED_DATA, signed)
    if conduct.indefinite:
        reply = b"\x30\x80" + oid(SIGNED_DATA) + tagged(0, signed) + b"\0\0"
    return reply + conduct.trailer


def _attributes(
    content: bytes | None, status: str, fail_info: str, message: Message, digest: str, conduct: Conduct
) -> Attributes:
    hasher = hashes.Hash(DIGESTS[digest])
    hasher.update((content or b"") if conduct.digests_content else b"something else")
    attributes: Attributes = [
        ("contentType", core.ObjectIdentifier(DATA if conduct.content_type == "data" else SIGNED_DATA)),
        ("messageDigest", core.OctetString(hasher.finalize())),
        ("signingTime", core.UTCTime(datetime.now(UTC).replace(microsecond=0))),
        ("messageType", core.PrintableString("3")),
        ("pkiStatus", core.PrintableString(status)),
        ("transactionID", core.PrintableString(message.transaction_id)),
        ("senderNonce", core.OctetString(os.urandom(16))),
        ("recipientNonce", core.OctetString(message.nonce)),
    ]
    if fail_info:
        attributes.append(("failInfo", core.PrintableString(fail_info)))
    return attributes


def _digest_algorithm(digest: str, conduct: Conduct) -> bytes:
    if conduct.digest_is_signature:
        return sequence(oid(_SIGNATURES[digest]), NULL)
    return sequence(oid(algos.DigestAlgorithmId(digest).dotted), NULL)


def _signer_info(
    content: bytes, attributes: Attributes, digest: str, material: Material, conduct: Conduct
) -> bytes:
    encoded = [sequence(oid(ATTRIBUTES[name]), set_of([dump(value)])) for name, value in attributes]
    # DER has a SET OF in the order of its encodings (X.690 11.6); the reverse is surely another one.
    in_order = sorted(encoded)
    sent = in_order if conduct.sorts else in_order[::-1]
    to_sign = set_of(in_order if conduct.signs_sorted else sent)
    signed = bytes([conduct.signed_tag]) + to_sign[1:] if conduct.signs_attributes else content
    return sequence(
        integer(conduct.signer_info_version),
        sequence(material.signer.issuer.public_bytes(), integer(material.signer.serial_number)),
        _digest_algorithm(digest, conduct),
        tagged(0, b"".join(sent)) if conduct.signs_attributes else b"",
        _signature_algorithm(digest, conduct),
        octets(_sign(signed, digest, material.signing_key, conduct)),
    )


def _signature_algorithm(digest: str, conduct: Conduct) -> bytes:
    match conduct.signature:
        case "with_digest":
            return sequence(oid(_SIGNATURES[digest]), NULL)
        case "rsassa_pss":
            used = {"algorithm": digest}
            mask = {"algorithm": "mgf1", "parameters": used}
            size = DIGESTS[digest].digest_size
            parameters = {"hash_algorithm": used, "mask_gen_algorithm": mask, "salt_length": size}
            return sequence(oid(f"{RSA}10"), dump(algos.RSASSAPSSParams(parameters)))
    return sequence(oid(f"{RSA}1"), NULL if conduct.writes_null else b"")


def _sign(data: bytes, digest: str, key: rsa.RSAPrivateKey, conduct: Conduct) -> bytes:
    algorithm = DIGESTS[digest]
    salted = padding.PSS(padding.MGF1(algorithm), algorithm.digest_size)
    return key.sign(data, salted if conduct.signature == "rsassa_pss" else padding.PKCS1v15(), algorithm)


def spki(key: rsa.RSAPrivateKey) -> bytes:
    """The public half of a key."""
    return key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def issuer_and_serial(certificate: bytes) -> bytes:
    """The IssuerAndSerialNumber of a certificate in DER."""
    found = x509.load_der_x509_certificate(certificate)
    return sequence(found.issuer.public_bytes(), integer(found.serial_number))
