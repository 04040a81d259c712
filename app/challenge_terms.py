"""What a challenge password is good for, read from what a person wrote; nothing is kept here."""

import re
from dataclasses import dataclass
from datetime import datetime, timedelta

from app.store.records import NewChallenge
from ca.errors import SubjectRefused
from ca.issuing.subject import decide_subject
from ca.policy.challenges import ChallengeKey, new_challenge
from ca.profiles import DEFAULT, NO_GRANTS, Grants, Profile, Source
from ca.x509.general_names import GeneralName
from ca.x509.name import Name
from ca.x509.request import MAX_CHALLENGE

UNLIMITED, FOREVER = "unlimited", "forever"
DEFAULT_USES, DEFAULT_SPAN = "1", "1h"
_SPAN = re.compile(r"([0-9]{1,6})([smhdwy])")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800, "y": 31_536_000}
_USES = re.compile(r"[0-9]{1,9}")
# NDES' have 16; whoever may guess ten times a minute finds one of a few characters.
_SHORT_CHARACTERS = 12
# Of a profile in the settings.
TAKES_NONE = 'has challenge = "none" and accepts no password; choose another, or set challenge = "required"'
SHORT = f"fewer than {_SHORT_CHARACTERS} characters can be guessed; one that is made here cannot"


@dataclass(frozen=True, slots=True)
class Terms:
    """For whom, how often and how long a challenge password is good. *uses* and *span* None: no limit.

    *secret* is what a person brought, empty where one is to be made.
    """

    profile: str = DEFAULT
    uses: int | None = 1
    span: timedelta | None = timedelta(hours=1)
    subject: str | None = None
    names: tuple[str, ...] | None = None
    sid: str | None = None
    note: str = ""
    secret: str = ""

    def make(self, key: ChallengeKey, now: datetime) -> "MadeChallenge":
        """The challenge password, which begins to be good *now*.

        Raises:
            ValueError: It would be good for longer than any calendar knows.

        """
        secret = self.secret or new_challenge()
        record = NewChallenge(
            mac=key.mac(secret),
            profile=self.profile,
            uses_left=self.uses,
            expires_at=None if self.span is None else end_of(now, self.span),
            created_at=now,
            subject=self.subject,
            subject_alt_names=self.names,
            note=self.note,
            sid=self.sid,
            guessable=bool(self.secret),
        )
        return MadeChallenge(secret, record)


@dataclass(frozen=True, slots=True)
class MadeChallenge:
    """A challenge password, which is kept nowhere, and the record of it."""

    secret: str
    record: NewChallenge


def find_doubt(subject: str, profile: Profile) -> str:
    """Why no device that asks for *subject* would get a certificate under *profile*; empty where one may."""
    source = profile.subject.source
    if source is Source.VALIDATOR:
        # Who knows what it will say.
        return ""
    try:
        decide_subject(
            Name.from_text(subject),
            profile.subject,
            Grants(subject) if source is Source.CHALLENGE else NO_GRANTS,
        )
    except SubjectRefused as refusal:
        return f"profile {profile.name} would refuse {subject}: {refusal}"
    return ""


def read_span(text: str) -> timedelta | None:
    """``90m``, ``12h``, ``30d``; None is ``forever``.

    Raises:
        ValueError: It is no span of time.

    """
    match = _SPAN.fullmatch(text.lower())
    if text.lower() == FOREVER:
        return None
    if match is None or not int(match[1]):
        raise ValueError(f"{text!r} is not a duration such as 90m, 12h, 30d or forever")
    return timedelta(seconds=int(match[1]) * _SECONDS[match[2]])


def end_of(start: datetime, span: timedelta) -> datetime:
    """When *span* is over.

    Raises:
        ValueError: No calendar knows that day.

    """
    try:
        return start + span
    except OverflowError:
        raise ValueError("reaches beyond the year 9999; use forever") from None


def read_uses(text: str) -> int | None:
    """A number of uses; None is ``unlimited``.

    Raises:
        ValueError: It is neither.

    """
    if text == UNLIMITED:
        return None
    if not _USES.fullmatch(text) or not int(text):
        raise ValueError(f"{text!r} is neither a number from 1 to 999999999 nor unlimited")
    return int(text)


def read_subject(text: str) -> str:
    """A subject, in the form that is kept.

    Raises:
        ValueError: It is none, or empty.

    """
    try:
        name = Name.from_text(text)
    except ValueError:
        raise ValueError(f"{text!r} is no name such as CN=ipad-17,O=Example") from None
    if not name:
        raise ValueError("is empty; leave it out, or give a name such as CN=ipad-17,O=Example")
    return str(name)


def read_name(text: str) -> str:
    """A subjectAltName such as ``dns:ipad-17.example``, in the form that is kept.

    Raises:
        ValueError: It is none.

    """
    return str(GeneralName.from_text(text))


def read_secret_text(text: str) -> str:
    """A challenge password that a person brought.

    Raises:
        ValueError: No CSR could hold it.

    """
    if not text or len(text) > MAX_CHALLENGE:
        raise ValueError(f"a challenge password has 1 to {MAX_CHALLENGE} characters")
    return text


def is_short(secret: str) -> bool:
    """Whether a person brought a challenge password that others may guess; empty is none."""
    return 0 < len(secret) < _SHORT_CHARACTERS
