"""PasswordRecipientInfo (RFC 5652 6.2.4): the content key under a password, written and read."""

from dataclasses import dataclass

from ca.algorithms.levels import CryptoLevel
from ca.algorithms.password import KeyDerivation, KeyWrap, sealing_key
from ca.asn1 import Asn1Error, Element, tags, writer
from ca.errors import BadAlgorithm, BadContent


@dataclass(frozen=True, slots=True)
class PasswordRecipient:
    """A PasswordRecipientInfo, unread before a password is tried on it."""

    _element: Element

    def unwrap(self, password: str, key_octets: int, level: CryptoLevel) -> bytes | None:
        """The content key of so many octets; None where *password* is wrong.

        Raises:
            BadAlgorithm: Derivation or encryption is unknown, too dear, or not accepted at *level*.
            BadContent: It cannot be read.

        """
        try:
            _, *derivation, algorithm, encrypted = self._element.parts(3, 4)
            if not derivation:
                raise BadAlgorithm("the key under the password was not derived from it")
            derived = KeyDerivation.read(derivation[0])
            wrap, wrapped = KeyWrap.read(algorithm, level), encrypted.octets()
        except Asn1Error as error:
            raise BadContent("the password recipient cannot be read", detail=str(error)) from error
        if derived.key_octets not in (None, wrap.cipher.key_octets):
            raise BadContent("the derived key does not fit its cipher")
        key = wrap.unwrap(derived.derive(password, wrap.cipher.key_octets), wrapped)
        return key if key is not None and len(key) == key_octets else None


def password_recipient(password: str, key: bytes) -> bytes:
    """The DER of a PasswordRecipientInfo that holds the content *key*."""
    wrap, (derivation, kek) = KeyWrap.new(), sealing_key(password)
    return writer.encode(
        tags.CONTEXT_3_CONSTRUCTED,
        writer.integer(0)
        + derivation.identifier()
        + wrap.identifier()
        + writer.octet_string(wrap.wrap(kek, key)),
    )
