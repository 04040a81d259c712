"""EnvelopedData and AuthEnvelopedData (RFC 5652 6, RFC 5083) as received: parsed, and opened."""

from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric import rsa

from ca.algorithms import ciphers
from ca.algorithms.ciphers import Cipher
from ca.algorithms.identifier import AlgorithmIdentifier
from ca.algorithms.levels import CryptoLevel
from ca.asn1 import Asn1Error, Element, tags, writer
from ca.deviations import DeviationKind, Deviations
from ca.errors import BadAlgorithm, BadContent, EnvelopeUnreadable
from ca.pkcs7 import oids
from ca.pkcs7.content_info import read_content_info
from ca.pkcs7.password_recipient import PasswordRecipient
from ca.pkcs7.recipient_info import KeyTransRecipient, choose_recipient, read_recipient
from ca.x509.certificate import Certificate

MAX_RECIPIENTS = 16


@dataclass(frozen=True, slots=True)
class _Sealed:
    """The encrypted content: *iv* is GCM's nonce where there is a *tag*."""

    cipher: Cipher
    iv: bytes
    octets: bytes
    tag: bytes
    associated: bytes

    def open(self, key: bytes) -> bytes | None:
        if self.cipher.authenticated:
            return self.cipher.unseal(key, self.iv, self.octets, self.tag, self.associated)
        return self.cipher.decrypt(key, self.iv, self.octets)


class EnvelopedData:
    """A parsed envelope.

    Ruby: OpenSSL::PKCS7 with type :enveloped
    """

    def __init__(self, kind: str, content: Element, deviations: Deviations) -> None:
        self.deviations = deviations
        version, *parts = content.sequence(3, 7)
        self.version = version.integer()
        if parts[0].tag == tags.CONTEXT_0_CONSTRUCTED:  # originatorInfo
            parts = parts[1:]
        recipients = parts[0].expect(tags.SET).children()
        if len(recipients) > MAX_RECIPIENTS:
            raise BadContent(f"more than {MAX_RECIPIENTS} recipients in the envelope")
        self.recipients = [read_recipient(recipient) for recipient in recipients]
        if len(parts) < 2:
            raise Asn1Error("no encryptedContentInfo")
        self._sealed = _read_sealed(parts[1], parts[2:], authenticated=kind == oids.AUTH_ENVELOPED_DATA)
        self._note_version(kind)

    @classmethod
    def load(cls, der: bytes, deviations: Deviations | None = None) -> "EnvelopedData":
        """Parse a ContentInfo that holds EnvelopedData or AuthEnvelopedData, in DER or BER.

        Raises:
            BadContent: It is something else, or built in a way that no key could open.
            BadAlgorithm: Its content cipher or key transport is unknown.

        Ruby: OpenSSL::PKCS7.new(der)

        """
        deviations = Deviations() if deviations is None else deviations
        try:
            kind, content = read_content_info(der, "pkcsPKIEnvelope", deviations)
            if kind not in (oids.ENVELOPED_DATA, oids.AUTH_ENVELOPED_DATA):
                raise BadContent("the signed content is no CMS EnvelopedData")
            return cls(kind, content, deviations)
        except Asn1Error as error:
            raise BadContent("the signed content is no CMS EnvelopedData", detail=str(error)) from error

    @property
    def cipher(self) -> Cipher:
        """The content cipher, which a reply mirrors."""
        return self._sealed.cipher

    def names(self, certificate: Certificate) -> bool:
        """Whether a recipient names *certificate*."""
        return any(isinstance(one, KeyTransRecipient) and one.names(certificate) for one in self.recipients)

    def decrypt(
        self, key: rsa.RSAPrivateKey, certificate: Certificate, level: CryptoLevel = CryptoLevel.COMPATIBLE
    ) -> bytes:
        """Open the envelope with the key of *certificate*.

        Whatever goes wrong behind the RSA operation, the same work is done and the same error
        raised (RFC 3218): a bad block or a key of the wrong length goes on with a random key.

        Raises:
            BadAlgorithm: The cipher is not accepted at *level*, or no recipient uses key transport.
            BadContent: There is no recipient for a key like ours.
            EnvelopeUnreadable: It did not open.

        Ruby: OpenSSL::PKCS7#decrypt(key, certificate, flags)

        """
        level.check_cipher(self.cipher)
        recipient = choose_recipient(self.recipients, certificate, self.deviations)
        stand_in = self.cipher.new_key()
        unwrapped = recipient.key_transport.unwrap(key, recipient.encrypted_key)
        fits = unwrapped is not None and len(unwrapped) == self.cipher.key_octets
        return self._open(unwrapped if fits and unwrapped is not None else stand_in)

    def decrypt_for_anybody(self, key: rsa.RSAPrivateKey) -> bytes:
        """Open the envelope with *key*, tried on every recipient of key transport, whomever it names.

        For a person who has the key. A server must not do so: the work tells what failed.

        Raises:
            BadAlgorithm: A recipient's key transport is unknown.
            BadContent: There is no recipient of key transport.
            EnvelopeUnreadable: None of them opened.

        Ruby: OpenSSL::PKCS7#decrypt(key)

        """
        recipients = [one for one in self.recipients if isinstance(one, KeyTransRecipient)]
        if not recipients:
            raise BadContent("the envelope has no recipient that an RSA key opens")
        for recipient in recipients:
            unwrapped = recipient.key_transport.unwrap(key, recipient.encrypted_key)
            if unwrapped is not None and len(unwrapped) == self.cipher.key_octets:
                opened = self._sealed.open(unwrapped)
                if opened is not None:
                    return opened
        raise EnvelopeUnreadable(detail="no recipient's key")

    def decrypt_with_password(self, password: str, level: CryptoLevel = CryptoLevel.COMPATIBLE) -> bytes:
        """Open the envelope with *password*, tried on the first recipient that takes one.

        Raises:
            BadAlgorithm: A cipher is not accepted at *level*, or the derivation unknown or too dear.
            BadContent: No recipient takes a password, or the one that does cannot be read.
            EnvelopeUnreadable: It did not open.

        Ruby: not possible

        """
        level.check_cipher(self.cipher)
        recipients = [one for one in self.recipients if isinstance(one, PasswordRecipient)]
        if not recipients:
            raise BadContent("the envelope is not sealed with a password")
        key = recipients[0].unwrap(password, self.cipher.key_octets, level)
        if key is None:
            raise EnvelopeUnreadable(detail="the password is another")
        return self._open(key)

    def _open(self, key: bytes) -> bytes:
        opened = self._sealed.open(key)
        if opened is None:
            raise EnvelopeUnreadable(detail="key or padding")
        return opened

    def _note_version(self, kind: str) -> None:
        """RFC 5652 6.1; the drafts that became RFC 8894 wanted 0 whatever the recipients."""
        plain = all(getattr(one, "key_identifier", b"") is None for one in self.recipients)
        under_password = any(isinstance(one, PasswordRecipient) for one in self.recipients)
        expected = 0 if plain or kind == oids.AUTH_ENVELOPED_DATA else 3 if under_password else 2
        if self.version != expected:
            self.deviations.add(DeviationKind.CMS_VERSION, "pkcsPKIEnvelope", f"EnvelopedData {self.version}")


def _read_sealed(element: Element, rest: list[Element], *, authenticated: bool) -> _Sealed:
    kind, algorithm, *content = element.sequence(2, 3)
    if kind.oid() != oids.DATA:
        raise BadContent("the encrypted content is not of type id-data")
    identifier = AlgorithmIdentifier.read(algorithm)
    cipher = ciphers.BY_OID.get(identifier.oid)
    if cipher is None or cipher.authenticated != authenticated:
        raise BadAlgorithm("unknown content cipher", detail=identifier.oid)
    if not content or identifier.parameters is None:
        raise BadContent("the envelope is empty")
    octets = content[0].octets(tags.CONTEXT_0)
    if authenticated:
        return _read_gcm(cipher, identifier.parameters, octets, rest)
    iv = identifier.parameters.octets()
    if len(iv) != cipher.block_octets:
        raise BadContent("the IV does not fit the cipher")
    if not octets or len(octets) % cipher.block_octets:
        raise EnvelopeUnreadable(detail="the ciphertext is not of whole blocks")
    return _Sealed(cipher, iv, octets, b"", b"")


def _read_gcm(cipher: Cipher, parameters: Element, octets: bytes, rest: list[Element]) -> _Sealed:
    """RFC 5083 2.2: the authenticated attributes, retagged as a SET OF, are associated data."""
    nonce, *tag_octets = parameters.sequence(1, 2)
    associated = b""
    if rest and rest[0].tag == tags.CONTEXT_1_CONSTRUCTED:
        associated = writer.set_of(map(writer.normalise, rest[0].children()))
        rest = rest[1:]
    tag = rest[0].octets() if rest else b""
    expected = tag_octets[0].integer() if tag_octets else 12
    if len(tag) != expected or not 12 <= len(tag) <= 16 or not 8 <= len(nonce.octets()) <= 16:
        raise BadContent("the GCM nonce or tag is of a wrong length")
    return _Sealed(cipher, nonce.octets(), octets, tag, associated)
