"""A message of somebody else's, made again under other keys: for saying to a server what a device said once.

No server goes this way. What was in BER as BouncyCastle or Go write it is so again; all else becomes DER.
"""

import os
from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric import rsa

from ca.algorithms.key_transport import PKCS1_V15, KeyTransport
from ca.algorithms.keys import PrivateKey
from ca.algorithms.levels import CryptoLevel
from ca.algorithms.signatures import Scheme
from ca.asn1 import Asn1Error, strings, tags, writer
from ca.deviations import DeviationKind, Deviations
from ca.errors import BadAlgorithm, BadContent, BadMessageCheck, EnvelopeUnreadable, FailInfo
from ca.pkcs7 import EnvelopedData, SignedData, encrypt, sign
from ca.pkcs7 import oids as cms_oids
from ca.pkcs7.form import Form, rewrite
from ca.pkcs7.recipient_info import KeyTransRecipient
from ca.scep import oids
from ca.scep.codec.attributes import NONCE_OCTETS, read_text, value
from ca.scep.messages import MessageType, PkiStatus
from ca.x509.certificate import Certificate

# Made anew by whoever signs.
_OF_THE_SIGNATURE = {cms_oids.CONTENT_TYPE, cms_oids.MESSAGE_DIGEST, cms_oids.SIGNING_TIME, oids.SENDER_NONCE}


@dataclass(frozen=True, slots=True)
class ReadMessage:
    """A recorded message, read and neither verified nor opened; *form* is how its outer part is written."""

    signed: SignedData
    form: Form

    @classmethod
    def load(cls, body: bytes) -> "ReadMessage":
        """Raises: MalformedMessage: It is no pkiMessage with one signer."""
        deviations = Deviations()
        signed = SignedData.load(body, deviations=deviations)
        signed.signer_info  # noqa: B018 - insists on one signer
        return cls(signed, _form(deviations))

    @property
    def message_type(self) -> MessageType | None:
        """What it says it is; None where that is nothing a client may send."""
        try:
            return MessageType(read_text(self.signed.attributes, oids.MESSAGE_TYPE))
        except (Asn1Error, ValueError):
            return None

    @property
    def signer(self) -> Certificate | None:
        """The certificate that signed; None where it did not come along, or cannot be read."""
        try:
            return next((one for one in self.signed.certificates if self.signed.signer_info.names(one)), None)
        except (Asn1Error, BadMessageCheck):
            return None

    @property
    def verdict(self) -> tuple[str, str, str]:
        """Of a CertRep pkiStatus and failInfo by their names, and failInfoText; empty where there is none."""
        status, fail_info = self._text(oids.PKI_STATUS), self._text(oids.FAIL_INFO)
        return (
            PkiStatus(status).name if status in set(PkiStatus) else status,
            FailInfo(fail_info).label if fail_info in set(FailInfo) else fail_info,
            self._text(oids.FAIL_INFO_TEXT),
        )

    def again(
        self, payload: bytes, certificate: Certificate, key: PrivateKey, recipient: Certificate
    ) -> bytes:
        """The same kind of message: *payload* for *recipient*, signed by *key* of *certificate*.

        Digest, cipher, key transport, attributes and form are those of the recorded one, but for a new
        senderNonce of the same length. An envelope that nobody could open goes along as it is; a signature
        or a messageDigest that did not hold does not hold again.

        Raises:
            BadAlgorithm: Its digest is unknown, or *recipient* has no RSA key.

        """
        info = self.signed.signer_info
        attributes = {
            oid: b"".join(one.raw for one in values)
            for oid, values in info.attributes.items()
            if oid not in _OF_THE_SIGNATURE
        }
        if nonces := info.attributes.get(oids.SENDER_NONCE):
            octets = len(nonces[0].content) if nonces[0].tag == tags.OCTET_STRING else NONCE_OCTETS
            attributes[oids.SENDER_NONCE] = writer.octet_string(os.urandom(octets))
        content = self._envelope(payload, recipient)
        digests = info.attributes.get(cms_oids.MESSAGE_DIGEST)
        if digests and digests[0].raw != writer.octet_string(info.digest.of(self.signed.data)):
            attributes[cms_oids.MESSAGE_DIGEST] = digests[0].raw
        holds, pss = self._signature()
        pss = pss and isinstance(key, rsa.RSAPrivateKey)
        message = sign(certificate, key, content, attributes=attributes, digest=info.digest, pss=pss)
        # The signature stands last.
        message = message if holds else message[:-1] + bytes([message[-1] ^ 1])
        return rewrite(message, self.form)

    def _envelope(self, payload: bytes, recipient: Certificate) -> bytes | None:
        if self.signed.content is None:
            return None
        try:
            deviations = Deviations()
            enveloped = EnvelopedData.load(self.signed.data, deviations)
            transport = _transport(enveloped)
        except (BadAlgorithm, BadContent, EnvelopeUnreadable):
            return self.signed.data
        if not isinstance(recipient.public_key(), rsa.RSAPublicKey):
            raise BadAlgorithm("the server has no RSA key to encrypt to")
        envelope = encrypt([recipient], payload, enveloped.cipher, key_transport=transport)
        return rewrite(envelope, _form(deviations))

    def _signature(self) -> tuple[bool, bool]:
        """Whether the recorded signature holds, as far as anybody can tell, and whether it is RSASSA-PSS."""
        try:
            algorithm = self.signed.signer_info.check_algorithms(CryptoLevel.LEGACY)
            self.signed.verify(CryptoLevel.LEGACY)
        except BadMessageCheck:
            return False, False
        except BadAlgorithm:
            return True, False
        return True, algorithm.scheme is Scheme.PSS

    def _text(self, oid: str) -> str:
        try:
            return strings.text(value(self.signed.attributes, oid))
        except Asn1Error:
            return ""


def _form(deviations: Deviations) -> Form:
    """The form that was read with these *deviations*, or the one that is the most like it."""
    kinds = deviations.kinds()
    if DeviationKind.INDEFINITE_LENGTH in kinds:
        return Form.STREAMED
    nested = {DeviationKind.CONSTRUCTED_STRING, DeviationKind.ABSENT_PARAMETERS}
    return Form.DER if nested.isdisjoint(kinds) else Form.NESTED


def _transport(enveloped: EnvelopedData) -> KeyTransport:
    """How the first recipient of key transport has its key, or the usual way."""
    of_kind = (one for one in enveloped.recipients if isinstance(one, KeyTransRecipient))
    first = next(of_kind, None)
    return PKCS1_V15 if first is None else first.key_transport
