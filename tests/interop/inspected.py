"""What ``inspect`` says of the messages of real clients, held to what the openssl command reads in them."""

from datetime import UTC, datetime

from app.diagnosis.finding import Severity
from app.diagnosis.inspection import inspect, verdicts
from app.diagnosis.knowledge import knowledge
from app.diagnosis.opener import Opener

from .messages import (
    FAIL_INFO,
    MESSAGE_TYPE,
    PKI_STATUS,
    RECIPIENT_NONCE,
    SENDER_NONCE,
    TRANSACTION_ID,
    PkiMessage,
)

_NAMES = {
    MESSAGE_TYPE: "messageType",
    PKI_STATUS: "pkiStatus",
    FAIL_INFO: "failInfo",
    SENDER_NONCE: "senderNonce",
    RECIPIENT_NONCE: "recipientNonce",
    TRANSACTION_ID: "transactionID",
}


def check_inspection(message: bytes, witness: PkiMessage) -> None:
    """Every field right, the signature good, and no violation found in what was exchanged with success."""
    top = inspect(message, Opener(datetime.now(UTC)))
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
