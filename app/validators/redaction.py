"""Takes out of what a validator says what it was told in confidence: the challenge password, and the CSR.

Of the CSR because the password is in it. Looked for are the forms in which both were handed over, and those
that programs and languages commonly make of them; it is done before anything is shortened or escaped.
"""

import base64
import json
import re
import shlex
from urllib.parse import quote, quote_plus

from ca.ports import Applicant

HIDDEN = "***"
# Six octets: by chance that many characters are nowhere the same.
_PIECE = 8
_BASE64 = re.compile(rf"[A-Za-z0-9+/_-]{{{_PIECE},}}={{0,2}}")
_HEXADECIMAL = re.compile(rf"[0-9A-Fa-f]{{{2 * _PIECE},}}")


class Redaction:
    """What must not be told of one request."""

    def __init__(self, challenge_password: str | None, csr: bytes = b"") -> None:
        self._forms = sorted(_forms(challenge_password or ""), key=len, reverse=True)
        self._base64 = _pieces(base64.b64encode(csr).decode("ascii").rstrip("="), _PIECE)
        self._hexadecimal = _pieces(csr.hex(), 2 * _PIECE)

    @classmethod
    def of(cls, applicant: Applicant) -> "Redaction":
        """For what is said of *applicant*."""
        return cls(applicant.challenge_password, applicant.csr)

    @property
    def longest(self) -> int:
        """How long a form of the password may be: so much of a text that was cut may begin one."""
        return max(map(len, self._forms), default=0)

    def __call__(self, text: str) -> str:
        """*text* without it."""
        text = _HEXADECIMAL.sub(self._hide_hexadecimal, _BASE64.sub(self._hide_base64, text))
        for form in self._forms:
            text = text.replace(form, HIDDEN)
        return text

    def _hide_base64(self, run: re.Match[str]) -> str:
        found = run.group().translate(_STANDARD)
        return run.group() if self._base64.isdisjoint(_pieces(found, _PIECE)) else HIDDEN

    def _hide_hexadecimal(self, run: re.Match[str]) -> str:
        found = run.group().lower()
        return run.group() if self._hexadecimal.isdisjoint(_pieces(found, 2 * _PIECE)) else HIDDEN


# RFC 4648 5 to 4.
_STANDARD = str.maketrans("-_", "+/")


def _forms(secret: str) -> set[str]:
    """*secret* as it is, and as languages, shells, addresses and encodings write it."""
    if not secret:
        return set()
    octets = secret.encode("utf-8", "surrogateescape")
    escaped = {json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1]}
    written = {repr(secret)[1:-1], ascii(secret)[1:-1], repr(octets)[2:-1], shlex.quote(secret)}
    in_addresses = {quote(octets), quote(octets, safe=""), quote_plus(octets)}
    encoded = {octets.hex(), octets.hex().upper(), *_base64_inside(octets)}
    return {secret} | escaped | {json.dumps(one)[1:-1] for one in escaped} | written | in_addresses | encoded


def _base64_inside(octets: bytes) -> set[str]:
    """The base64 of *octets* wherever they begin in what is encoded, without what depends on that."""
    forms = set()
    for before in range(3):
        text = base64.b64encode(bytes(before) + octets).decode("ascii").rstrip("=")
        # The first character that is all of ours, and the last.
        inside = text[(before * 8 + 5) // 6 : (before + len(octets)) * 8 // 6]
        forms |= {inside, inside.translate(str.maketrans("+/", "-_"))}
    return {form for form in forms if len(form) >= _PIECE // 2}


def _pieces(text: str, length: int) -> set[str]:
    return {text[start : start + length] for start in range(len(text) - length + 1)}
