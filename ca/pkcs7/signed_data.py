"""SignedData (RFC 5652 5) as received: parsed, its signature checked, nobody trusted."""

from collections.abc import Mapping
from datetime import datetime
from functools import cached_property
from hmac import compare_digest

from ca.algorithms.levels import CryptoLevel
from ca.asn1 import Asn1Error, Element, tags
from ca.deviations import DeviationKind, Deviations
from ca.errors import BadMessageCheck, MalformedMessage
from ca.pkcs7 import oids
from ca.pkcs7.content_info import read_content_info
from ca.pkcs7.signer_info import SignerInfo
from ca.x509.certificate import Certificate

MAX_CERTIFICATES = 64
MAX_SIGNERS = 8


class SignedData:
    """A parsed SignedData. Until :meth:`verify` returned, everything in it is a claim.

    Ruby: OpenSSL::PKCS7 with type :signed
    """

    def __init__(self, content: Element, deviations: Deviations) -> None:
        self.deviations = deviations
        version, _, encapsulated, *rest = content.sequence(4, 6)
        self.version = version.integer()
        self.content_type, self.content = _read_encapsulated(encapsulated)
        self._certificates: list[Element] = []
        self.crls: list[bytes] = []
        for part in rest[:-1]:
            if part.tag == tags.CONTEXT_0_CONSTRUCTED:
                self._certificates = [one for one in part.children() if one.tag == tags.SEQUENCE]
            else:
                self.crls = [crl.raw for crl in part.expect(tags.CONTEXT_1_CONSTRUCTED).children()]
        if len(self._certificates) > MAX_CERTIFICATES:
            raise Asn1Error("too many certificates")
        signers = rest[-1].expect(tags.SET).children()
        if len(signers) > MAX_SIGNERS:
            raise Asn1Error("too many SignerInfos")
        self._signers = [SignerInfo.read(signer) for signer in signers]
        if self.version not in (1, 3):
            content.deviate(DeviationKind.CMS_VERSION, f"SignedData {self.version}")

    @classmethod
    def load(
        cls, der: bytes, place: str = "pkiMessage", deviations: Deviations | None = None
    ) -> "SignedData":
        """Parse a ContentInfo that holds SignedData, in DER or BER.

        Raises:
            MalformedMessage: It is something else.

        Ruby: OpenSSL::PKCS7.new(der)

        """
        deviations = Deviations() if deviations is None else deviations
        try:
            kind, content = read_content_info(der, place, deviations)
            if kind != oids.SIGNED_DATA:
                raise MalformedMessage("not a CMS SignedData")
            return cls(content, deviations)
        except Asn1Error as error:
            raise MalformedMessage(f"not a CMS SignedData: {error}") from error

    @property
    def signers(self) -> list[SignerInfo]:
        """The SignerInfos: issuer and serial number of each, and what is signed.

        Ruby: OpenSSL::PKCS7#signers
        """
        return self._signers

    @property
    def data(self) -> bytes:
        """The content; empty where it is absent (RFC 8894 3.3.2.2).

        Ruby: OpenSSL::PKCS7#data
        """
        return self.content or b""

    @cached_property
    def certificates(self) -> list[Certificate]:
        """The certificates that came along, in the order sent, which means nothing.

        Raises:
            BadMessageCheck: One of them is no certificate.

        Ruby: OpenSSL::PKCS7#certificates

        """
        try:
            return [Certificate(element) for element in self._certificates]
        except Asn1Error as error:
            raise BadMessageCheck("a certificate of the message cannot be read", detail=str(error)) from error

    @property
    def signer_info(self) -> SignerInfo:
        """The one signer, which is what SCEP allows.

        Raises:
            MalformedMessage: There is none, there are several, or it signed no attributes.

        """
        if len(self._signers) != 1:
            raise MalformedMessage(f"{len(self._signers)} SignerInfos where one belongs")
        signer = self._signers[0]
        if not signer.has_signed_attributes:
            raise MalformedMessage("no signed attributes")
        return signer

    @property
    def attributes(self) -> Mapping[str, list[Element]]:
        """The signed attributes of the one signer: dotted OID to its values.

        Ruby: not possible
        """
        return self.signer_info.attributes

    @property
    def signing_time(self) -> datetime | None:
        """The signingTime, None where absent or unreadable. UTC."""
        values = self.attributes.get(oids.SIGNING_TIME)
        if values is None:
            return None
        try:
            if len(values) != 1:
                raise Asn1Error(f"{len(values)} values")
            time = values[0].time()
        except Asn1Error as error:
            self.deviations.add(DeviationKind.SIGNING_TIME, "pkiMessage.signedAttrs", str(error))
            return None
        # RFC 5652 11.3: UTCTime until 2050, and always with seconds.
        if len(values[0].content) != (13 if time.year < 2050 else 15):
            values[0].deviate(DeviationKind.SIGNING_TIME, "form", part="signedAttrs")
        return time

    def verify(
        self, level: CryptoLevel = CryptoLevel.COMPATIBLE, trusted: tuple[Certificate, ...] = ()
    ) -> Certificate:
        """Check digest and signature, and return the certificate whose key made it.

        *trusted* are certificates to look for the signer in before those of the message, which a
        reply may leave out. Whether the signer may do what he asks is not judged here: this is
        Ruby's NOVERIFY.

        Raises:
            BadAlgorithm: An algorithm is unknown or not accepted at *level*.
            BadMessageCheck: Digest, contentType or signature is wrong, or no certificate is the
                signer's.

        Ruby: OpenSSL::PKCS7#verify(certificates, store, nil, OpenSSL::PKCS7::NOVERIFY)

        """
        signer_info = self.signer_info
        algorithm = signer_info.check_algorithms(level)
        signer = self._find_signer(signer_info, trusted)
        self._check_digest(signer_info)
        signer_info.check_signature(signer, algorithm)
        return signer

    def _find_signer(self, signer_info: SignerInfo, trusted: tuple[Certificate, ...]) -> Certificate:
        for certificate in (*trusted, *self.certificates):
            try:
                if signer_info.names(certificate):
                    return certificate
            except Asn1Error as error:
                raise BadMessageCheck("a certificate of the message cannot be read") from error
        raise BadMessageCheck("the signer's certificate is not in the message")

    def _check_digest(self, signer_info: SignerInfo) -> None:
        """RFC 5652 5.3 and 11: contentType and messageDigest, one value each, and right."""
        try:
            content_type = _single(signer_info, oids.CONTENT_TYPE, "contentType").oid()
            message_digest = _single(signer_info, oids.MESSAGE_DIGEST, "messageDigest").octets()
        except Asn1Error as error:
            raise BadMessageCheck("contentType or messageDigest cannot be read") from error
        if content_type != self.content_type:
            raise BadMessageCheck("the contentType attribute is not the type of the content")
        if not compare_digest(message_digest, signer_info.digest.of(self.data)):
            raise BadMessageCheck("the content was altered: messageDigest is another")


def _read_encapsulated(element: Element) -> tuple[str, bytes | None]:
    kind, *content = element.sequence(1, 2)
    if not content:
        return kind.oid(), None
    return kind.oid(), content[0].expect(tags.CONTEXT_0_CONSTRUCTED).only_child().octets()


def _single(signer_info: SignerInfo, oid: str, name: str) -> Element:
    values = signer_info.attributes.get(oid, [])
    if len(values) != 1:
        raise BadMessageCheck(f"{len(values)} values of {name} where one belongs")
    return values[0]
