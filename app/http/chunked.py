"""The chunked coding of a body (RFC 9112 7.1), taken apart."""

import re

_SIZE = re.compile(rb"([0-9A-Fa-f]{1,8})[^\r\n]*\r?\n")


def unchunk(body: bytes) -> bytes:
    """The octets of the chunks, as many as there are."""
    found, position = [], 0
    while size := _SIZE.match(body, position):
        length = int(size[1], 16)
        found.append(body[size.end() : size.end() + length])
        position = size.end() + length + 2
        if not length:
            break
    return b"".join(found)
