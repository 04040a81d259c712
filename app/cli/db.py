"""``db``: the database brought to the newest schema, and checked from end to end."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import click

from app.backup.archive import open_archive
from app.backup.manifest import BackupDamaged
from app.cli.backup import progress_bar, verify
from app.cli.context import NotDone, Workplace, json_option, print_json, say, verb
from app.clock import utc_now
from app.configured_store import open_configured_store
from app.store.database_check import Fault
from app.store.migrate import HEAD, is_known, of_newer_program
from app.store.trouble import is_damage
from app.succession import load_known, load_succession
from app.words import printable
from ca.errors import StoreUnavailable


@click.group()
def db() -> None:
    """The database: its schema, and whether it is whole."""


@db.command()
@json_option
@verb
def migrate(place: Workplace, as_json: bool) -> None:
    """Bring the database to this program's schema. Every other verb does it as well, when it opens it."""
    place.require_ca()
    with closing(place.open_store()) as store:
        before = store.found_revision
    if as_json:
        print_json({"before": before, "after": HEAD})
    elif before == HEAD:
        say(f"{place.database_name} has schema {HEAD} already")
    else:
        say(f"{place.database_name} had schema {before} and has {HEAD} now")


@db.command()
@click.option(
    "--backup",
    "file",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Check a backup instead: that it is whole, and each row of it can be read.",
)
@json_option
@verb
def check(place: Workplace, file: Path | None, as_json: bool) -> None:
    """Check that the database is whole, and that all in it belongs to the CAs and the secret of the folder.

    It changes nothing, and the server goes on meanwhile.
    """
    faults = list(_check_folder(place) if file is None else _check_backup(file))
    what = place.database_name if file is None else str(file)
    if as_json:
        print_json(
            {
                "whole": not faults,
                "faults": [
                    {"what": one.what, "count": one.count, "examples": list(one.examples)} for one in faults
                ],
            }
        )
    if faults:
        raise NotDone("\n".join([*map(_told, faults), f"{what} is not in order ({len(faults)} found)"]))
    if not as_json:
        say(f"{what} is in order")


def _check_folder(place: Workplace) -> Iterator[Fault]:
    place.require_ca()
    place.folder.load_secret()
    cas, _ = load_succession(place.folder, utc_now())
    yield from map(Fault, cas.complaints)
    known = load_known(place.folder.cas)
    try:
        place.require_database()
        with (
            progress_bar("checking") as progress,
            closing(open_configured_store(place.folder, place.config, as_it_is=True)) as store,
        ):
            yield from store.read(
                lambda repository: repository.check_database(
                    known, progress.begin, lambda: progress.advance(1)
                )
            )
    except StoreUnavailable as error:
        if not is_damage(error):
            raise
        yield Fault(str(error))


def _check_backup(file: Path) -> Iterator[Fault]:
    try:
        with open_archive(file) as archive:
            verify(archive)
            shapes = archive.manifest.tables
            with progress_bar("reading its rows") as progress:
                progress.begin(sum(shape.rows for shape in shapes.values()))
                for name in shapes:
                    for _ in archive.rows(name):
                        progress.advance(1)
            revision = archive.manifest.schema_revision
            if not is_known(revision):
                yield Fault(f"it has {of_newer_program(revision)}")
    except BackupDamaged as error:
        yield Fault(str(error))


def _told(fault: Fault) -> str:
    if not fault.examples:
        return printable(fault.what)
    more = fault.count - len(fault.examples)
    rows = ", ".join(fault.examples) + (f" and {more} more" if more else "")
    return printable(f"{rows}: {fault.what}")
