"""``challenge``: making, listing and revoking challenge passwords."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import TypeVar

import click

from app import challenge_terms
from app.challenge_terms import DEFAULT_SPAN, DEFAULT_USES, Terms
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
from app.clock import utc_now
from app.decisions import decision
from app.store import SqlRepository
from app.store.records import Challenge
from ca.issuing.sid import check_sid
from ca.journal import log_line
from ca.policy.challenges import ChallengeKey
from ca.profiles import DEFAULT

T = TypeVar("T")
V = TypeVar("V")
# What SQLite can number.
_MAX_ID = 2**63 - 1


class Duration(click.ParamType[timedelta | None]):
    """``90m``, ``12h``, ``30d``, or ``forever``."""

    name = "duration"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> timedelta | None:
        """A span of time; None is for ever."""
        try:
            return challenge_terms.read_span(str(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)


@click.group()
def challenge() -> None:
    """Challenge passwords: what authorises a device's first enrolment."""


@challenge.command()
@click.option("--profile", default=DEFAULT, show_default=True)
@click.option("--uses", default=DEFAULT_USES, show_default=True, metavar="N|unlimited")
@click.option("--valid", type=Duration(), default=DEFAULT_SPAN, show_default=True, metavar="DURATION|forever")
@click.option("--subject", type=Text(), help="The only subject it certifies, as in CN=ipad-17,O=Example.")
@click.option(
    "--san",
    multiple=True,
    type=Text(),
    help="A subjectAltName it may certify, as in dns:ipad-17.example.",
)
@click.option(
    "--sid", type=Text(), help="The Windows security identifier that it vouches for, as in S-1-5-21-..."
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
    sid: str | None,
    secret: str | None,
    note: str,
) -> None:
    """Make a challenge password and print it, alone, on stdout."""
    place.require_ca()
    profiles = place.config.build_profiles()
    if profile not in profiles:
        raise Refusal(f"there is no profile {profile!r} in the settings")
    if not profiles[profile].challenge_required:
        raise Refusal(f"--profile {profile} {challenge_terms.TAKES_NONE}")
    terms = Terms(
        profile=profile,
        uses=_read("--uses ", challenge_terms.read_uses, uses),
        span=valid,
        subject=None if subject is None else _read("--subject ", challenge_terms.read_subject, subject),
        names=tuple(_read("--san: ", challenge_terms.read_name, one) for one in san) or None,
        sid=None if sid is None else _read("--sid ", check_sid, sid),
        note=note,
        secret=""
        if secret is None
        else _read("", challenge_terms.read_secret_text, read_secret(secret, "new challenge password")),
    )
    made = _read("--valid ", lambda now: terms.make(ChallengeKey(place.folder.load_secret()), now), utc_now())
    record = made.record
    span = f"until {record.expires_at:%Y-%m-%d %H:%M} UTC" if record.expires_at else "for ever"
    times = "any number of times" if record.uses_left is None else _times(record.uses_left)
    where = "/scep" if profile == DEFAULT else f"/scep/{profile}"

    def add(repository: SqlRepository) -> int | None:
        number = repository.add_challenge(record)
        if number is not None:
            detail = f"good {times}, {span}, at {where}" + _bounds(terms)
            repository.add_audit(decision("challenge new", f"challenge {number}", "made", detail))
        return number

    number = place.transact(add)
    if number is None:
        raise NotDone("there is a challenge with this password already; revoke it first (challenge list)")
    if terms.subject and (doubt := challenge_terms.find_doubt(terms.subject, profiles[profile])):
        say(f"warning: {doubt}")
    if challenge_terms.is_short(terms.secret):
        say(f"warning: {challenge_terms.SHORT}")
    for one in san:
        if ":" not in one:
            say(f"note: --san {one!r} has no kind, and is taken for dns:{one}")
    click.echo(made.secret)
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
            f"{one.used_at:%Y-%m-%d %H:%M} by {one.used_by}" if one.used_at else "",
        ]
        for one in found
    ]
    print_table(["id", "profile", "uses left", "expires (UTC)", "subject", "note", "last used (UTC)"], rows)


@challenge.command()
@click.argument("challenge_id", metavar="ID", type=click.IntRange(1, _MAX_ID))
@verb
def revoke(place: Workplace, challenge_id: int) -> None:
    """Make a challenge password worthless."""
    place.require_ca()

    def revoke(repository: SqlRepository) -> tuple[bool, int]:
        waiting = repository.count_waiting_for(challenge_id, utc_now())
        gone = repository.revoke_challenge(challenge_id)
        if gone:
            repository.add_audit(decision("challenge revoke", f"challenge {challenge_id}", "revoked"))
        return gone, waiting

    gone, waiting = place.transact(revoke)
    if not gone:
        raise NotDone(f"there is no challenge {challenge_id}; see: {place.folder.command('challenge list')}")
    say(f"challenge {challenge_id} revoked")
    if waiting:
        requests = "a request" if waiting == 1 else f"{waiting} requests"
        say(f"note: {requests} made with it wait for approval: {place.folder.command('request list')}")


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
    return _read(f"{option} ", lambda now: challenge_terms.end_of(now, span), start)


def _read(option: str, read: Callable[[V], T], value: V) -> T:
    """What *read* makes of *value*; what it objects to is told of *option*."""
    try:
        return read(value)
    except ValueError as error:
        raise Refusal(f"{option}{error}") from None


def _times(uses: int) -> str:
    return "once" if uses == 1 else f"{uses} times"


def _bounds(terms: Terms) -> str:
    """What else it is bound to, for the audit log."""
    bounds = log_line(subject=terms.subject, san=",".join(terms.names or ()), sid=terms.sid, note=terms.note)
    return f"; {bounds}" if bounds else ""
