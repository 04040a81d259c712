"""The chunked coding of a body (RFC 9112 7.1), taken apart."""

import re

# With the end of the chunk before it.
_SIZE = re.compile(rb"(?:\r?\n)?([0-9A-Fa-f]{1,8})[^\r\n]*\r?\n")


def unchunk(body: bytes) -> bytes:
    """The octets of the chunks, as many as there are; lines may end as files of Unix have it."""
    found, position = [], 0
    while size := _SIZE.match(body, position):
        length = int(size[1], 16)
        found.append(body[size.end() : size.end() + length])
        position = size.end() + length
        if not length:
            break
    return b"".join(found)
