"""``reload``: has the running server take in changed settings, on every system alike."""

import click

from app.cli.context import Workplace, say, verb
from app.decisions import decision
from app.settings import ReloadMark, check_and_mark


@click.command()
@verb
def reload(place: Workplace) -> None:
    """Have the server take in the settings as they are now; wrong ones are told, and change nothing."""
    place.require_ca()
    path = place.find_settings()
    check_and_mark(path, ReloadMark(place.folder))
    place.transact(lambda repository: repository.add_audit(decision("reload", "settings", "taken in")))
    what = f"{path} is in order" if path else "there is no settings file, and the defaults count"
    say(f"{what}; the server of {place.folder.path} takes it in at its next request")
    say("the server's log names what has changed, and what waits for the next start")
