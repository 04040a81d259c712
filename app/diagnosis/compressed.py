"""Bodies that a server or a proxy compressed, opened as far as is read."""

import zlib

MAX_OCTETS = 4 * 1024 * 1024
_GZIP = b"\x1f\x8b\x08"
# gzip or zlib, whichever it says that it is.
_EITHER = zlib.MAX_WBITS | 32


def is_gzip(data: bytes) -> bool:
    """Whether it begins as gzip does."""
    return data.startswith(_GZIP)


def is_compressed(data: bytes) -> bool:
    """Whether it begins as gzip or zlib does, which ``deflate`` is in HTTP (RFC 9110 8.4.1)."""
    return is_gzip(data) or (data[:1] == b"\x78" and int.from_bytes(data[:2], "big") % 31 == 0)


def decompress(data: bytes) -> tuple[bytes, str]:
    """What is inside, at most 4 MiB of it, and in words what is wrong with it."""
    reader = zlib.decompressobj(_EITHER)
    try:
        found = reader.decompress(data, MAX_OCTETS)
    except zlib.error:
        return b"", "it is damaged"
    if reader.eof:
        return found, ""
    return found, "it is longer than 4 MiB" if reader.unconsumed_tail else "it breaks off"
