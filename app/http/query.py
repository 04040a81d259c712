"""The query of a SCEP request (RFC 8894 4.1), and base64 as each client writes it.

sscep sends ``%0A %2B %3D``, macOS leaves ``+`` and ``/`` bare, scepclient uses the base64url
alphabet, Cisco IOS breaks lines. A parser for forms would turn a bare ``+`` into a space.
"""

import base64
import binascii
import re
from dataclasses import dataclass
from urllib.parse import unquote_to_bytes

from ca.deviations import DeviationKind, Deviations
from ca.errors import MalformedMessage

_BAD_PERCENT = re.compile(r"%(?![0-9A-Fa-f]{2})")
_PLACE = "http.query.message"


@dataclass(frozen=True, slots=True)
class ScepQuery:
    """*operation* is in lower case, empty where none was given; *message* None where absent."""

    operation: str
    message: str | None


def parse_query(query: str) -> ScepQuery:
    """Read ``operation`` and ``message`` out of a raw query string, in any order.

    Raises:
        MalformedMessage: It is not well encoded, or has one of the two twice.

    """
    found: dict[str, str] = {}
    for pair in query.split("&"):
        name, _, value = pair.partition("=")
        if name not in ("operation", "message"):
            continue
        if name in found:
            raise MalformedMessage(f"{name} is there twice")
        found[name] = _unquote(value)
    # The names are literals of an ABNF, whose case does not count (RFC 5234 2.3).
    return ScepQuery(found.get("operation", "").lower(), found.get("message"))


def decode_message(text: str, deviations: Deviations) -> bytes:
    """Decode the ``message`` of a GET PKIOperation.

    Raises:
        MalformedMessage: It is no base64 in any dialect.

    """
    if "+" in text or " " in text:
        # "+" must be sent as %2B; what came as a space was one.
        if " " in text:
            deviations.add(DeviationKind.REPAIRED_PLUS, _PLACE)
        text = text.replace(" ", "+")
    if "\n" in text or "\r" in text or "\t" in text:
        deviations.add(DeviationKind.BASE64_LINE_BREAKS, _PLACE)
        text = re.sub(r"[\r\n\t]", "", text)
    if "-" in text or "_" in text:
        deviations.add(DeviationKind.BASE64_URL_ALPHABET, _PLACE)
        text = text.translate(str.maketrans("-_", "+/"))
    if len(text) % 4:
        deviations.add(DeviationKind.BASE64_PADDING, _PLACE)
        text = text.rstrip("=")
        text += "=" * (-len(text) % 4)
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise MalformedMessage("message is not base64") from error


def _unquote(value: str) -> str:
    if _BAD_PERCENT.search(value) or not value.isascii():
        raise MalformedMessage("the query is not percent-encoded")
    octets = unquote_to_bytes(value)
    if b"\0" in octets or not octets.isascii():
        raise MalformedMessage("the query holds octets that do not belong there")
    return octets.decode("ascii")
