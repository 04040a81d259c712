"""What every verb shares: the folder, the settings, and errors told in one line with a next step."""

import functools
import json
import math
import sys
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from getpass import getpass
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import click

from app.clock import utc_now
from app.config import Config, ConfigError, parse_config, read_settings
from app.configured_store import database_url, open_configured_store
from app.data_folder import DataFolder, DataFolderError
from app.store import SqlRepository, SqlStore, database_name
from app.store.presence import Presence, find_database_file, look_at_database
from app.succession import Succession, load_succession
from app.trouble import in_words
from app.words import printable
from ca.errors import StoreUnavailable
from ca.issuing.key_store import KeyUnusable
from ca.issuing.root import CaUnusable

P = ParamSpec("P")
T = TypeVar("T")
CANNOT_RUN = 2
# Of a file with a secret, and of one with many; a device has no end.
_MOST_OCTETS = 64 << 10
_MOST_OCTETS_OF_MANY = 1 << 20


class Refusal(click.ClickException):
    """A verb that could not run: one line with the next step on stderr, exit code 2."""

    exit_code = CANNOT_RUN

    def show(self, file: Any = None) -> None:
        """Say it in one line a problem."""
        for line in self.message.splitlines():
            click.echo(f"scepbox: {printable(line)}", err=True)


class NotDone(Refusal):
    """A verb that ran and was refused: exit code 1."""

    exit_code = 1


class Text(click.ParamType[str]):
    """Words, in whatever script."""

    name = "text"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """The words; bytes that are no text of this system cannot be stored, shown or compared."""
        text = str(value)
        if not text.isascii() and any("\ud800" <= character <= "\udfff" for character in text):
            self.fail("is not text in this system's encoding", param, ctx)
        return text


class Seconds(click.FloatRange):
    """A time that somebody waits: from a tenth of a second to a day."""

    def __init__(self) -> None:
        super().__init__(0.1, 86_400)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """The seconds; what is no number is in no range either, and would pass."""
        seconds: float = super().convert(value, param, ctx)
        if math.isnan(seconds):
            self.fail(f"{value!r} is no number of seconds", param, ctx)
        return seconds


class Workplace:
    """The data folder and the settings of one call."""

    def __init__(self, data: Path, config: Path | None) -> None:
        self.folder = DataFolder(data)
        self._config = config

    @functools.cached_property
    def config(self) -> Config:
        """The settings: the file that was named, or the folder's if it is there."""
        return parse_config(self.settings_text, self.find_settings())

    @functools.cached_property
    def settings_text(self) -> str:
        """The text of the settings file; empty where there is none.

        Raises:
            ConfigError: It cannot be read.

        """
        return read_settings(self.find_settings())

    @property
    def settings_path(self) -> Path:
        """Where the settings file is, or would be."""
        return (self._config or self.folder.settings).resolve()

    def find_settings(self) -> Path | None:
        """The settings file that counts now; None where there is none."""
        return self._config or (self.folder.settings if self.folder.settings.exists() else None)

    def require_ca(self) -> None:
        """Raises: Refusal: There is no CA in the folder, or that of today has lost its certificate."""
        folder = self.folder
        if not folder.has_ca:
            advice = f"make one with `{folder.command('init')}`, or use --data"
            raise Refusal(f"no CA in {folder.path}: {advice}")
        missing = folder.ca_certificate
        if not missing.exists():
            raise Refusal(
                f"{missing} is missing, which the CA of today needs: bring it back from a backup, or remove "
                f"{missing.parent}, if that is empty and there never was a CA in it"
            )

    def load_cas(self) -> Succession:
        """Load all CAs, and say what is wrong with those beside the one of today.

        Raises:
            OSError, KeyUnusable, CaUnusable: The CA of today cannot be loaded.

        """
        cas, _ = load_succession(self.folder, utc_now())
        for complaint in cas.complaints:
            say(f"warning: {complaint}")
        return cas

    @property
    def database_file(self) -> Path | None:
        """The database's file, wherever the settings have it; None for one on a server."""
        return find_database_file(database_url(self.folder, self.config))

    @property
    def database_name(self) -> str:
        """What the database is called to people."""
        return database_name(database_url(self.folder, self.config))

    def look_at_database(self) -> Presence:
        """How much of the configured database there is."""
        return look_at_database(database_url(self.folder, self.config))

    def require_database(self) -> None:
        """Raises: Refusal: The database that the CA must have had is not there."""
        if self.look_at_database() is Presence.ABSENT:
            raise Refusal(
                f"{self.database_name} is missing or empty, though there is a CA: bring it back from a "
                f"backup, or go on without it by `{self.folder.command('init --make-missing')}` (what was "
                "issued can then neither be listed, renewed nor revoked, what was revoked is on no CRL any "
                "more, and no challenge password is known)"
            )

    def open_store(self) -> SqlStore:
        """Open the store, which must be there."""
        self.require_database()
        return open_configured_store(self.folder, self.config)

    def transact(self, work: Callable[[SqlRepository], T]) -> T:
        """Run *work* on the store and close it again."""
        with closing(self.open_store()) as store:
            return store.transact(work)

    def read(self, work: Callable[[SqlRepository], T]) -> T:
        """Run *work*, which only reads, on the store and close it again; the server goes on meanwhile."""
        self.require_database()
        with closing(open_configured_store(self.folder, self.config)) as store:
            return store.read(work)


def verb(function: Callable[..., T]) -> Callable[..., T]:
    """Give a verb ``--data`` and ``--config``, a :class:`Workplace`, and errors without traceback."""

    @click.option(
        "--data",
        type=click.Path(file_okay=False, path_type=Path),
        default="./data",
        show_default=True,
        envvar="SCEPBOX_DATA",
        help="The data folder.",
    )
    @click.option(
        "--config",
        type=click.Path(dir_okay=False, exists=True, path_type=Path),
        help="The settings file (default: DATA/scepbox.toml, if it is there).",
    )
    @functools.wraps(function)
    def run(data: Path, config: Path | None, **options: Any) -> T:
        workplace = Workplace(data, config)
        try:
            return function(workplace, **options)
        except BrokenPipeError:
            raise
        except (ConfigError, CaUnusable, DataFolderError, KeyUnusable) as error:
            raise Refusal(str(error)) from error
        except StoreUnavailable as error:
            raise Refusal(
                f"{workplace.database_name} cannot be used: {error}{_hint(workplace, error)}"
            ) from error
        except OSError as error:
            raise Refusal(in_words(error, "the data folder")) from error

    return run


def _hint(place: Workplace, error: StoreUnavailable) -> str:
    # What is not the driver's word says by itself what to do.
    if error.__cause__ is None or not place.config.database.url.startswith("postgresql"):
        return ""
    return "; see that it runs, and that [database] in the settings is right"


def json_option(function: Callable[P, T]) -> Callable[P, T]:
    """``--json`` for machines."""
    return click.option("--json", "as_json", is_flag=True, help="JSON on stdout.")(function)


def say(text: str) -> None:
    """Words for a person, on stderr; what others wrote in them moves no cursor."""
    click.echo("\n".join(map(printable, text.split("\n"))), err=True)


def print_json(value: object) -> None:
    """Data for a machine, on stdout."""
    click.echo(json.dumps(value, indent=2))


def print_json_list(values: Iterable[object]) -> None:
    """A list for a machine, on stdout, each of it as soon as it is there: as :func:`print_json` writes it."""
    separator = "["
    for value in values:
        text = json.dumps(value, indent=2).replace("\n", "\n  ")
        click.echo(f"{separator}\n  {text}", nl=False)
        separator = ","
    click.echo("[]" if separator == "[" else "\n]")


def print_table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """A table for a person; for a pipe, tab-separated lines."""
    if not sys.stdout.isatty():
        for row in rows:
            # A line for each, whatever somebody wrote into a note.
            click.echo("\t".join(map(printable, row)))
        return
    # A pipe needs none of it.
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text as RichText

    table = Table(*columns, box=None)
    for row in rows:
        # As it is: a device's name in brackets is no markup.
        table.add_row(*(RichText(printable(cell)) for cell in row))
    Console().print(table)


def read_secret(source: str, what: str) -> str:
    """A secret from standard input (``-``) or from the file named; its line end does not count.

    *what* it is, is asked for where a person sits at standard input.

    Raises:
        OSError: The file cannot be read.
        Refusal: It is not UTF-8, with or without the mark that Windows puts in front, or longer than 64 KiB.

    """
    return _read_text(source, what, lines=False).rstrip("\r\n")


def read_secrets(source: str, what: str) -> tuple[str, ...]:
    """Secrets as :func:`read_secret` reads one, each on a line, of 1 MiB in all; empty lines do not count."""
    return tuple(filter(None, _read_text(source, what, lines=True).splitlines()))


def _read_text(source: str, what: str, *, lines: bool) -> str:
    """What is in a file, or on standard input: all of its *lines*, or the first."""
    if source == "-" and sys.stdin.isatty():
        # Typed, and not shown.
        return getpass(f"{what}: ", sys.stderr)
    most = _MOST_OCTETS_OF_MANY if lines else _MOST_OCTETS
    if source == "-":
        stdin = sys.stdin.buffer
        octets = stdin.read(most + 1) if lines else stdin.readline(most + 1)
    else:
        with Path(source).open("rb") as file:
            octets = file.read(most + 1)
    where = "standard input" if source == "-" else source
    if len(octets) > most:
        raise Refusal(f"{where}: longer than {most >> 10} KiB, too long for a {what}")
    try:
        return octets.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise Refusal(f"{where}: the secret is not UTF-8 text") from None
