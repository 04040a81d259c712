"""HTTP messages without what opens a door: logins, cookies, queries that are not SCEP's, open passwords."""

import base64
import re
from urllib.parse import unquote_to_bytes

from ca.asn1 import writer
from ca.x509 import oids

REDACTED = b"(redacted)"
_SECRET = re.compile(rb"auth|cookie|token|secret|passw|key|session|signature")
_OURS = (b"operation", b"message")
_USER = re.compile(rb"//[^/@\s]*@")
_MESSAGE = re.compile(rb"([?&]message=)[^& ]*")
_PASSWORD = writer.oid(oids.CHALLENGE_PASSWORD)


def _in_base64(octets: bytes) -> tuple[bytes, ...]:
    """The characters that these have in base64 whatever stands around them."""
    return tuple(
        base64.b64encode(bytes(before) + octets)[-(-before * 8 // 6) : (before + len(octets)) * 8 // 6]
        for before in range(3)
    )


# In base64, and in base64 of PEM: what is armoured there, nobody has encrypted.
_SPELT = (*_in_base64(_PASSWORD), *_in_base64(b"-----BEGIN"))


def redact_request(head: bytes, body: bytes) -> bytes:
    """A request without such values, and without a message that shows its challenge password to everybody.

    Some clients send a CSR that nobody encrypted.
    """
    head = redact(head)
    line, end, headers = head.partition(b"\n")
    if not _shows_password(line, body):
        return head + body
    return _MESSAGE.sub(rb"\g<1>" + REDACTED, line) + end + headers + (REDACTED if body else b"")


def _shows_password(line: bytes, body: bytes) -> bool:
    """Whether it is there as it is, or once more or twice in base64, with or without armour around it."""
    octets = body if body[:1] == b"0" else unquote_to_bytes(line + body)
    if _PASSWORD in octets:
        return True
    text = b"".join(octets.split()).translate(bytes.maketrans(b"-_", b"+/"))
    return any(one in text for one in _SPELT)


def redact(head: bytes) -> bytes:
    """*head*, from the request line to the empty line, without the values of such headers and parameters."""
    if not _SECRET.search(head.lower()):
        # Such are most, and this costs the least.
        line, end, headers = head.partition(b"\n")
        return _redact_line(line) + end + headers
    first, *lines = head.split(b"\n")
    kept = [_redact_line(first)]
    in_secret = False
    for line in lines:
        # A header that goes on in the next line, as old HTTP let it.
        goes_on = line[:1] in (b" ", b"\t")
        name, colon, _ = line.partition(b":")
        in_secret = in_secret if goes_on else bool(colon and _SECRET.search(name.lower()))
        if in_secret:
            end = b"\r" if line.endswith(b"\r") else b""
            line = (b" " if goes_on else name + b": ") + REDACTED + end
        kept.append(line)
    return b"\n".join(kept)


def _redact_line(line: bytes) -> bytes:
    before, mark, rest = line.partition(b"?")
    before = _USER.sub(b"//", before)
    if not mark:
        return before
    query, space, version = rest.partition(b" ")
    return before + mark + b"&".join(map(_redact_pair, query.split(b"&"))) + space + version


def _redact_pair(pair: bytes) -> bytes:
    name, equals, value = pair.partition(b"=")
    if name in _OURS or not pair:
        return pair
    # What has no name, or base64 that ends in =, may be a secret itself.
    return name + equals + REDACTED if value.strip(b"=") else REDACTED
