"""The attributes of a pkiMessage (RFC 8894 3.2.1)."""

MESSAGE_TYPE = "2.16.840.1.113733.1.9.2"
PKI_STATUS = "2.16.840.1.113733.1.9.3"
FAIL_INFO = "2.16.840.1.113733.1.9.4"
SENDER_NONCE = "2.16.840.1.113733.1.9.5"
RECIPIENT_NONCE = "2.16.840.1.113733.1.9.6"
TRANSACTION_ID = "2.16.840.1.113733.1.9.7"
FAIL_INFO_TEXT = "1.3.6.1.5.5.7.24.1"

NAMES = {
    MESSAGE_TYPE: "messageType",
    PKI_STATUS: "pkiStatus",
    FAIL_INFO: "failInfo",
    SENDER_NONCE: "senderNonce",
    RECIPIENT_NONCE: "recipientNonce",
    TRANSACTION_ID: "transactionID",
    FAIL_INFO_TEXT: "failInfoText",
}
