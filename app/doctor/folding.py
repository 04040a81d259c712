"""Which findings are but consequences of another one, where both are there."""

_CAPABILITIES = {
    "caps-no-digest",
    "caps-no-aes",
    "caps-no-post",
    "caps-no-renewal",
    "caps-no-sha384",
    "caps-case",
    "caps-empty",
    "weak-digest",
    "weak-cipher",
}
_ATTRIBUTES = {
    "pki-status-missing",
    "transaction-id-missing",
    "recipient-nonce-missing",
    "sender-nonce-missing",
    "fail-info-missing",
}
_POSTS = {"http-error", "server-fault", "post-type-demanded", "expect-refused", "http-answer-broken"}
# From what is the matter to what follows from it.
_FOLDED: dict[str, set[str]] = {
    "html-body": {*_CAPABILITIES, "http-media-type", "nothing-of-scep"},
    "caps-empty": _CAPABILITIES,
    "caps-blanks": _CAPABILITIES,
    "caps-no-digest": _CAPABILITIES,
    "caps-no-aes": {"weak-cipher"},
    "ca-not-der": {"http-media-type", "trailing-bytes", "base64-damaged"},
    "ca-expired": {"leaf-other-issuer", "leaf-not-valid"},
    "ca-not-ca": {"leaf-other-issuer"},
    "signed-attributes-missing": {"message-type-missing", *_ATTRIBUTES},
    "message-type-missing": _ATTRIBUTES,
    "recipient-nonce-wrong": {"nonce-echoed"},
    "recipient-not-signer": {"envelope-not-opened"},
    "recipient-other": {"envelope-not-opened"},
    "des-reply": {"weak-cipher", "reply-cipher-not-mirrored"},
    "reply-cipher-not-mirrored": {"weak-cipher"},
    "http-error": {"server-fault", "query-unserved", "wrong-recipient-fault"},
    "post-body-empty": _POSTS,
    "post-refused": _POSTS,
    "challenge-unchecked": {"renewal-open"},
    "message-type-kills": {"server-fault", "http-answer-broken", "unreachable"},
}
# Beside these, nothing that was seen says anything: the client never came to the server.
_NEVER_THERE = {"unreachable", "url-wrong", "http-redirect"}


def is_folded(finding: str, cause: str) -> bool:
    """Whether *finding* is not worth telling beside *cause*."""
    if finding == cause:
        return False
    return finding in _FOLDED.get(cause, ()) or (cause in _NEVER_THERE and finding not in _NEVER_THERE)
