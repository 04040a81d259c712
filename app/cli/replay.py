"""``log replay``: a recorded exchange as a regression test of any server."""

from pathlib import Path

import click

from app.cli.context import NotDone, Refusal, Workplace, json_option, print_json, read_secret, say, verb
from app.cli.log import log
from app.client import ClientError, ScepClient, Transport
from app.client.trust import Roles
from app.recorder.recording import MAX_LINE, NoRecording, Recording, read_recording
from app.recorder.rekeying import CannotReplay
from app.recorder.replay import Replayed, address_for, needs_ca, replay
from app.recorder.words import what_happened
from app.words import printable


@log.command("replay")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.argument("url")
@click.option(
    "--challenge",
    metavar="FILE|-",
    help="The challenge password to send: a file, or - for stdin. Else one that nobody knows is sent.",
)
@json_option
@verb
def replay_(_: Workplace, file: Path, url: str, challenge: str | None, as_json: bool) -> None:
    """Send an exported exchange to the SCEP server at URL, and compare the answers.

    A message is made again under a new key; everything else is sent as it was recorded. Exit code 0 where a
    device would hear the same, 1 where the server answers otherwise, 2 where it was not asked or did not
    answer. With a URL that has no path the recorded one is asked for.
    """
    one = _read(file)
    password = read_secret(challenge, "challenge password") if challenge else ""
    try:
        roles = _roles(address_for(one, url)) if needs_ca(one) else None
        done = replay(one, url, roles, password)
    except CannotReplay as error:
        raise Refusal(f"{file}: {error}") from error
    except ValueError as error:
        raise Refusal(f"{error}") from error
    if as_json:
        print_json(_as_json(done))
    else:
        say(f"recorded: {what_happened(one)}")
        say(f"sent: {_how(done)}")
        click.echo(f"then: {printable(str(done.recorded))}")
        click.echo(f"now:  {printable(str(done.today))}")
    if done.sent.answer is None and not (done.is_same and roles):
        # Also where nothing was answered then: a server that is not there is no test of anything.
        raise Refusal(done.sent.trouble)
    if not as_json and done.is_same:
        say("a device would hear the same")
    if not done.is_same:
        raise NotDone(f"the server answers otherwise{_hint(one, done, password)}")


def _how(done: Replayed) -> str:
    """Whether what was sent is what was recorded."""
    if not done.made_again:
        return "what was recorded"
    lost = f"; of what was odd about it this is missing: {', '.join(done.lost)}" if done.lost else ""
    return f"the message made again under a new key{lost}"


def _read(file: Path) -> Recording:
    with file.open("rb") as stream:
        data = stream.read(MAX_LINE + 1)
    try:
        return read_recording(data)
    except NoRecording as error:
        raise Refusal(f"{file} is no recording: {error}; `log export` writes one") from error


def _roles(url: str) -> Roles:
    """Whom to encrypt to. Nothing secret is sent, so whoever answers is believed."""
    try:
        return ScepClient(Transport(url)).roles
    except ClientError as error:
        # Nothing was asked, so that nothing was answered otherwise.
        raise Refusal(str(error)) from error


def _hint(one: Recording, done: Replayed, password: str) -> str:
    if done.sent.trouble:
        return f": {done.sent.trouble}"
    if one.asked is not None and one.asked.challenge == "given" and not password:
        return "; its challenge password is in no recording: give a good one by --challenge -"
    return ""


def _as_json(done: Replayed) -> dict[str, object]:
    return {
        "same": done.is_same,
        "trouble": done.sent.trouble,
        "made_again": done.made_again,
        "lost": list(done.lost),
        **{
            name: {
                "status": one.status,
                "media_type": one.media_type,
                "pki_status": one.pki_status,
                "fail_info": one.fail_info,
                "text": one.text,
            }
            for name, one in (("recorded", done.recorded), ("today", done.today))
        },
    }
