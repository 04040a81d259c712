"""What ``inspect`` says of a message is what the openssl command prints of it, field by field."""

import re

import pytest

from app.diagnosis.inspection import inspect
from app.diagnosis.node import Node
from app.diagnosis.opener import Opener
from ca.algorithms.ciphers import AES_256_CBC, DES_CBC, DES_EDE3_CBC
from ca.algorithms.digests import MD5, SHA1, SHA256, SHA512
from ca.algorithms.key_transport import KeyTransport
from ca.deviations import Deviations
from ca.errors import FailInfo
from ca.scep import codec
from ca.scep.messages import Failure, Outcome, Pending, Success, Transaction
from tests.interop.messages import openssl
from tests.world import NONCE, NOW, Device, World, rsa_key, self_signed

DEVICES = {
    "AES-128, SHA-256": Device(),
    "AES-256, SHA-512": Device(cipher=AES_256_CBC, digest=SHA512),
    "3DES, SHA-1": Device(cipher=DES_EDE3_CBC, digest=SHA1),
    "DES, MD5": Device(cipher=DES_CBC, digest=MD5),
    "RSAES-OAEP": Device(key_transport=KeyTransport(SHA256, SHA256)),
    "another signer": Device(signer=self_signed("throwaway", rsa_key(2)), signer_key=rsa_key(2)),
}
OUTCOMES: dict[str, Outcome] = {
    "SUCCESS": Success(self_signed("leaf", rsa_key(1)).der),
    "FAILURE": Failure(FailInfo.BAD_REQUEST, "no such challenge"),
    "PENDING": Pending(),
}
# openssl's names for what has other ones here.
NAMES = {
    "pkcs7-data": "id-data",
    "md5": "MD5",
    "sha1": "SHA-1",
    "sha256": "SHA-256",
    "sha512": "SHA-512",
    "rsaesOaep": "RSAES-OAEP",
    "rsassaPss": "RSASSA-PSS",
    "des-cbc": "DES-CBC",
    "des-ede3-cbc": "DES-EDE3-CBC",
    "aes-128-cbc": "AES-128-CBC",
    "aes-256-cbc": "AES-256-CBC",
}


@pytest.fixture(scope="module")
def world() -> World:
    return World()


def value(top: Node, name: str) -> str:
    """The first word of what stands at the place of that name that is met first."""
    return next(node.value for node in top.walk() if node.name == name).split(" ")[0]


def serial_number(top: Node, name: str) -> int:
    """The serial number that a signer or recipient is named by."""
    told = next(node.value for node in top.walk() if node.name == name)
    return int(told.split(" ")[1], 16)


def printed(message: bytes) -> str:
    """The structure as openssl prints it, without the content that is shown in hexadecimal."""
    return openssl("cms", "-cmsout", "-print", "-noout", "-inform", "DER", stdin=message).decode()


def field(text: str, pattern: str) -> str:
    """The one group of the first match, under the name that it has here."""
    match = re.search(pattern, text, re.DOTALL)
    assert match, pattern
    return NAMES.get(match[1], match[1])


def attributes(text: str) -> dict[str, str]:
    """The signed attributes by OID: text, or the octets of a dump in hexadecimal."""
    signed = text.partition("signedAttrs:")[2].partition("signatureAlgorithm:")[0]
    found = {}
    for oid, told in re.findall(r"object: \S+ \(([\d.]+)\)\n\s+set:\n(.*?)\n\n", signed + "\n\n", re.DOTALL):
        kind, _, text = told.strip().partition(":")
        if kind == "OCTET STRING":
            rows = re.findall(r"[0-9a-f]{4} - ([0-9a-f -]+?)   ", text + "   ")
            text = "".join(re.findall(r"[0-9a-f]{2}", " ".join(rows)))
        found[oid] = text
    return found


def check(message: bytes) -> None:
    """Hold ``inspect`` to what openssl prints of a whole message."""
    top, text = inspect(message, Opener(NOW)), printed(message)
    signer = text.rpartition("signerInfos:")[2]
    told = attributes(text)

    assert value(top, "encapContentInfo").rstrip(",") == field(text, r"eContentType: (\S+)")
    assert value(top, "digestAlgorithm") == field(signer, r"digestAlgorithm:.*?algorithm: (\S+)")
    assert value(top, "signatureAlgorithm") == field(signer, r"signatureAlgorithm:.*?algorithm: (\S+)")
    assert serial_number(top, "signer") == int(field(signer, r"serialNumber: (\w+)"), 0)
    scep = {
        "messageType": "2.16.840.1.113733.1.9.2",
        "pkiStatus": "2.16.840.1.113733.1.9.3",
        "failInfo": "2.16.840.1.113733.1.9.4",
        "senderNonce": "2.16.840.1.113733.1.9.5",
        "recipientNonce": "2.16.840.1.113733.1.9.6",
        "transactionID": "2.16.840.1.113733.1.9.7",
        "messageDigest": "1.2.840.113549.1.9.4",
    }
    for name, oid in scep.items():
        if oid in told:
            shown = value(top, name)
            assert shown == told[oid].removeprefix("PRINTABLESTRING:"), name
        else:
            assert name not in {node.name for node in top.walk()}
    content = codec.load(message, Deviations()).data
    if len(content) > 1:
        check_envelope(top, printed(content))


def check_envelope(top: Node, text: str) -> None:
    """And of the envelope in it."""
    assert value(top, "keyEncryptionAlgorithm") == field(text, r"keyEncryptionAlgorithm:.*?algorithm: (\S+)")
    cipher = field(text, r"contentEncryptionAlgorithm:.*?algorithm: (\S+)")
    assert value(top, "contentEncryptionAlgorithm") == cipher
    assert serial_number(top, "recipient") == int(field(text, r"serialNumber: (\w+)"), 0)


@pytest.mark.parametrize("device", DEVICES.values(), ids=DEVICES)
def test_requests_are_told_as_openssl_prints_them(world: World, device: Device) -> None:
    """Two readers that share no code."""
    check(device.message(world.ca, transaction_id="0123456789abcdef"))


@pytest.mark.parametrize("outcome", OUTCOMES.values(), ids=OUTCOMES)
def test_replies_are_told_as_openssl_prints_them(world: World, outcome: Outcome) -> None:
    """And so with what we answer."""
    device = Device()
    check(
        codec.encode_cert_rep(
            outcome,
            Transaction("t1", NONCE),
            world.ca,
            world.key,
            recipient=device.certificate(),
            digest=device.digest,
            cipher=device.cipher,
        )
    )
