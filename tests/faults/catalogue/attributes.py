"""Faults of the attributes of a CertRep, and of what goes with its status."""

from collections.abc import Callable
from typing import Any

from asn1crypto import core

from tests.faults.conduct import Attributes, Conduct, Fault

_PLAIN = ("contentType", "messageDigest", "signingTime")


def without(*names: str) -> Callable[[Attributes], Attributes]:
    """The attributes but those of these *names*."""
    return lambda attributes: [one for one in attributes if one[0] not in names]


def _with(name: str, value: Any) -> Callable[[Attributes], Attributes]:
    return lambda attributes: [(one, value if one == name else old) for one, old in attributes]


def _copying(name: str, other: str) -> Callable[[Attributes], Attributes]:
    """The attribute *name* has the value of *other*."""
    return lambda attributes: _with(name, dict(attributes)[other])(attributes)


def _twice(name: str) -> Callable[[Attributes], Attributes]:
    return lambda attributes: [*attributes, (name, dict(attributes)[name])]


def _retyped(name: str, kind: Any) -> Callable[[Attributes], Attributes]:
    """The attribute *name* in a string of another type."""
    return lambda attributes: _with(name, kind(dict(attributes)[name].native))(attributes)


ATTRIBUTE_FAULTS = (
    Fault(
        "plain-pkcs7-sign",
        "message-type-missing",
        ("ios", "macos", "sscep", "windows"),
        "contentType, messageDigest and signingTime alone, as a plain PKCS7.sign signs",
        Conduct(attributes=lambda all_: [one for one in all_ if one[0] in _PLAIN]),
        shows="SUCCESS",
        beside=frozenset(
            {
                *("pki-status-missing", "transaction-id-missing"),
                *("recipient-nonce-missing", "sender-nonce-missing"),
            }
        ),
    ),
    Fault(
        "no-attributes",
        "signed-attributes-missing",
        ("ios", "everyone"),
        "No signed attributes",
        Conduct(signs_attributes=False),
        shows="SUCCESS",
    ),
    Fault(
        "no-message-type",
        "message-type-missing",
        ("ios", "macos", "sscep", "windows"),
        "No messageType",
        Conduct(attributes=without("messageType")),
        shows="SUCCESS",
    ),
    Fault(
        "type-of-request",
        "message-type-not-cert-rep",
        ("ios", "macos", "sscep", "certmonger"),
        "The messageType of the request in the reply",
        Conduct(attributes=_with("messageType", core.PrintableString("19"))),
        shows="SUCCESS",
    ),
    Fault(
        "no-status",
        "pki-status-missing",
        ("ios", "macos", "sscep", "windows"),
        "No pkiStatus",
        Conduct(attributes=without("pkiStatus")),
        shows="SUCCESS",
    ),
    Fault(
        "no-transaction-id",
        "transaction-id-missing",
        ("strongswan", "certmonger", "sscep", "ios"),
        "No transactionID",
        Conduct(attributes=without("transactionID")),
        shows="SUCCESS",
    ),
    Fault(
        "other-transaction-id",
        "transaction-id-wrong",
        ("strongswan", "certmonger", "sscep"),
        "Another transactionID than the request's",
        Conduct(attributes=_with("transactionID", core.PrintableString("1"))),
    ),
    Fault(
        "no-recipient-nonce",
        "recipient-nonce-missing",
        ("certmonger", "sscep", "jscep"),
        "No recipientNonce",
        Conduct(attributes=without("recipientNonce")),
        shows="SUCCESS",
    ),
    Fault(
        "other-recipient-nonce",
        "recipient-nonce-wrong",
        ("certmonger", "jscep", "sscep"),
        "A recipientNonce of zeros",
        Conduct(attributes=_with("recipientNonce", core.OctetString(bytes(16)))),
    ),
    Fault(
        "own-recipient-nonce",
        "recipient-nonce-wrong",
        ("certmonger", "jscep", "sscep"),
        "The reply's own senderNonce as recipientNonce",
        Conduct(attributes=_copying("recipientNonce", "senderNonce")),
        beside=frozenset({"nonce-echoed"}),
    ),
    Fault(
        "no-sender-nonce",
        "sender-nonce-missing",
        ("certmonger",),
        "No senderNonce",
        Conduct(attributes=without("senderNonce")),
        shows="SUCCESS",
    ),
    Fault(
        "short-nonce",
        "nonce-length",
        (),
        "A senderNonce of 8 octets",
        Conduct(attributes=_with("senderNonce", core.OctetString(b"8 octets"))),
        shows="SUCCESS",
    ),
    Fault(
        "echoed-nonce",
        "nonce-echoed",
        ("everyone",),
        "The request's nonce as the reply's senderNonce too",
        Conduct(attributes=_copying("senderNonce", "recipientNonce")),
        shows="SUCCESS",
    ),
    Fault(
        "type-as-integer",
        "attribute-type",
        ("ios", "jscep"),
        "messageType as an INTEGER",
        Conduct(attributes=_with("messageType", core.Integer(3))),
        shows="SUCCESS",
    ),
    Fault(
        "id-as-utf8",
        "attribute-type",
        ("jscep",),
        "transactionID as a UTF8String",
        Conduct(attributes=_retyped("transactionID", core.UTF8String)),
        shows="SUCCESS",
    ),
    Fault(
        "status-undefined",
        "undefined-value",
        ("ios", "everyone"),
        "A pkiStatus of 1",
        Conduct(attributes=_with("pkiStatus", core.PrintableString("1"))),
        shows="SUCCESS",
    ),
    Fault(
        "status-twice",
        "attribute-repeated",
        ("everyone",),
        "pkiStatus twice",
        Conduct(attributes=_twice("pkiStatus")),
        shows="SUCCESS",
    ),
    Fault(
        "no-fail-info",
        "fail-info-missing",
        ("sscep",),
        "A FAILURE without failInfo",
        Conduct(attributes=without("failInfo")),
        shows="FAILURE",
    ),
    Fault(
        "fail-info-undefined",
        "undefined-value",
        ("ios", "everyone"),
        "A FAILURE with failInfo 7",
        Conduct(attributes=_with("failInfo", core.PrintableString("7"))),
        shows="FAILURE",
    ),
    Fault(
        "failure-without-content",
        "failure-without-content",
        ("certmonger",),
        "A FAILURE without content",
        Conduct(refusal_content=None),
        shows="FAILURE",
    ),
    Fault(
        "failure-with-octet",
        "content-without-envelope",
        ("windows",),
        "A FAILURE with one octet for content, as NDES sends it",
        Conduct(refusal_content=b"\0"),
        shows="FAILURE",
    ),
)
