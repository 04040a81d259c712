"""Requests where people find them: an address, the first line alone, and the lines of an access log."""

import re

_WORD = re.compile(rb"[^\s\"'<>]+")
_OPERATION = re.compile(rb"\?(?:[^?]*&)?operation=", re.IGNORECASE)
_METHODS = (b"GET", b"POST", b"HEAD", b"PUT")
_VERSION = re.compile(rb"HTTP/\d(?:\.\d)?")
# A line that is a part of base64 and nothing else goes on with the address above it.
_BROKEN = re.compile(rb"\r?\n[ \t]*(?=[A-Za-z0-9%+/=_-]+(?:[ \t]+HTTP/|[ \t]*(?:\r?\n|\Z)))")
# As JSON and HTML write it.
_AMPERSAND = re.compile(rb"\\u0026|&amp;", re.IGNORECASE)
MOST_LINES = 64


def find_requests(text: bytes) -> list[bytes]:
    """The request lines in *text* that name an operation of SCEP, without what a log has beside them.

    What is an address is a GET. Of many the first 64; none where there is none, or in a page.
    """
    is_page = text[:1] == b"<" and text[:5].lower() != b"<http"
    if is_page or b"operation=" not in text.lower():
        return []
    words = _WORD.findall(_BROKEN.sub(b"", _AMPERSAND.sub(b"&", text)))
    found = []
    for at, word in enumerate(words):
        if _OPERATION.search(word):
            address = word.rstrip(b"),.;]}")
            method = words[at - 1].upper() if at and words[at - 1].upper() in _METHODS else b"GET"
            version = next((one for one in words[at + 1 : at + 2] if _VERSION.fullmatch(one)), b"")
            found.append(b" ".join(filter(None, (method, address, version))))
    return found[:MOST_LINES]
