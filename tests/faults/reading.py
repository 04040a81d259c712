"""A pkiMessage as this server reads it: DER and BER, every digest, cipher and key transport of clients."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from asn1crypto import cms, parser
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.decrepit.ciphers.algorithms import TripleDES
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.ciphers import Cipher, modes
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.padding import PKCS7

from tests.faults.conduct import Conduct

SCEP = {
    "messageType": "2.16.840.1.113733.1.9.2",
    "pkiStatus": "2.16.840.1.113733.1.9.3",
    "failInfo": "2.16.840.1.113733.1.9.4",
    "senderNonce": "2.16.840.1.113733.1.9.5",
    "recipientNonce": "2.16.840.1.113733.1.9.6",
    "transactionID": "2.16.840.1.113733.1.9.7",
}
DIGESTS: dict[str, hashes.HashAlgorithm] = {
    "md5": hashes.MD5(),
    "sha1": hashes.SHA1(),
    "sha224": hashes.SHA224(),
    "sha256": hashes.SHA256(),
    "sha384": hashes.SHA384(),
    "sha512": hashes.SHA512(),
}
KEY_SIZES = {"des": 8, "tripledes_3key": 24, "aes128_cbc": 16, "aes192_cbc": 24, "aes256_cbc": 32}
BAD_ALG, BAD_MESSAGE_CHECK, BAD_REQUEST, BAD_CERT_ID = "0", "1", "2", "4"


class NoMessage(Exception):
    """It cannot be answered by a CertRep, for it names no transaction."""


class Refused(Exception):
    """FAILURE, with its failInfo and a text."""

    def __init__(self, fail_info: str, text: str) -> None:
        super().__init__(text)
        self.fail_info = fail_info


@dataclass(frozen=True, slots=True)
class Message:
    """A pkiMessage of which the outside is read: *signer* and *envelope* are of asn1crypto."""

    message_type: str
    transaction_id: str
    nonce: bytes
    signer: Any
    digest: str
    cipher: str
    envelope: Any
    is_ber: bool

    def is_for(self, certificate: x509.Certificate) -> bool:
        """Whether its first recipient is named as that certificate is."""
        named = self.envelope["recipient_infos"][0].chosen["rid"].chosen
        return bool(
            named["serial_number"].native == certificate.serial_number
            and named["issuer"].dump() == certificate.issuer.public_bytes()
        )


def read_message(data: bytes) -> Message:
    """Read the outside.

    Raises:
        NoMessage: It is none, or has no transaction to answer under.

    """
    try:
        return _read_message(data)
    except (ValueError, TypeError, KeyError, IndexError, AttributeError) as error:
        raise NoMessage(f"no pkiMessage: {error}") from error


def _read_message(data: bytes) -> Message:
    signed = cms.ContentInfo.load(data)["content"]
    (info,) = signed["signer_infos"]
    attributes = {one["type"].dotted: one["values"][0] for one in info["signed_attrs"]}
    content = bytes(signed["encap_content_info"]["content"])
    envelope = cms.ContentInfo.load(content)["content"]
    signer = _find_signer(signed, info)
    return Message(
        message_type=str(attributes[SCEP["messageType"]].native),
        transaction_id=str(attributes[SCEP["transactionID"]].native),
        nonce=bytes(attributes[SCEP["senderNonce"]].native),
        signer=signer,
        digest=_check_signature(info, content, signer),
        cipher=envelope["encrypted_content_info"]["content_encryption_algorithm"]["algorithm"].native,
        envelope=envelope,
        is_ber=data[1] == 0x80,
    )


def _find_signer(signed: Any, info: Any) -> Any:
    sid = info["sid"].chosen
    for one in signed["certificates"]:
        tbs = one.chosen["tbs_certificate"]
        if tbs["issuer"].dump() == sid["issuer"].dump() and tbs["serial_number"] == sid["serial_number"]:
            return one.chosen
    raise NoMessage("its signer's certificate is not there")


def rsa_public_key(info: Any) -> rsa.RSAPublicKey:
    """A SubjectPublicKeyInfo's key.

    Raises:
        Refused: It is not RSA, or no key that could be.

    """
    if info.algorithm != "rsa":
        raise Refused(BAD_ALG, "not an RSA key")
    numbers = info["public_key"].parsed
    try:
        return rsa.RSAPublicNumbers(numbers["public_exponent"].native, numbers["modulus"].native).public_key()
    except ValueError as error:
        raise Refused(BAD_REQUEST, f"no key: {error}") from error


def _check_signature(info: Any, content: bytes, signer: Any) -> str:
    """The name of its digest, where the signature holds over the attributes as they came."""
    digest = info["digest_algorithm"]["algorithm"].native
    algorithm = DIGESTS[digest]
    hasher = hashes.Hash(algorithm)
    hasher.update(content)
    stated = next(
        one["values"][0].native for one in info["signed_attrs"] if one["type"].native == "message_digest"
    )
    if stated != hasher.finalize():
        raise NoMessage("messageDigest is not that of the content")
    signed = parser.emit(0, 1, 17, info["signed_attrs"].contents)
    used = info["signature_algorithm"]
    salted = padding.PSS(padding.MGF1(algorithm), padding.PSS.AUTO)
    scheme = salted if used["algorithm"].native == "rsassa_pss" else padding.PKCS1v15()
    key = rsa_public_key(signer["tbs_certificate"]["subject_public_key_info"])
    try:
        key.verify(info["signature"].native, signed, scheme, algorithm)
    except InvalidSignature as error:
        raise NoMessage("the signature does not hold") from error
    return str(digest)


def open_envelope(message: Message, key: rsa.RSAPrivateKey, conduct: Conduct) -> bytes:
    """What is inside.

    Raises:
        Refused: It does not open: why is told only by a server that is an oracle.

    """
    recipient = message.envelope["recipient_infos"][0].chosen
    transport = recipient["key_encryption_algorithm"]
    _refuse_unread(message, transport["algorithm"].native, conduct)
    if message.cipher not in KEY_SIZES:
        raise Refused(BAD_ALG, "no such cipher")
    try:
        content_key = key.decrypt(recipient["encrypted_key"].native, _transport(transport))
        return _decrypt(message, content_key)
    except (ValueError, KeyError) as error:
        text = str(error) if conduct.is_oracle else "the envelope does not open"
        raise Refused(BAD_REQUEST if "padding" in text else BAD_MESSAGE_CHECK, text) from error


def _refuse_unread(message: Message, transport: str, conduct: Conduct) -> None:
    """Fail as servers do whose library does not know what clients send."""
    if "ber" in conduct.unread and message.is_ber:
        raise Refused(BAD_MESSAGE_CHECK, "Indefinite length encoding not supported")
    if "oaep" in conduct.unread and transport == "rsaes_oaep":
        raise Refused(BAD_ALG, "Unsupported key transport algorithm")
    if "des" in conduct.unread and message.cipher == "des":
        raise Refused(BAD_ALG, "only RSA, DES-EDE3 and AES are supported")
    if "nonces" in conduct.unread and len(message.nonce) != 16:
        raise Refused(BAD_REQUEST, "senderNonce is not of 16 octets")


def _transport(algorithm: Any) -> padding.AsymmetricPadding:
    if algorithm["algorithm"].native != "rsaes_oaep":
        return padding.PKCS1v15()
    parameters = algorithm["parameters"].native or {}
    digest = parameters.get("hash_algorithm", {}).get("algorithm", "sha1")
    mask = (parameters.get("mask_gen_algorithm", {}).get("parameters") or {}).get("algorithm", "sha1")
    return padding.OAEP(padding.MGF1(DIGESTS[mask]), DIGESTS[digest], None)


def _decrypt(message: Message, key: bytes) -> bytes:
    info = message.envelope["encrypted_content_info"]
    if len(key) != KEY_SIZES[message.cipher]:
        raise ValueError("a key of another length")
    iv = info["content_encryption_algorithm"]["parameters"].native
    decryptor = Cipher(block_cipher(message.cipher, key), modes.CBC(iv)).decryptor()
    padded = decryptor.update(_encrypted_octets(info)) + decryptor.finalize()
    unpadder = PKCS7(len(iv) * 8).unpadder()
    return unpadder.update(padded) + unpadder.finalize()


def block_cipher(name: str, key: bytes) -> AES | TripleDES:
    """The cipher of that name; single DES is triple DES with one key three times."""
    if name.startswith("aes"):
        return AES(key)
    return TripleDES(key * 3 if name == "des" else key)


def _encrypted_octets(info: Any) -> bytes:
    """encryptedContent, whole or in pieces; scepclient's is one piece in a constructed string."""
    *_, last = elements(info.contents)
    _, method, _, content = last
    return b"".join(_pieces(content)) if method else content


def _pieces(content: bytes) -> Iterator[bytes]:
    for _, method, _, inner in elements(content):
        if method:
            yield from _pieces(inner)
        else:
            yield inner


def elements(contents: bytes) -> Iterator[tuple[int, int, int, bytes]]:
    """Class, method, tag and content of each element, one after the other."""
    while contents and contents[:2] != b"\0\0":
        length = parser.peek(contents)
        kind, method, tag, _, content, _ = parser.parse(contents[:length])
        yield kind, method, tag, content
        contents = contents[length:]
