"""SCEP messages as Ruby's ``OpenSSL::PKCS7`` and ``OpenSSL::X509`` read them, beside what ``inspect`` says.

Both sides come to one shape, so that one comparison holds every field to what Ruby says of it.
"""

import base64
import json
import os
import re
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeAlias

from . import peers

HERE = Path(__file__).parent / "ruby"
# What inspect or Ruby says of a message, field by field.
Facts: TypeAlias = dict[str, Any]
# As inspect calls what Ruby calls by its number.
_OIDS = {
    "messageType": "2.16.840.1.113733.1.9.2",
    "pkiStatus": "2.16.840.1.113733.1.9.3",
    "failInfo": "2.16.840.1.113733.1.9.4",
    "senderNonce": "2.16.840.1.113733.1.9.5",
    "recipientNonce": "2.16.840.1.113733.1.9.6",
    "transactionID": "2.16.840.1.113733.1.9.7",
    "failInfoText": "1.3.6.1.5.5.7.24.1",
    "id-data": "1.2.840.113549.1.7.1",
    "id-envelopedData": "1.2.840.113549.1.7.3",
    "contentType": "1.2.840.113549.1.9.3",
    "messageDigest": "1.2.840.113549.1.9.4",
    "signingTime": "1.2.840.113549.1.9.5",
    "cmsAlgorithmProtect": "1.2.840.113549.1.9.52",
    "challengePassword": "1.2.840.113549.1.9.7",
    "extensionRequest": "1.2.840.113549.1.9.14",
    "subjectKeyIdentifier": "2.5.29.14",
    "keyUsage": "2.5.29.15",
    "subjectAltName": "2.5.29.17",
    "basicConstraints": "2.5.29.19",
    "cRLDistributionPoints": "2.5.29.31",
    "authorityKeyIdentifier": "2.5.29.35",
    "extKeyUsage": "2.5.29.37",
    "authorityInfoAccess": "1.3.6.1.5.5.7.1.1",
    "Certificate Request Agent": "1.3.6.1.4.1.311.20.2.1",
    "Microsoft SID": "1.3.6.1.4.1.311.25.2",
}
# Fields that hold the name of an algorithm.
_ALGORITHMS = {"signature", "digest", "algorithm", "transport", "cipher"}


def ask_ruby(messages: Sequence[tuple[bytes, str | None]]) -> list[Facts]:
    """What Ruby says of each message, opened by the private key beside it, PEM; one start for all."""
    peers.require(peers.RUBY)
    asked = [{"message": base64.b64encode(message).decode(), "key": key} for message, key in messages]
    done = subprocess.run(
        ["ruby", str(HERE / "witness.rb")],
        input=json.dumps(asked),
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "OPENSSL_CONF": str(HERE / "openssl.cnf")},
    )
    assert done.returncode == 0, done.stderr
    answered: list[Facts] = _spelt(json.loads(done.stdout))
    return answered


def facts_of(tree: Facts) -> Facts:
    """What ``inspect --json`` says of a message, *tree* being its node, in the shape of Ruby's answer."""
    kind, _, said = _value(tree, "encapContentInfo").partition(", ")
    content = re.search(r"content (\d+) octets", said)
    length = int(content[1]) if content else None
    field = _part(tree, "signerInfos")
    sealed = length is not None and length > 1
    facts: Facts = {
        "version": int(_value(tree, "version")),
        "holds": _value(field, "verdict") == "the signature holds",
        "type": _OIDS.get(kind, kind),
        "content": length,
        "certificates": [*map(_certificate, _parts(_part(tree, "certificates"), "certificate"))],
        "signer": _signer(_part(field, "signerInfo")),
        "envelope": _envelope(_part(_part(tree, "encapContentInfo"), "pkcsPKIEnvelope")) if sealed else None,
    }
    spelt: Facts = _spelt(facts)
    return spelt


def differences(told: Any, facts: Any, where: str = "") -> list[str]:
    """Field by field, what ``inspect`` has *told* otherwise than Ruby does in its *facts*."""
    if isinstance(told, dict) and isinstance(facts, dict):
        names = dict.fromkeys((*told, *facts))
        pairs = [(told.get(name), facts.get(name), f"{where}.{name}") for name in names]
    elif isinstance(told, list) and isinstance(facts, list) and len(told) == len(facts):
        pairs = [(*pair, f"{where}.{at}") for at, pair in enumerate(zip(told, facts, strict=True))]
    else:
        return [] if told == facts else [f"{where}: inspect says {told!r}, Ruby {facts!r}"]
    return [found for pair in pairs for found in differences(*pair)]


def _parts(node: Facts, name: str) -> list[Facts]:
    return [part for part in node.get("parts", []) if part["name"] == name]


def _part(node: Facts, name: str) -> Facts:
    (part,) = _parts(node, name)
    return part


def _value(node: Facts, name: str) -> str:
    return str(_part(node, name)["value"])


def _octets(node: Facts, name: str) -> int:
    return int(_value(node, name).removesuffix(" octets"))


def _named(text: str) -> Facts:
    """Whom ``serial 4711 of CN=ca`` names."""
    serial, _, issuer = text.removeprefix("serial ").partition(" of ")
    return {"serial": serial, "issuer": issuer}


def _signer(node: Facts) -> Facts:
    attributes = _part(node, "signedAttrs")["parts"]
    return {
        "version": int(_value(node, "version")),
        **_named(_value(node, "signer")),
        "digest": _value(node, "digestAlgorithm"),
        "algorithm": _value(node, "signatureAlgorithm"),
        "length": _octets(node, "signature"),
        "attributes": {_oid(one): _attribute(one["value"]) for one in attributes},
    }


def _oid(node: Facts) -> str:
    name: str = node["name"]
    return _OIDS.get(name, name)


def _attribute(value: str) -> str:
    """A value without what its number means; an OID without its name, if that is the right one."""
    text, _, words = value.partition(" (")
    oid = words.removesuffix(")")
    if re.fullmatch(r"[\d.]+", oid):
        return oid if _OIDS.get(text) == oid else value
    return text


def _certificate(node: Facts) -> Facts:
    return {
        "version": int(_value(node, "version")),
        "serial": _value(node, "serialNumber"),
        "signature": _value(node, "signature"),
        "issuer": _value(node, "issuer"),
        "validity": _value(node, "validity"),
        "subject": _value(node, "subject"),
        "key": _value(node, "key"),
        "sha256": _value(node, "SHA-256"),
        "extensions": _extensions(node, behind="SHA-256"),
    }


def _extensions(node: Facts, behind: str) -> Facts:
    """What stands behind the part of that name."""
    names = [part["name"] for part in node["parts"]]
    found = node["parts"][names.index(behind) + 1 :]
    return {
        _oid(one): {
            "critical": one["value"].startswith("critical: "),
            "says": [_OIDS.get(said, said) for said in one["value"].removeprefix("critical: ").split(", ")],
        }
        for one in found
    }


def _envelope(node: Facts) -> Facts:
    encrypted = _part(node, "encryptedContentInfo")
    opened = _parts(node, "opened")
    return {
        "type": _OIDS.get(node["value"], node["value"]),
        "version": int(_value(node, "version")),
        "recipients": [
            {
                **_named(one["value"]),
                "transport": _value(one, "keyEncryptionAlgorithm"),
                "length": _octets(one, "encryptedKey"),
            }
            for one in _part(node, "recipientInfos")["parts"]
        ],
        "content": _OIDS.get(encrypted["value"], encrypted["value"]),
        "cipher": _value(encrypted, "contentEncryptionAlgorithm"),
        "length": _octets(encrypted, "encryptedContent"),
        "opened": _inside(opened[0]["parts"][0]) if opened else None,
    }


def _inside(node: Facts) -> Facts:
    match node["name"]:
        case "certificates":
            return {"certificates": [*map(_certificate, _parts(node, "certificate"))]}
        case "CSR":
            return {"request": _request(node)}
        case "IssuerAndSubject":
            subject, _, issuer = node["value"].partition(", to be issued by ")
            return {"issuer": issuer, "subject": subject}
        case _:
            return _named(node["value"])


def _request(node: Facts) -> Facts:
    attributes = _part(node, "attributes")
    challenge = _value(attributes, "challengePassword")
    return {
        "version": int(_value(node, "version")),
        "subject": _value(node, "subject"),
        "key": _value(node, "key"),
        "signature": _value(node, "signatureAlgorithm"),
        "proven": _value(node, "proof of possession") == "the CSR is signed by its own key",
        "attributes": [_OIDS.get(one["value"], one["value"]) for one in _parts(attributes, "attribute")],
        "challenge": int(challenge.partition(" ")[0]) if challenge != "none" else None,
        "extensions": _extensions(attributes, behind="challengePassword"),
    }


def _spelt(fact: Any, field: str = "") -> Any:
    """One spelling for what both write in letters of their own: names of algorithms, numbers, sets."""
    match fact:
        case dict():
            return {name: _spelt(one, name) for name, one in fact.items()}
        case list() if field in ("says", "attributes"):
            return sorted(fact)
        case list():
            return [_spelt(one) for one in fact]
        case str() if field in _ALGORITHMS:
            return fact.lower().replace("-", "").replace("desede3", "3des").replace("des3", "3des")
        case str() if field == "serial":
            return fact.lstrip("0") or "0"
    return fact
