"""Builds messages that no honest device sends, throws them, and reads replies with another's reader.

Nothing here asserts that a message is refused: that is what the tests say.
"""

import io
from dataclasses import dataclass
from typing import Any, Self
from wsgiref.util import setup_testing_defaults
from wsgiref.validate import validator

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from pyasn1.codec.der import decoder
from pyasn1_alt_modules import rfc5652, rfc8894

from app.http.answers import PlainBottle
from app.http.scep import ScepEndpoint
from ca.algorithms.digests import SHA256, Digest
from ca.algorithms.key_transport import PKCS1_V15
from ca.algorithms.keys import PrivateKey
from ca.algorithms.levels import CryptoLevel
from ca.algorithms.signatures import cms_identifier
from ca.algorithms.signatures import sign as sign_bytes
from ca.asn1 import Element, read, tags, writer
from ca.deviations import Deviations
from ca.pkcs7 import degenerate, encrypt
from ca.pkcs7 import oids as cms
from ca.pkcs7.content_info import content_info
from ca.profiles import Profile
from ca.scep import oids
from ca.scep.codec import encode_ca_certificates
from ca.x509.certificate import Certificate
from tests.world import NONCE, Device, World

HASHES = {
    "1.3.14.3.2.26": hashes.SHA1(),
    "1.2.840.113549.2.5": hashes.MD5(),
    "2.16.840.1.101.3.4.2.1": hashes.SHA256(),
}


class Forgery:
    """A PKCSReq in its parts. A test changes some of them; :meth:`message` signs what is there then.

    *content* of None leaves the eContent out. *signature* and *sent_content*, where set, take the
    place of what was computed.
    """

    def __init__(
        self,
        device: Device,
        ca: Certificate,
        content: bytes | None = b"envelope",
        *,
        key: PrivateKey | None = None,
        content_type: str = cms.DATA,
        digest: Digest = SHA256,
        transaction_id: str = "t1",
    ) -> None:
        self.key = key or device.signer_key or device.key
        self.digest = digest
        self.content = encrypt([ca], device.csr()) if content == b"envelope" else content
        self.sent_content = self.content
        self.content_type = content_type
        self.attributes: list[tuple[str, list[bytes]]] = [
            (cms.CONTENT_TYPE, [writer.oid(content_type)]),
            (cms.MESSAGE_DIGEST, [writer.octet_string(digest.of(self.content or b""))]),
            (oids.MESSAGE_TYPE, [writer.printable_string("19")]),
            (oids.TRANSACTION_ID, [writer.printable_string(transaction_id)]),
            (oids.SENDER_NONCE, [writer.octet_string(NONCE)]),
        ]
        signer = device.certificate()
        self.certificates = [signer.der]
        self.signer_identifier = writer.sequence(signer.issuer_der, signer.serial_der)
        self.digest_algorithm = digest.identifier
        self.signature_algorithm = cms_identifier(self.key, digest)
        self.signature: bytes | None = None
        self.sent_unsorted = self.signed_unsorted = False

    def put(self, oid: str, *values: bytes) -> Self:
        """Give the attribute *oid* these values, in place of any it has."""
        self.drop(oid).attributes.append((oid, list(values)))
        return self

    def drop(self, oid: str) -> Self:
        """Leave the attribute *oid* out."""
        self.attributes = [one for one in self.attributes if one[0] != oid]
        return self

    def repeat(self, oid: str) -> Self:
        """Have the attribute *oid* twice, with one value each."""
        self.attributes += [one for one in self.attributes if one[0] == oid]
        return self

    def attribute_octets(self, *, unsorted: bool = False) -> bytes:
        """The attributes without the tag around them."""
        encoded = [writer.sequence(writer.oid(oid), writer.set_of(values)) for oid, values in self.attributes]
        return b"".join(sorted(encoded, reverse=unsorted))

    def signed_octets(self) -> bytes:
        """What the signature is over."""
        return writer.encode(tags.SET, self.attribute_octets(unsorted=self.signed_unsorted))

    def sign(self) -> bytes:
        """The signature: given, or right."""
        return self.signature or sign_bytes(self.key, self.signed_octets(), self.digest)

    def signer_info(self) -> bytes:
        """The SignerInfo alone."""
        sent = self.attribute_octets(unsorted=self.sent_unsorted)
        return writer.sequence(
            writer.integer(1 if self.signer_identifier[0] == tags.SEQUENCE else 3),
            self.signer_identifier,
            self.digest_algorithm,
            writer.encode(tags.CONTEXT_0_CONSTRUCTED, sent) if sent else b"",
            self.signature_algorithm,
            writer.octet_string(self.sign()),
        )

    def message(self, *signer_infos: bytes) -> bytes:
        """The pkiMessage; with *signer_infos* in place of its own where there are any."""
        return self.around(signer_infos or (self.signer_info(),))

    def around(self, signer_infos: tuple[bytes, ...]) -> bytes:
        """The pkiMessage with these SignerInfos and no others."""
        sent = self.sent_content
        content = b"" if sent is None else writer.explicit(0, writer.octet_string(sent))
        return content_info(
            cms.SIGNED_DATA,
            writer.sequence(
                writer.integer(1),
                writer.set_of([self.digest_algorithm]),
                writer.sequence(writer.oid(self.content_type), content),
                writer.encode(tags.CONTEXT_0_CONSTRUCTED, b"".join(self.certificates)),
                writer.encode(tags.SET, b"".join(signer_infos)),
            ),
        )


def envelope(ca: Certificate, algorithm: str, parameters: bytes, encrypted: bytes = bytes(64)) -> bytes:
    """EnvelopedData under any content cipher, with a key for the CA."""
    key = ca.public_key()
    if not isinstance(key, rsa.RSAPublicKey):
        raise TypeError("keys are transported to RSA keys alone")
    recipient = writer.sequence(
        writer.integer(0),
        writer.sequence(ca.issuer_der, ca.serial_der),
        PKCS1_V15.identifier(),
        writer.octet_string(PKCS1_V15.wrap(key, bytes(16))),
    )
    content = writer.sequence(
        writer.oid(cms.DATA),
        writer.sequence(writer.oid(algorithm), parameters),
        writer.encode(tags.CONTEXT_0, encrypted),
    )
    return content_info(
        cms.ENVELOPED_DATA, writer.sequence(writer.integer(0), writer.set_of([recipient]), content)
    )


def loosen(der: bytes, *kept: bytes) -> bytes:
    """The same in BER at its loosest: no definite length but where it must be, strings in single octets.

    Encodings among *kept* stay as they are: certificates and names are copied, never encoded anew.
    """
    return _loose(read(der, "forged", Deviations()), kept)


def _loose(element: Element, kept: tuple[bytes, ...]) -> bytes:
    if element.raw in kept:
        return element.raw
    if element.tag & tags.CONSTRUCTED:
        parts = b"".join(_loose(child, kept) for child in element.children())
        return bytes((element.tag, 0x80)) + parts + b"\0\0"
    if element.tag in (tags.OCTET_STRING, tags.CONTEXT_0):
        pieces = b"".join(bytes((tags.OCTET_STRING, 1, octet)) for octet in element.content)
        return bytes((element.tag | tags.CONSTRUCTED, 0x80)) + pieces + b"\0\0"
    return bytes((element.tag, 0x84)) + len(element.content).to_bytes(4, "big") + element.content


@dataclass(frozen=True, slots=True)
class Reply:
    """A CertRep as pyasn1 and OpenSSL's RSA see it; *content* is None where there is no eContent."""

    status: str
    fail_info: str
    text: str
    transaction_id: str
    sender_nonce: bytes
    recipient_nonce: bytes | None
    message_type: str
    digest: str
    content: bytes | None
    attribute_tags: dict[str, int]

    @classmethod
    def read(cls, der: bytes, ca: Certificate) -> "Reply":
        """Read a CertRep, and insist that the CA signed it."""
        info, rest = decoder.decode(der, asn1Spec=rfc5652.ContentInfo())
        signed, more = decoder.decode(info["content"], asn1Spec=rfc5652.SignedData())
        assert not rest
        assert not more
        (signer,) = signed["signerInfos"]
        digest = str(signer["digestAlgorithm"]["algorithm"])
        values = {str(one["attrType"]): bytes(one["attrValues"][0]) for one in signer["signedAttrs"]}
        # RFC 5652 5.4: the SET OF that was signed stands in the message under the tag [0].
        attributes = writer.set_of(
            writer.sequence(writer.oid(oid), writer.set_of([value])) for oid, value in values.items()
        )
        key = ca.public_key()
        assert isinstance(key, rsa.RSAPublicKey)
        key.verify(bytes(signer["signature"]), attributes, padding.PKCS1v15(), HASHES[digest])
        content = signed["encapContentInfo"]["eContent"]
        octets = bytes(content) if content.hasValue() else None
        hashed = hashes.Hash(HASHES[digest])
        hashed.update(octets or b"")
        assert bytes(decoder.decode(values[cms.MESSAGE_DIGEST])[0]) == hashed.finalize()
        return cls(
            status=_text(values, rfc8894.id_pkiStatus),
            fail_info=_text(values, rfc8894.id_failInfo),
            text=_text(values, rfc8894.id_scep_failInfoText),
            transaction_id=_text(values, rfc8894.id_transactionID),
            sender_nonce=_octets(values, rfc8894.id_senderNonce) or b"",
            recipient_nonce=_octets(values, rfc8894.id_recipientNonce),
            message_type=_text(values, rfc8894.id_messageType),
            digest=digest,
            content=octets,
            attribute_tags={oid: value[0] for oid, value in values.items()},
        )


def _text(values: dict[str, bytes], oid: Any) -> str:
    return str(decoder.decode(values[str(oid)])[0]) if str(oid) in values else ""


def _octets(values: dict[str, bytes], oid: Any) -> bytes | None:
    return bytes(decoder.decode(values[str(oid)])[0]) if str(oid) in values else None


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP reply; the names of *headers* are in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes


def post(world: World, message: bytes, level: CryptoLevel = CryptoLevel.COMPATIBLE) -> Answer:
    """Send *message* through the WSGI door of *world*, at a crypto level."""
    web = PlainBottle()
    web.catchall = False
    ScepEndpoint(
        world.responder.respond,
        {"default": Profile(crypto=level)},
        lambda: encode_ca_certificates((world.ca,)),
        lambda: degenerate([world.ca.der]),
    ).add_to(web)
    environ: dict[str, Any] = {
        "REQUEST_METHOD": "POST",
        "PATH_INFO": "/scep",
        "SCRIPT_NAME": "",
        "QUERY_STRING": "operation=PKIOperation",
        "CONTENT_LENGTH": str(len(message)),
        "wsgi.input": io.BytesIO(message),
        "wsgi.errors": io.StringIO(),
    }
    setup_testing_defaults(environ)
    told: list[tuple[int, dict[str, str]]] = []

    def start_response(status: str, headers: list[tuple[str, str]], *_: object) -> Any:
        told.append((int(status[:3]), {name.lower(): value for name, value in headers}))

    parts = validator(web)(environ, start_response)
    try:
        body = b"".join(parts)
    finally:
        parts.close()  # type: ignore[attr-defined]
    return Answer(*told[0], body)
