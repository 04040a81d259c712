"""Faults of what the server decides: what it does not check, does not read, and issues."""

from tests.faults.conduct import Conduct, Fault

CHECK_FAULTS = (
    Fault(
        "challenge-unchecked",
        "challenge-unchecked",
        ("everyone",),
        "Any challenge password is good",
        Conduct(unchecked=frozenset({"challenge"})),
    ),
    Fault(
        "proof-unchecked",
        "csr-signature-unchecked",
        ("everyone",),
        "The CSR's signature is not checked",
        Conduct(unchecked=frozenset({"CSR signature"})),
    ),
    Fault(
        "renewal-open",
        "renewal-open",
        ("everyone",),
        "A RenewalReq that a stranger signed is granted",
        Conduct(unchecked=frozenset({"renewal signer"})),
    ),
    Fault(
        "renewal-refused",
        "renewal-refused",
        ("certmonger", "strongswan"),
        "Renewal is listed, and refused",
        Conduct(renews=False),
    ),
    Fault(
        "message-type-kills",
        "message-type-kills",
        ("everyone",),
        "A messageType that it does not know ends the server",
        Conduct(dies_of_message_types=True),
    ),
    Fault(
        "oracle",
        "server-oracle",
        ("everyone",),
        "Bad padding is answered otherwise than bad content",
        Conduct(is_oracle=True),
    ),
    Fault(
        "forgets",
        "lost-reply",
        ("everyone",),
        "The same request again brings another certificate",
        Conduct(remembers=False),
    ),
    Fault(
        "renewal-from-cache",
        "transaction-cache",
        ("certmonger",),
        "A renewal under the transactionID of the enrolment brings the old certificate",
        Conduct(finds_by_transaction_alone=True),
    ),
    Fault(
        "queries-unserved",
        "query-unserved",
        ("sscep",),
        "GetCert and GetCRL are answered with an error of HTTP",
        Conduct(answers_queries=False),
    ),
)

READING_FAULTS = (
    Fault(
        "ber-unread",
        "ber-not-read",
        ("ios", "jscep"),
        "BER is not read",
        Conduct(unread=frozenset({"ber"})),
    ),
    Fault(
        "oaep-unread",
        "oaep-not-read",
        ("windows",),
        "RSAES-OAEP is not read",
        Conduct(unread=frozenset({"oaep"})),
    ),
    Fault(
        "des-unread",
        "des-not-read",
        ("cisco", "micromdm"),
        "Single DES is not read",
        Conduct(unread=frozenset({"des"})),
    ),
    Fault(
        "strict-nonce",
        "strict-server",
        ("everyone",),
        "A nonce that has not 16 octets is refused",
        Conduct(unread=frozenset({"nonces"})),
    ),
    Fault(
        "challenge-utf8",
        "challenge-string",
        ("ios",),
        "The challenge password is read from a UTF8String alone",
        Conduct(unread=frozenset({"challenge strings"})),
    ),
)

ISSUING_FAULTS = (
    Fault(
        "serial-repeated",
        "serial-repeated",
        ("everyone",),
        "All certificates have one serial number",
        Conduct(serials="same"),
    ),
    Fault(
        "serial-sequential",
        "serial-sequential",
        ("everyone",),
        "Serial numbers are counted",
        Conduct(serials="sequential"),
    ),
    Fault(
        "leaf-is-ca",
        "leaf-is-ca",
        ("everyone",),
        "Every device is made a CA",
        Conduct(leaf_is_ca=True),
    ),
    Fault(
        "leaf-expired",
        "leaf-not-valid",
        ("everyone",),
        "What is issued expired yesterday",
        Conduct(leaf_days=(-365, -1)),
    ),
    Fault(
        "leaf-not-yet",
        "leaf-not-valid",
        ("everyone",),
        "What is issued begins tomorrow: the server's clock is wrong",
        Conduct(leaf_days=(1, 365)),
    ),
    Fault(
        "leaf-other-issuer",
        "leaf-other-issuer",
        ("everyone",),
        "What is issued is signed by another key than that of the CA which is served",
        Conduct(leaf_key="other"),
    ),
    Fault(
        "extensions-copied",
        "extension-copied",
        ("everyone",),
        "Every extension of the CSR stands in the certificate",
        Conduct(copies_extensions=True),
    ),
)
