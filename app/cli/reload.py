"""``reload``: has the running server take in changed settings, on every system alike."""

import click

from app.cli.context import Refusal, Workplace, say, verb
from app.clock import utc_now
from app.config import Config, ConfigError
from app.config.oddities import find_oddities
from app.decisions import decision
from app.hints import command
from app.settings import ReloadMark, check_and_mark, find_changed
from app.validators import check_validators
from ca.journal import log_line


@click.command()
@verb
def reload(place: Workplace) -> None:
    """Have the server take in the settings as they are now; wrong ones are told, and change nothing."""
    place.require_ca()
    mark = ReloadMark(place.folder)
    _refuse_another_file(place, mark)
    path, elsewhere = place.find_settings(), list[str]()

    def check(config: Config) -> None:
        # As the server does before it takes them in.
        config.build_profiles()
        elsewhere.extend(check_validators(config, place.folder))

    before = mark.in_force()
    config = check_and_mark(path, mark, check)
    changed = "unknown" if before is None else _changed(mark, before.text, config)
    detail = log_line(changed=changed, file=place.settings_path)
    place.transact(
        lambda repository: repository.add_audit(decision("reload", "settings", "taken in", detail))
    )
    for one in elsewhere:
        say(f"note: unless the server's environment has it, it goes on with what it had: {one}")
    for oddity in find_oddities(config, utc_now()):
        say(f"warning: {oddity}")
    what = f"{path} is in order" if path else "there is no settings file, and the defaults count"
    say(f"{what}; the server of {place.folder.path} takes it in at its next request")
    say("the server's log names what has changed, and what waits for the next start")


def _refuse_another_file(place: Workplace, mark: ReloadMark) -> None:
    """Raises: Refusal: The server was started with another settings file, which would stop to count."""
    before = mark.in_force()
    own = str(place.settings_path)
    if before is None or before.file == own:
        return
    raise Refusal(
        f"the server of {place.folder.path} was started with {before.file}, and this would have it take in "
        f"{own}: type {command('reload', place.folder.path)} --config {before.file}, or start the server "
        "anew with the other"
    )


def _changed(mark: ReloadMark, before: str, config: Config) -> str:
    try:
        return ",".join(find_changed(mark.parse(before), config)) or "none"
    except ConfigError:
        # This shell's environment is not the server's.
        return "unknown"
