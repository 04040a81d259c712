"""What a program or a service says of a request: read strictly, for a word misread would be a certificate."""

import json
from dataclasses import dataclass
from typing import Any

from app.validators.redaction import Redaction
from ca.approval import MAX_REASON, check_reason
from ca.issuing.sid import is_account
from ca.ports import Allowed, Deferred, Denied, Verdict
from ca.profiles import NO_GRANTS, Grants
from ca.x509.general_names import GeneralName
from ca.x509.name import Name

MAX_OCTETS = 64 * 1024
REFUSED = "refused by who decides on this profile's requests"
_MAX_SUBJECT = 2000
_MAX_NAMES = 100
_MAX_NAME = 500
# "data" is what step-ca's receivers may send along, for templates that there are none of here.
_KNOWN = frozenset({"allow", "hold", "reason", "subject", "subject_alt_names", "sid", "data"})


class NoVerdict(Exception):
    """What was said is no verdict; the text says why, for the log."""


@dataclass(frozen=True, slots=True)
class Statement:
    """What was said. *allow* is None where that is left open, *hold* is whether a person shall decide."""

    allow: bool | None = None
    hold: bool = False
    reason: str = ""
    grants: Grants = NO_GRANTS

    def verdict(self) -> Verdict:
        """What it comes to.

        Raises:
            NoVerdict: It says neither yes nor no nor to hold, or yes and to hold.

        """
        if self.hold and self.allow:
            raise NoVerdict("it says allow and hold at once")
        if self.hold:
            return Deferred(self.grants, self.reason)
        match self.allow:
            case None:
                raise NoVerdict("it says neither allow nor hold")
            case True:
                return Allowed(self.grants, self.reason)
            case False:
                return Denied(self.reason or REFUSED)


def read_statement(octets: bytes, redact: Redaction) -> Statement:
    """Read the JSON of a verdict. *redact* takes out what no reason may repeat.

    A key that is not known is refused: a mistyped ``subject`` would have the device's own wish certified.

    Raises:
        NoVerdict: It is no such JSON.

    """
    if len(octets) > MAX_OCTETS:
        raise NoVerdict(f"it is longer than {MAX_OCTETS} octets")
    try:
        said = json.loads(octets.decode("utf-8"), object_pairs_hook=_without_doubles)
    except (ValueError, RecursionError) as error:
        raise NoVerdict(f"it is no JSON: {safe_text(str(error))}") from error
    if not isinstance(said, dict):
        raise NoVerdict("it is no JSON object")
    for key in said.keys() - _KNOWN:
        raise NoVerdict(f"{safe_text(redact(key))!r} is nothing that a verdict has")
    allow, hold = _take(said, "allow", bool), _take(said, "hold", bool)
    grants = Grants(_subject(said, redact), _subject_alt_names(said, redact), _sid(said))
    return Statement(allow, bool(hold), safe_text(redact(_take(said, "reason", str) or "")), grants)


def safe_text(text: str) -> str:
    """*text* of somebody else's as one line that can be told to a device (RFC 8894 3.2.1.4), or empty."""
    line = "".join(character if character.isprintable() else " " for character in text[: 2 * MAX_REASON])
    line = " ".join(line.split())
    if len(line) > MAX_REASON:
        line = f"{line[: MAX_REASON - 1]}…"
    return check_reason(line) if line else ""


def _without_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """RFC 8259 4: of two values of one name, who reads it decides which counts."""
    read = dict(pairs)
    if len(read) != len(pairs):
        raise ValueError("a name is there twice")
    return read


def _take(said: dict[str, Any], key: str, kind: type) -> Any:
    value = said.get(key)
    if value is not None and not isinstance(value, kind):
        raise NoVerdict(f"{key} is not of the type {kind.__name__}")
    return value


def _subject(said: dict[str, Any], redact: Redaction) -> str | None:
    """An empty one is what some languages write for none."""
    text = _take(said, "subject", str)
    if not text:
        return None
    try:
        if len(text) > _MAX_SUBJECT:
            raise ValueError("too long")
        return str(Name.from_text(text))
    except ValueError as error:
        raise NoVerdict(f"subject: {safe_text(redact(str(error)))}") from None


def _subject_alt_names(said: dict[str, Any], redact: Redaction) -> tuple[str, ...] | None:
    names = _take(said, "subject_alt_names", list)
    if names is None:
        return None
    if len(names) > _MAX_NAMES or not all(isinstance(name, str) and len(name) <= _MAX_NAME for name in names):
        raise NoVerdict(f"subject_alt_names is no list of up to {_MAX_NAMES} names")
    try:
        return tuple(str(GeneralName.from_text(name)) for name in names)
    except ValueError as error:
        raise NoVerdict(f"subject_alt_names: {safe_text(redact(str(error)))}") from None


def _sid(said: dict[str, Any]) -> str:
    sid: str = _take(said, "sid", str) or ""
    if sid and not is_account(sid):
        raise NoVerdict("sid is no account's Windows security identifier, such as S-1-5-21-11-22-33-1104")
    return sid
