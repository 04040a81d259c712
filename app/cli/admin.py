"""``admin``: the way in to the administrator's site."""

import sys

import click

from app.admin.metrics_token import make_token
from app.admin.password import LEAST_CHARACTERS, MOST_OCTETS, make_password, write_password
from app.cli.context import Refusal, Workplace, read_secret, say, verb
from app.config import OFF


@click.group()
def admin() -> None:
    """The administrator's site."""


@admin.command("password")
@click.option(
    "--secret",
    metavar="FILE|-",
    help="Take the password from a file, or - for stdin, where a person is asked; else it is made.",
)
@verb
def password(place: Workplace, secret: str | None) -> None:
    """Set the password of the administrator's site; one that is made is printed, alone, on stdout."""
    place.require_ca()
    chosen = make_password() if secret is None else _read(secret)
    write_password(place.folder.admin_password, chosen)
    if secret is None:
        click.echo(chosen)
    say("the administrator's password is set, and any before it counts no more")
    address = place.config.server.admin_listen
    if address != OFF:
        say(f"log in at http://{address}/ as admin, or under any other name")


@admin.command("metrics")
@verb
def metrics(place: Workplace) -> None:
    """Make the token with which Prometheus scrapes /metrics, and print it, alone, on stdout."""
    place.require_ca()
    click.echo(make_token(place.folder.metrics_token))
    say("the token for /metrics is made, and any before it counts no more")
    say("have Prometheus send it: authorization: {credentials_file: FILE}; see docs/metrics.md")


def _read(source: str) -> str:
    chosen = read_secret(source, "new administrator's password")
    if source == "-" and sys.stdin.isatty() and read_secret(source, "the same again") != chosen:
        raise Refusal("the two are not the same; try again")
    if len(chosen) < LEAST_CHARACTERS or len(chosen.encode()) > MOST_OCTETS:
        raise Refusal(
            f"a password has {LEAST_CHARACTERS} characters or more, and {MOST_OCTETS} octets at most"
        )
    if not chosen.isprintable():
        raise Refusal("a password has no control characters: no browser could send them")
    return chosen
