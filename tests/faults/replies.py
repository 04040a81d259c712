"""Faults of a CertRep: its attributes, its signature, its envelope and what is in that."""

from collections.abc import Callable
from typing import Any

from asn1crypto import core

from tests.faults.conduct import Attributes, Conduct, Fault

_PLAIN = ("contentType", "messageDigest", "signingTime")


def _without(*names: str) -> Callable[[Attributes], Attributes]:
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
        Conduct(attributes=_without("messageType")),
        shows="SUCCESS",
    ),
    Fault(
        "no-status",
        "pki-status-missing",
        ("ios", "macos", "sscep", "windows"),
        "No pkiStatus",
        Conduct(attributes=_without("pkiStatus")),
        shows="SUCCESS",
    ),
    Fault(
        "no-transaction-id",
        "transaction-id-missing",
        ("strongswan", "certmonger", "sscep", "ios"),
        "No transactionID",
        Conduct(attributes=_without("transactionID")),
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
        Conduct(attributes=_without("recipientNonce")),
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
        Conduct(attributes=_without("senderNonce")),
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
        Conduct(attributes=_without("failInfo")),
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

SIGNATURE_FAULTS = (
    Fault(
        "no-content-type",
        "content-type-attribute-missing",
        ("jscep", "ios"),
        "No contentType among the signed attributes",
        Conduct(attributes=_without("contentType")),
        shows="SUCCESS",
    ),
    Fault(
        "other-digest",
        "message-digest-wrong",
        ("everyone",),
        "messageDigest is that of something else",
        Conduct(digests_content=False),
        shows="SUCCESS",
    ),
    Fault(
        "signed-under-tag-0",
        "signature-wrong",
        ("everyone",),
        "The attributes are signed under their tag [0], not as a SET",
        Conduct(signed_tag=0xA0),
        shows="SUCCESS",
    ),
    Fault(
        "digest-is-signature",
        "digest-is-signature-algorithm",
        ("ios",),
        "sha256WithRSAEncryption for the digest",
        Conduct(digest_is_signature=True),
        shows="SUCCESS",
    ),
    Fault(
        "signature-with-digest",
        "signature-algorithm-unusual",
        ("strongswan",),
        "sha256WithRSAEncryption for the signature",
        Conduct(signature="with_digest"),
        shows="SUCCESS",
    ),
    Fault(
        "signature-pss",
        "signature-algorithm-unusual",
        ("strongswan",),
        "Replies are signed with RSASSA-PSS",
        Conduct(signature="rsassa_pss"),
        shows="SUCCESS",
    ),
    Fault(
        "sha1-reply",
        "weak-digest",
        (),
        "Replies are signed over SHA-1, whatever the request was",
        Conduct(digest="sha1"),
        shows="SUCCESS",
    ),
    Fault(
        "unsorted",
        "unsorted-attributes",
        (),
        "The attributes are sent unsorted, and signed sorted",
        Conduct(sorts=False),
        shows="SUCCESS",
    ),
    Fault(
        "signed-unsorted",
        "signed-unsorted",
        ("openssl",),
        "The attributes are sent and signed unsorted",
        Conduct(sorts=False, signs_sorted=False),
        shows="SUCCESS",
        beside=frozenset({"unsorted-attributes"}),
    ),
    Fault(
        "signed-twice",
        "several-signers",
        ("ios", "sscep"),
        "Two SignerInfos",
        Conduct(signers=2),
        shows="SUCCESS",
    ),
    Fault(
        "no-signer-certificate",
        "signer-certificate-missing",
        ("ios", "everyone"),
        "The signer's certificate is not in the reply",
        Conduct(embeds_signer=False),
        shows="SUCCESS",
    ),
    Fault(
        "signer-not-ca",
        "signer-not-ca",
        ("ios", "macos", "sscep"),
        "Replies are signed with a certificate that GetCACert does not serve",
        Conduct(signing_key="other"),
    ),
    Fault(
        "type-signed-data",
        "content-type",
        ("ios", "sscep"),
        "The signed content is of type id-signedData",
        Conduct(content_type="signed_data"),
        shows="SUCCESS",
    ),
    Fault(
        "ber",
        "indefinite-length",
        ("micromdm",),
        "Replies in BER, of indefinite length",
        Conduct(indefinite=True),
        shows="SUCCESS",
    ),
    Fault(
        "newline",
        "trailing-bytes",
        ("micromdm",),
        "A line end behind the reply",
        Conduct(trailer=b"\n"),
        shows="SUCCESS",
    ),
)

ENVELOPE_FAULTS = (
    Fault(
        "for-subject",
        "recipient-not-signer",
        ("ios", "windows"),
        "The envelope names its recipient by the subject of the CSR, not by the signer's issuer",
        Conduct(recipient="subject"),
        shows="SUCCESS",
        hidden=True,
    ),
    Fault(
        "for-serial",
        "recipient-not-signer",
        ("ios", "windows"),
        "The envelope names its recipient by another serial number",
        Conduct(recipient="serial"),
        shows="SUCCESS",
        hidden=True,
    ),
    Fault(
        "for-leaf",
        "recipient-not-signer",
        ("ios", "windows"),
        "The envelope names the certificate that is in it, which nobody has yet",
        Conduct(recipient="leaf"),
        shows="SUCCESS",
        hidden=True,
    ),
    Fault(
        "for-another-key",
        "envelope-not-opened",
        ("everyone",),
        "The envelope is for another key than that of the certificate it names",
        Conduct(seals_for_signer=False),
        shows="SUCCESS",
        hidden=True,
    ),
    Fault(
        "by-password",
        "recipient-other",
        ("ios",),
        "The envelope is for somebody who shares a key with the server",
        Conduct(by_password=True),
        shows="SUCCESS",
        hidden=True,
    ),
    Fault(
        "oaep",
        "oaep-reply",
        ("ios", "macos"),
        "RSAES-OAEP in replies",
        Conduct(oaep=True),
        shows="SUCCESS",
        hidden=True,
    ),
    Fault(
        "des",
        "des-reply",
        ("openssl",),
        "Single DES in replies, whatever the request was",
        Conduct(cipher="des"),
        shows="SUCCESS",
        beside=frozenset({"reply-cipher-not-mirrored"}),
        hidden=True,
    ),
    Fault(
        "aes-256-always",
        "reply-cipher-not-mirrored",
        ("cisco",),
        "AES-256 in replies, whatever the request was",
        Conduct(cipher="aes256_cbc"),
        hidden=True,
    ),
    Fault(
        "sealed-type",
        "encrypted-type-not-data",
        ("ios",),
        "What is encrypted is of type id-signedData",
        Conduct(sealed_type="signed_data"),
        shows="SUCCESS",
        hidden=True,
    ),
    Fault(
        "no-envelope",
        "envelope-missing",
        ("ios", "everyone"),
        "The certificate is signed and not encrypted",
        Conduct(seals=False),
        shows="SUCCESS",
        hidden=True,
    ),
    Fault(
        "nothing-issued",
        "success-without-certificate",
        ("ios",),
        "A SUCCESS without a certificate",
        Conduct(certificates=lambda *_: []),
        shows="SUCCESS",
        hidden=True,
    ),
    Fault(
        "ca-before-leaf",
        "reply-not-leaf-alone",
        ("ios", "micromdm"),
        "The CA certificate stands before the one that was issued",
        Conduct(certificates=lambda leaf, ca: [ca, leaf]),
        shows="SUCCESS",
        hidden=True,
    ),
    Fault(
        "ca-behind-leaf",
        "reply-not-leaf-alone",
        ("ios",),
        "The CA certificate stands behind the one that was issued",
        Conduct(certificates=lambda leaf, ca: [leaf, ca]),
        shows="SUCCESS",
        hidden=True,
    ),
    Fault(
        "ca-for-leaf",
        "leaf-other-key",
        ("ios", "everyone"),
        "The CA certificate in place of the one that was issued",
        Conduct(certificates=lambda _, ca: [ca]),
        shows="SUCCESS",
        hidden=True,
    ),
    Fault(
        "leaf-other-key",
        "leaf-other-key",
        ("ios", "everyone"),
        "A certificate for a key that the server made",
        Conduct(certifies_own_key=True),
        shows="SUCCESS",
        hidden=True,
    ),
)
