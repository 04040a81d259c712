"""``challenge``: making, listing and revoking challenge passwords."""

import re
from datetime import datetime, timedelta

import click

from app.cli.context import (
    NotDone,
    Refusal,
    Text,
    Workplace,
    json_option,
    print_json,
    print_table,
    read_secret,
    say,
    verb,
)
from app.store.records import Challenge, NewChallenge
from app.wiring import utc_now
from ca.policy.challenges import ChallengeKey, new_challenge
from ca.profiles import DEFAULT
from ca.x509.general_names import GeneralName
from ca.x509.name import Name
from ca.x509.request import MAX_CHALLENGE

_DURATION = re.compile(r"([0-9]{1,6})([smhdwy])")
_USES = re.compile(r"[0-9]{1,9}")
# What SQLite can number.
_MAX_ID = 2**63 - 1
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800, "y": 31_536_000}


class Duration(click.ParamType[timedelta | None]):
    """``90m``, ``12h``, ``30d``, or ``forever``."""

    name = "duration"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> timedelta | None:
        """A span of time; None is for ever."""
        match = _DURATION.fullmatch(str(value).lower())
        if str(value).lower() == "forever":
            return None
        if match is None or not int(match[1]):
            self.fail(f"{value!r} is not a duration such as 90m, 12h, 30d or forever", param, ctx)
        return timedelta(seconds=int(match[1]) * _SECONDS[match[2]])


@click.group()
def challenge() -> None:
    """Challenge passwords: what authorises a device's first enrolment."""


@challenge.command()
@click.option("--profile", default=DEFAULT, show_default=True)
@click.option("--uses", default="1", show_default=True, metavar="N|unlimited")
@click.option("--valid", type=Duration(), default="1h", show_default=True, metavar="DURATION|forever")
@click.option("--subject", type=Text(), help="The only subject it certifies, as in CN=ipad-17,O=Example.")
@click.option(
    "--san",
    multiple=True,
    type=Text(),
    help="A subjectAltName it may certify, as in dns:ipad-17.example.",
)
@click.option(
    "--secret", metavar="FILE|-", help="Take the password from a file, or - for stdin; else it is made."
)
@click.option("--note", type=Text(), default="", help="A word for yourself.")
@verb
def new(
    place: Workplace,
    profile: str,
    uses: str,
    valid: timedelta | None,
    subject: str | None,
    san: tuple[str, ...],
    secret: str | None,
    note: str,
) -> None:
    """Make a challenge password and print it, alone, on stdout."""
    place.require_ca()
    if profile not in place.config.build_profiles():
        raise Refusal(f"there is no profile {profile!r} in the settings")
    if uses != "unlimited" and not (_USES.fullmatch(uses) and int(uses)):
        raise Refusal(f"--uses {uses!r} is neither a number from 1 to 999999999 nor unlimited")
    password = new_challenge() if secret is None else read_secret(secret, "new challenge password")
    if not password or len(password) > MAX_CHALLENGE:
        raise Refusal(f"a challenge password has 1 to {MAX_CHALLENGE} characters")
    now = utc_now()
    record = NewChallenge(
        mac=ChallengeKey(place.folder.load_secret()).mac(password),
        profile=profile,
        uses_left=None if uses == "unlimited" else int(uses),
        expires_at=end_of(now, valid, "--valid") if valid else None,
        created_at=now,
        subject=_subject(subject),
        subject_alt_names=_names(san) if san else None,
        note=note,
    )
    number = place.transact(lambda repository: repository.add_challenge(record))
    if number is None:
        raise NotDone("there is a challenge with this password already; revoke it first (challenge list)")
    click.echo(password)
    span = f"until {record.expires_at:%Y-%m-%d %H:%M} UTC" if record.expires_at else "for ever"
    times = "any number of times" if record.uses_left is None else _times(record.uses_left)
    where = "/scep" if profile == DEFAULT else f"/scep/{profile}"
    say(f"challenge {number}: good {times}, {span}, at {where}")


@challenge.command("list")
@json_option
@verb
def list_(place: Workplace, as_json: bool) -> None:
    """List challenge passwords, never the secrets."""
    place.require_ca()
    found = place.read(lambda repository: repository.list_challenges())
    if as_json:
        print_json([_as_json(one) for one in found])
        return
    rows = [
        [
            str(one.id),
            one.profile,
            "unlimited" if one.uses_left is None else str(one.uses_left),
            f"{one.expires_at:%Y-%m-%d %H:%M}" if one.expires_at else "for ever",
            one.subject or "",
            one.note,
        ]
        for one in found
    ]
    print_table(["id", "profile", "uses left", "expires (UTC)", "subject", "note"], rows)


@challenge.command()
@click.argument("challenge_id", metavar="ID", type=click.IntRange(1, _MAX_ID))
@verb
def revoke(place: Workplace, challenge_id: int) -> None:
    """Make a challenge password worthless."""
    place.require_ca()
    if not place.transact(lambda repository: repository.revoke_challenge(challenge_id)):
        raise NotDone(f"there is no challenge {challenge_id}; see: {place.folder.command('challenge list')}")
    say(f"challenge {challenge_id} revoked")


def _as_json(one: Challenge) -> dict[str, object]:
    return {
        "id": one.id,
        "profile": one.profile,
        "uses_left": one.uses_left,
        "expires_at": rfc3339(one.expires_at) if one.expires_at else None,
        "subject": one.subject,
        "created_at": rfc3339(one.created_at),
    }


def rfc3339(time: datetime) -> str:
    """RFC 3339 in UTC."""
    return f"{time:%Y-%m-%dT%H:%M:%SZ}"


def end_of(start: datetime, span: timedelta, option: str) -> datetime:
    """When *span*, given by *option*, is over.

    Raises:
        Refusal: No calendar knows that day.

    """
    try:
        return start + span
    except OverflowError:
        raise Refusal(f"{option} reaches beyond the year 9999; use forever") from None


def _times(uses: int) -> str:
    return "once" if uses == 1 else f"{uses} times"


def _subject(text: str | None) -> str | None:
    if text is None:
        return None
    try:
        name = Name.from_text(text)
    except ValueError:
        raise Refusal(f"--subject {text!r} is no name such as CN=ipad-17,O=Example") from None
    if not name:
        raise Refusal("--subject is empty; leave it out, or give a name such as CN=ipad-17,O=Example")
    return str(name)


def _names(texts: tuple[str, ...]) -> tuple[str, ...]:
    try:
        return tuple(str(GeneralName.from_text(text)) for text in texts)
    except ValueError as error:
        raise Refusal(f"--san: {error}") from None
