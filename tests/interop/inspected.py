"""What ``inspect`` says of real clients' messages, held to what the openssl command and Ruby read in them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from app.cli.inspect import node_json
from app.diagnosis.finding import Severity
from app.diagnosis.inspection import inspect, verdicts
from app.diagnosis.knowledge import knowledge
from app.diagnosis.node import Node
from app.diagnosis.opener import Opener
from ca.algorithms.keys import PrivateKey
from ca.issuing.key_store import read_private_key

from .messages import (
    FAIL_INFO,
    MESSAGE_TYPE,
    PKI_STATUS,
    RECIPIENT_NONCE,
    SENDER_NONCE,
    TRANSACTION_ID,
    PkiMessage,
)
from .ruby_witness import ask_ruby, differences, facts_of

_NAMES = {
    MESSAGE_TYPE: "messageType",
    PKI_STATUS: "pkiStatus",
    FAIL_INFO: "failInfo",
    SENDER_NONCE: "senderNonce",
    RECIPIENT_NONCE: "recipientNonce",
    TRANSACTION_ID: "transactionID",
}


@dataclass(frozen=True, slots=True)
class Seen:
    """A message of the wire, what openssl reads in it, and the key that opens it, where that is at hand."""

    message: bytes
    witness: PkiMessage
    key_file: Path | None = None


# Messages that were found right, with a key and without.
_right: set[tuple[bytes, bool]] = set()


def check_inspections(several: Sequence[Seen]) -> None:
    """Every field of each right by both witnesses; what was found right before is not looked at again."""
    new = [one for one in several if (one.message, one.key_file is not None) not in _right]
    if not new:
        return
    asked = [(one.message, one.key_file.read_text() if one.key_file else None) for one in new]
    for one, facts in zip(new, ask_ruby(asked), strict=True):
        top = inspect(one.message, Opener(datetime.now(UTC), _key(one.key_file)))
        check_inspection(top, one.witness)
        otherwise = differences(facts_of(node_json(top.children[0], as_hex=False)), facts)
        assert not otherwise, "\n".join(otherwise)
        _right.update({(one.message, False), (one.message, one.key_file is not None)})


def _key(file: Path | None) -> PrivateKey | None:
    return read_private_key(file, None) if file else None


def check_inspection(top: Node, witness: PkiMessage) -> None:
    """Every field right, the signature good, and no violation found in what was exchanged with success."""
    told: dict[str, str] = {}
    for node in top.walk():
        told.setdefault(node.name, node.value)
    worst = [one for one in verdicts(top, knowledge()) if one.finding.severity is Severity.VIOLATION]

    assert worst == []
    assert told["verdict"] == "the signature holds"
    assert told["digestAlgorithm"] == witness.digest
    for oid, name in _NAMES.items():
        expected = witness.attributes.get(oid)
        shown = told.get(name)
        # Beside a number stands what it means; openssl prints octets in capitals.
        assert (shown or "").partition(" (")[0].lower() == (expected or "").lower(), name
    if witness.cipher:
        cipher = told["contentEncryptionAlgorithm"].replace("DES-EDE3", "3DES")
        assert cipher == witness.cipher
