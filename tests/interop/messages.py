"""SCEP messages and certificates as the openssl command reads them, and what they must be.

The witness shares no code with the service: the command verifies, decrypts and prints; regular
expressions pick the attributes out of what it prints.
"""

import re
import subprocess
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from . import peers

MESSAGE_TYPE, PKI_STATUS, FAIL_INFO, SENDER_NONCE, RECIPIENT_NONCE, TRANSACTION_ID = (
    f"2.16.840.1.113733.1.9.{arc}" for arc in range(2, 8)
)  # RFC 8894 3.2.1

NAMES = {
    "md5": "MD5",
    "sha1": "SHA-1",
    "sha224": "SHA-224",
    "sha256": "SHA-256",
    "sha384": "SHA-384",
    "sha512": "SHA-512",
    "des-cbc": "DES-CBC",
    "des-ede3-cbc": "3DES-CBC",
    "aes-128-cbc": "AES-128-CBC",
    "aes-192-cbc": "AES-192-CBC",
    "aes-256-cbc": "AES-256-CBC",
}


@dataclass(frozen=True, slots=True)
class PkiMessage:
    """A pkiMessage (RFC 8894 3.1) whose signature openssl has verified."""

    digest: str
    signature: str
    cipher: str
    envelope: bytes
    attributes: dict[str, str]


def read_request(message: bytes) -> PkiMessage:
    """Read what a client sent; its signer is known to nobody yet, so only the signature counts."""
    return _read(message, "-noverify")


def read_reply(message: bytes, request: PkiMessage, ca_file: Path) -> PkiMessage:
    """Read a CertRep and hold it to its request (RFC 8894 3.2.1 and 3.3.2)."""
    # An RA's certificate is for no purpose that openssl knows by a name.
    reply = _read(message, "-CAfile", str(ca_file), "-purpose", "any")
    asked, answered = request.attributes, reply.attributes
    assert answered[MESSAGE_TYPE] == "3"
    assert answered[TRANSACTION_ID] == asked[TRANSACTION_ID]
    assert answered[RECIPIENT_NONCE] == asked[SENDER_NONCE]
    assert answered[SENDER_NONCE] != asked[SENDER_NONCE]
    assert (FAIL_INFO in answered) == (answered[PKI_STATUS] == "2")
    assert bool(reply.envelope) == (answered[PKI_STATUS] == "0")
    # strongSwan and iOS know no other name for the algorithm than that of the key.
    assert reply.signature == "rsaEncryption"
    return reply


def open_reply(reply: PkiMessage, key_file: Path) -> list[str]:
    """Decrypt a CertRep's envelope as openssl does and return its certificates as PEM."""
    arguments = ["cms", "-decrypt", "-inform", "DER", "-binary", "-inkey", str(key_file)]
    with_des = ["-provider", "default", "-provider", "legacy"]
    degenerate = openssl(*arguments, *with_des, stdin=reply.envelope)
    printed = openssl("pkcs7", "-inform", "DER", "-print_certs", stdin=degenerate).decode()
    return re.findall(r"-----BEGIN.*?-----END CERTIFICATE-----\n", printed, re.DOTALL)


@cache
def _read(message: bytes, *trust: str) -> PkiMessage:
    content = openssl("cms", "-verify", "-inform", "DER", "-binary", *trust, stdin=message)
    before, attributes, after = _signer_info(_asn1(message))
    digest, signature = _objects(before)[-1], _objects(after)[0]
    cipher = _cipher(content) if content else ""
    return PkiMessage(NAMES[digest], signature, cipher, content, _attributes(attributes))


def openssl(*arguments: str, stdin: bytes = b"") -> bytes:
    """Run the openssl command and return what it writes."""
    peers.require(peers.OPENSSL)
    done = subprocess.run(["openssl", *arguments], input=stdin, capture_output=True, check=False)
    assert done.returncode == 0, f"openssl {' '.join(arguments)}: {done.stderr.decode()}"
    return done.stdout


def _asn1(der: bytes) -> str:
    return openssl("asn1parse", "-inform", "DER", stdin=der).decode()


def _signer_info(printed: str) -> tuple[str, str, str]:
    """Split what is printed before, inside and after the last SignerInfo's signed attributes."""
    fields = re.split(r"^.*:d=5 .*\n", printed, flags=re.MULTILINE)
    heads = re.findall(r"^.*:d=5 .*\n", printed, flags=re.MULTILINE)
    at = max(i for i, head in enumerate(heads) if "cont [ 0 ]" in head)
    return "".join(fields[: at + 1]), fields[at + 1], "".join(fields[at + 2 :])


def _objects(printed: str) -> list[str]:
    return re.findall(r"prim: OBJECT +:(\S+)", printed)


def _attributes(printed: str) -> dict[str, str]:
    """Pick out the attributes of the two types that RFC 8894 3.2.1 gives to its own."""
    types = r"(?:PRINTABLESTRING|OCTET STRING) +(?:\[HEX DUMP\])?"
    pair = rf"prim: OBJECT +:(\S+)\n.*cons: SET.*\n.*prim: {types}:(.*)"
    return dict(re.findall(pair, printed))


def _cipher(envelope: bytes) -> str:
    *_, transport, content_type, cipher = _objects(_asn1(envelope))
    # Apple's unwrap and every client here know PKCS#1 v1.5 alone.
    assert (transport, content_type) == ("rsaEncryption", "pkcs7-data")
    return NAMES[cipher]
