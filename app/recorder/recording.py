"""A recorded exchange, and the JSON that it is kept, listed and handed on as (see docs/recordings.md).

Nothing in it is secret: no challenge password, nothing that was decrypted, no login.
"""

import binascii
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

FORMAT = "scepbox recording 1"
# The longest line there is: two messages of the most octets that are kept, and words.
MAX_KEPT_OCTETS = 64 * 1024
MAX_LINE = 512 * 1024
# A line of a segment and an exported file begin with it, whatever space is between.
_BEGINS = re.compile(rb'\s*\{\s*"format"\s*:\s*"scepbox recording \d+"')
Text = Annotated[str, Field(max_length=4096)]
Octets = Annotated[str, Field(max_length=4 * MAX_KEPT_OCTETS)]


class NoRecording(ValueError):
    """It is no recording that can be read; the text says why."""


class _Part(BaseModel):
    # What a later version adds is no reason to read nothing.
    model_config = ConfigDict(frozen=True, extra="ignore")


class Noticed(_Part):
    """A finding by its id in the knowledge of ``explain``, the place where, and what it was there."""

    id: Text
    place: Text = ""
    detail: Text = ""


class Wish(_Part):
    """An extension that was asked for; *value* is its DER in hexadecimal, None where it is not kept."""

    oid: Text
    critical: bool = False
    value: Text | None = None


class Asked(_Part):
    """What the CSR asked for, without its challenge password.

    *key* is such as ``rsa:2048``; *sans* such as ``dns:host.example``. *challenge* says how it was:
    ``absent``, ``given``, or, where it was the reason of a refusal, ``refused`` or ``spent``.
    """

    key: Text
    sans: Annotated[tuple[Text, ...], Field(max_length=100)] = ()
    wishes: Annotated[tuple[Wish, ...], Field(max_length=100)] = ()
    challenge: Literal["absent", "given", "refused", "spent"] = "given"


class Recording(_Part):
    """One exchange.

    *at* is when the request was whole. *status* is that of HTTP, 0 where nobody was answered. *message* to
    *renewal_of* are of a PKIOperation that named its transaction: *outcome* is ``issued``, ``repeated``,
    ``pending``, ``answered`` or ``refused``, and of all others ``answered``, ``refused``, ``failed`` or
    ``unanswered``; *stage* how far it came; *reason* is what the device was told, *detail* what it was not.
    *seconds* are of each stage, and ``total``. *request* and *reply* are base64 of what was sent, logins and
    the like taken out of the head; *cut* says that one of them was longer than is kept.
    """

    format: Literal["scepbox recording 1"]
    id: Text
    at: datetime
    remote: Text
    client: Text = ""
    operation: Text
    profile: Text = ""
    status: int
    message: Text = ""
    outcome: Text
    stage: Text = ""
    fail_info: Text = ""
    rule: Text = ""
    reason: Text = ""
    detail: Text = ""
    transaction_id: Text = ""
    subject: Text = ""
    serial: Text = ""
    renewal_of: Text = ""
    note: Text = ""
    findings: Annotated[tuple[Noticed, ...], Field(max_length=200)] = ()
    seconds: Annotated[Mapping[str, float], Field(max_length=20)] = Field(default_factory=dict)
    asked: Asked | None = None
    cut: bool = False
    request: Octets = ""
    reply: Octets = ""

    @property
    def request_octets(self) -> bytes:
        """The HTTP request as it came, but for what was taken out of its head."""
        return _decode(self.request)

    @property
    def reply_octets(self) -> bytes:
        """The HTTP reply as it was sent; empty where there was none."""
        return _decode(self.reply)

    def for_others(self) -> "Recording":
        """The same without what only the operator may read: why exactly, and who else had to do with it."""
        told = (
            one.model_copy(update={"detail": ""}) if one.detail and one.detail == self.detail else one
            for one in self.findings
        )
        return self.model_copy(update={"detail": "", "note": "", "findings": tuple(told)})

    @property
    def is_refusal(self) -> bool:
        """Whether the device went away without what it asked for, and was told so."""
        return self.outcome in ("refused", "failed")


def is_recording(data: bytes) -> bool:
    """Whether *data* begins as a recording does."""
    return bool(_BEGINS.match(data[:200]))


def read_recording(data: bytes) -> Recording:
    """Read a line of a segment or an exported file.

    Raises:
        NoRecording: It is none, or of a form that this version does not know.

    """
    if len(data) > MAX_LINE:
        raise NoRecording("it is longer than any recording")
    try:
        found = Recording.model_validate_json(data)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise NoRecording(f"{where or 'the file'}: {first['msg']}") from error
    if found.at.tzinfo is None:
        raise NoRecording("at: the time has no zone")
    try:
        _ = found.request_octets, found.reply_octets, found.at.astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise NoRecording(f"request, reply or at: {error}") from error
    return found


def encode(octets: bytes) -> bytes:
    """Octets as a recording has them."""
    return binascii.b2a_base64(octets, newline=False)


def _decode(text: str) -> bytes:
    return binascii.a2b_base64(text.encode("ascii"), strict_mode=True) if text else b""
