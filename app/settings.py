"""The settings that are in force: taken in at the start, and anew whenever somebody had them reloaded.

Who has them reloaded (a signal, the administrator's site, the verb) looks first whether they are in order
and then leaves a mark in the data folder. Every process that serves looks at the mark at each request.
"""

import logging
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from app.config import Config, ConfigError, parse_config, read_settings
from app.data_folder import DataFolder, DataFolderError
from app.in_force import InForce, leave_in_force, read_in_force, replace_while_read
from ca.issuing.key_store import KeyUnusable
from ca.issuing.root import CaUnusable
from ca.journal import log_line

log = logging.getLogger(__name__)
# What is bound, opened or started once. A section stands for all that is in it.
AT_THE_START = (
    "server.listen",
    "server.admin_listen",
    "server.workers",
    "database",
    "limits.body_octets",
    "limits.header_octets",
    "limits.connections",
    "limits.request_seconds",
    "limits.idle_seconds",
    "limits.queries_per_minute",
    "challenge.guesses_per_minute",
    "challenge.guesses_overall_per_minute",
)


class ReloadMark:
    """The mark in the data folder, a file that is an octet longer after each reload, and what to take in.

    Its length changes where the times of files are too coarse, and appending is in nobody's way. What
    was found in order lies beside it: who takes it in later takes that, and not what the settings file
    says by then.
    """

    def __init__(self, folder: DataFolder) -> None:
        # Looked at with each request: as text, which costs half of what a Path does.
        self._mark = str(folder.reload_mark)
        self._settings = folder.reloaded_settings
        self._in_force = folder.settings_in_force

    def look(self) -> int:
        """What is another number after each reload."""
        try:
            return os.stat(self._mark).st_size
        except OSError:
            return 0

    def leave(self, text: str) -> None:
        """Tell all who serve from this folder to take in the settings *text*.

        Raises:
            OSError: The folder cannot be written to.

        """
        replace_while_read(self._settings, text.encode())
        binary = getattr(os, "O_BINARY", 0)
        descriptor = os.open(self._mark, os.O_WRONLY | os.O_CREAT | os.O_APPEND | binary, 0o600)
        try:
            os.write(descriptor, b".")
        finally:
            os.close(descriptor)

    def read(self) -> str:
        """The text of what is to be taken in.

        Raises:
            ConfigError: It cannot be read.

        """
        return read_settings(self._settings)

    def parse(self, text: str) -> Config:
        """Read that *text*.

        Raises:
            ConfigError: This process's environment is at odds with it.

        """
        return parse_config(text, self._settings)

    def leave_in_force(self, in_force: InForce) -> None:
        """Leave what was taken in; where the folder cannot be written to, the log says so."""
        try:
            leave_in_force(self._in_force, in_force)
        except OSError as error:
            log.error(log_line(reason="what was taken in cannot be kept", detail=error))

    def in_force(self) -> InForce | None:
        """What the server has taken in last; None where none ever ran."""
        return read_in_force(self._in_force)


@dataclass(frozen=True, slots=True)
class Change:
    """Which settings differ by their names; *waiting* are those that the next start takes in."""

    names: tuple[str, ...]
    waiting: tuple[str, ...]


class Settings:
    """The settings in force.

    *find* finds the settings file, which is *file* once it is there; *config* is what the program was
    started with, *seen* the mark that was there before those were read. *on_change* is called with what
    was taken in. With *announces* one line of the log tells what has changed.
    """

    def __init__(
        self,
        find: Callable[[], Path | None],
        config: Config,
        mark: ReloadMark,
        seen: int,
        file: str = "",
    ) -> None:
        self._find = find
        self._mark = mark
        self._seen = seen
        self._file = file
        self.on_change: Callable[[Config], None] = lambda _: None
        self._started_with = config
        self._config = config
        self.announces = True

    @property
    def taken(self) -> Config:
        """What this process has taken in last, without a look at whether there is something new."""
        return self._config

    def version(self) -> object:
        """What is another value after each reload."""
        return self._mark.look()

    def current(self) -> Config:
        """The settings in force.

        Raises:
            ConfigError: Whoever had them reloaded found them in order, and this process does not.

        """
        seen = self._mark.look()
        if seen != self._seen:
            text = self._mark.read()
            config = self._mark.parse(text)
            self.on_change(config)
            if self.announces:
                self._announce(self._compare(config))
                self._mark.leave_in_force(InForce(self._file, text))
            self._config, self._seen = config, seen
        return self._config

    def begin(self) -> None:
        """Take in what is in force, in a process that is new beside others.

        What cannot be taken in, for a file that it names is gone, is told to the log, and what the server
        had before counts: a process that serves is worth more than one that ends at once, again and again.
        """
        try:
            self.current()
        except ConfigError as error:
            for problem in str(error).splitlines():
                log.error(log_line(reason="the settings cannot be taken in", detail=problem))
            self._fall_back()

    def _fall_back(self) -> None:
        seen, before = self._mark.look(), self._mark.in_force()
        try:
            config = self._config if before is None else self._mark.parse(before.text)
            self.on_change(config)
        except ConfigError:
            # Those of the start, which were loaded with all that they need.
            config = self._config
            self.on_change(config)
        self._config, self._seen = config, seen

    def reload(self, check: Callable[[Config], object]) -> Change:
        """Have every process take in what the settings are now, if *check* has nothing against them.

        Raises:
            ConfigError: They are wrong, and nothing has changed.

        """
        change = self._compare(check_and_mark(self._find(), self._mark, check))
        # At once, so that the log tells it before the next request comes.
        self.current()
        return change

    def _compare(self, config: Config) -> Change:
        since_start = find_changed(self._started_with, config)
        return Change(find_changed(self._config, config), tuple(filter(_counts_at_the_start, since_start)))

    def _announce(self, change: Change) -> None:
        names, waiting = ",".join(change.names) or "none", ",".join(change.waiting) or "none"
        log.info(log_line(message="the settings were taken in", changed=names, at_the_next_start=waiting))


def check_and_mark(
    path: Path | None, mark: ReloadMark, check: Callable[[Config], object] = lambda _: None
) -> Config:
    """Leave the mark if the settings are in order and *check* has nothing against them, and return them.

    Raises:
        ConfigError: They are wrong, and nothing has changed.

    """
    try:
        text = read_settings(path)
        config = parse_config(text, path)
        check(config)
        mark.leave(text)
    except (CaUnusable, DataFolderError, KeyUnusable) as error:
        raise ConfigError(str(error)) from error
    except OSError as error:
        raise ConfigError(f"{error.filename or 'the data folder'}: {error.strerror or error}") from error
    return config


def find_changed(old: Config, new: Config) -> tuple[str, ...]:
    """The dotted names of the settings that differ, never a value."""
    return tuple(_differing(old.model_dump(), new.model_dump()))


def _counts_at_the_start(name: str) -> bool:
    return any(f"{name}.".startswith(f"{one}.") for one in AT_THE_START)


def _differing(old: Mapping[str, Any], new: Mapping[str, Any], head: str = "") -> Iterator[str]:
    for name in sorted(old.keys() | new.keys()):
        before, after = old.get(name), new.get(name)
        if isinstance(before, dict) and isinstance(after, dict):
            yield from _differing(before, after, f"{head}{name}.")
        elif before != after:
            yield f"{head}{name}"
