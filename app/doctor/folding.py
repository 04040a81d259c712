"""Which findings are but consequences of another one, where both are there."""

from app.doctor.seen import CAPABILITIES

_CAPABILITIES = {
    "caps-no-digest",
    "caps-no-aes",
    "caps-no-post",
    "caps-no-renewal",
    "caps-no-sha384",
    "caps-case",
    "reply-weak-digest",
    "weak-cipher",
}
_ATTRIBUTES = {
    "pki-status-missing",
    "transaction-id-missing",
    "recipient-nonce-missing",
    "sender-nonce-missing",
    "fail-info-missing",
    "envelope-missing",
}
_POSTS = {"http-error", "nonsense-fault", "post-type-demanded", "expect-refused", "http-answer-broken"}
_NO_ANSWER = {
    "http-answer-broken",
    "http-error",
    "http-old",
    "nonsense-fault",
    "operation-unknown",
    "query-unserved",
    "unreachable",
    "wrong-recipient-fault",
}
# From what is the matter to what follows from it.
FOLDED: dict[str, set[str]] = {
    "html-body": {
        *_CAPABILITIES,
        "caps-empty",
        "http-media-type",
        "nonsense-fault",
        "nothing-of-scep",
        "operation-unknown",
        "suffix-refused",
    },
    # Of half an answer nothing can be said to be missing.
    "http-answer-broken": {
        *_CAPABILITIES,
        "caps-no-digest",
        "caps-empty",
        "damaged-encoding",
        "nothing-of-scep",
    },
    # What nobody opens is nothing of SCEP.
    "http-compressed": {*_CAPABILITIES, "ca-not-der", "html-body", "http-media-type", "nothing-of-scep"},
    "caps-empty": _CAPABILITIES,
    "caps-blanks": _CAPABILITIES,
    "caps-case": _CAPABILITIES - {"caps-case"},
    "caps-no-digest": _CAPABILITIES - {"caps-case"},
    "caps-no-aes": {"weak-cipher"},
    "ca-not-der": {"http-media-type", "trailing-bytes", "base64-damaged"},
    "ca-expired": {"leaf-other-issuer", "leaf-not-valid"},
    "ca-not-ca": {"leaf-other-issuer"},
    "signed-attributes-missing": {"message-type-missing", "signature-wrong", *_ATTRIBUTES},
    "message-type-missing": _ATTRIBUTES,
    "pki-status-missing": {"envelope-missing"},
    "recipient-nonce-wrong": {"nonce-echoed"},
    "content-type-attribute-missing": {"signature-wrong"},
    "message-digest-wrong": {"signature-wrong"},
    "digest-is-signature-algorithm": {"signature-wrong"},
    "attribute-repeated": {"signature-wrong"},
    "damaged-encoding": {"signature-wrong", "envelope-not-opened"},
    "recipient-not-signer": {"envelope-not-opened"},
    "recipient-other": {"envelope-not-opened"},
    "encrypted-type-not-data": {"envelope-not-opened"},
    "envelope-missing": {"envelope-not-opened"},
    "reply-not-leaf-alone": {"leaf-other-key"},
    "des-reply": {"weak-cipher", "reply-cipher-not-mirrored"},
    "reply-cipher-not-mirrored": {"weak-cipher"},
    "http-error": {
        "nonsense-fault",
        "operation-unknown",
        "server-oracle",
        "query-unserved",
        "wrong-recipient-fault",
    },
    "post-body-empty": _POSTS,
    "post-refused": _POSTS,
    "ca-mixed-up": {"challenge-refused", "not-enrolled", "server-oracle"},
    "challenge-refused": {"not-enrolled"},
    "strict-server": {"not-enrolled"},
    "challenge-string": {"not-enrolled"},
    "challenge-unchecked": {"renewal-open"},
    "message-type-kills": _NO_ANSWER,
    "server-dies": _NO_ANSWER,
}
# After these nobody is answered: they led to nothing that was seen before.
ENDS = {"message-type-kills", "server-dies"}
# Beside these, at the first thing that was asked, nothing that was seen says anything.
_NEVER_THERE = {"unreachable", "url-wrong", "http-redirect", "tls-client-certificate"}


def is_folded(finding: str, cause: str) -> bool:
    """Whether *finding* is not worth telling beside *cause*."""
    return finding != cause and finding in FOLDED.get(cause, ())


def is_all(finding: str, where: str) -> bool:
    """Whether *finding*, seen there, is all that there is to tell: no client comes any further."""
    return finding in _NEVER_THERE and where == CAPABILITIES
