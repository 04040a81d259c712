"""``backup`` and ``restore``: the CA in one file, and back again."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click
from rich.console import Console
from rich.progress import Progress as Bar
from rich.progress import TimeRemainingColumn

from app.backup.archive import Archive, open_archive
from app.backup.making import BackupMaker, Made, Progress
from app.backup.manifest import BackupDamaged, CannotRestore, Manifest
from app.backup.restoring import Restorer
from app.cli.challenge import rfc3339
from app.cli.context import Refusal, Workplace, json_option, print_json, say, verb
from app.config import parse_config, read_settings
from app.configured_store import database_url
from app.decisions import decision
from app.store import DatabaseUrl, database_name
from app.store.engine import is_postgresql
from app.store.presence import Presence, find_database_file, look_at_database
from ca.errors import StoreUnavailable
from ca.journal import log_line
from ca.ports import AuditEntry


@click.command()
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE")
@click.option("--force", is_flag=True, help="Replace FILE if it is there.")
@json_option
@verb
def backup(place: Workplace, file: Path, force: bool, as_json: bool) -> None:
    """Write the whole CA, its keys and its database, to one file; the server goes on meanwhile.

    Whoever has the file has the CA: keep it as you keep the CA's key.
    """
    place.require_ca()
    if file.exists() and not force:
        raise Refusal(f"{file} is there already; choose another name, or replace it with --force")
    if not file.absolute().parent.is_dir():
        raise Refusal(f"{file.parent} is no folder; make it first")
    there = place.find_settings()
    maker = BackupMaker(
        place.folder,
        "sqlite" if place.database_file else "postgresql",
        place.settings_text if there else None,
        _database_files(place.database_file),
    )
    with progress_bar("backing up") as progress:
        made = place.read(lambda repository: maker.make(repository, file, progress, replace=force))
    try:
        place.transact(lambda repository: repository.add_audit(_entry("backup", file, "made", made.manifest)))
    except StoreUnavailable as error:
        # From a disk that is full or read-only a backup is worth most.
        say(f"warning: the audit log has no word of this backup: {error}")
    for path in made.left_out:
        say(f"warning: {path} is left out: it is too large for a file of the CA's, or is no file")
    _tell(file, made, as_json=as_json)


@click.command()
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE")
@json_option
@verb
def restore(place: Workplace, file: Path, as_json: bool) -> None:
    """Bring a backup back, into an empty data folder and an empty database of either kind.

    Which database that is, the settings say: those of --config, of a scepbox.toml that is alone in the
    folder, or else those in the backup; and the environment before all of them.
    """
    require_empty(place)
    try:
        with open_archive(file) as archive:
            verify(archive)
            _restore(place, archive)
            manifest = archive.manifest
    except (BackupDamaged, CannotRestore) as error:
        raise Refusal(f"{error}; nothing was restored") from error
    place.transact(lambda repository: repository.add_audit(_entry("restore", file, "done", manifest)))
    _tell_database(place)
    _tell_restored(place, file, manifest, as_json=as_json)


def _restore(place: Workplace, archive: Archive) -> None:
    """Restore a backup that was verified, where the settings that count then say."""
    own = place.find_settings()
    text = place.settings_text if own else _settings_in(archive)
    url = database_url(place.folder, parse_config(text, own or place.folder.settings))
    if look_at_database(url) is not Presence.ABSENT or _is_there(url):
        raise Refusal(
            f"{database_name(url)} is there already, and nothing is overwritten: "
            f"{_other_database(place, url, by_backup=own is None)}, or move that one away"
        )
    keeps_settings = place.folder.settings.exists()
    with progress_bar("restoring") as progress:
        try:
            Restorer(archive, place.folder, url, keeps_settings).restore(progress)
        except StoreUnavailable as error:
            raise Refusal(f"{database_name(url)} cannot be filled: {error}") from error


@contextmanager
def progress_bar(what: str) -> Iterator[Progress]:
    """A bar on standard error, where a person sits there."""
    columns = (*Bar.get_default_columns()[:-1], TimeRemainingColumn())
    hidden = not sys.stderr.isatty()
    with Bar(*columns, console=Console(stderr=True), transient=True, disable=hidden) as bar:
        task = bar.add_task(what, total=None)
        yield Progress(lambda total: bar.update(task, total=total), lambda more: bar.advance(task, more))


def verify(archive: Archive) -> None:
    """Compare all of a backup with its manifest, with a bar."""
    with progress_bar("checking the backup") as progress:
        progress.begin(archive.octets)
        archive.verify(progress.advance)


def require_empty(place: Workplace) -> None:
    """Raises: Refusal: There is more in the folder than a settings file."""
    folder = place.folder
    unfinished = folder.unfinished_restore
    if unfinished:
        raise Refusal(
            f"{folder.path} has what an earlier restore left unfinished: remove {unfinished}, and whatever "
            "else is in the folder but your settings, and restore again"
        )
    if folder.path.exists() and {one.name for one in folder.path.iterdir()} - {folder.settings.name}:
        raise Refusal(
            f"{folder.path} is not empty, and nothing is overwritten: name an empty folder with --data, or "
            "move this one away"
        )


def _other_database(place: Workplace, url: DatabaseUrl, *, by_backup: bool) -> str:
    """What to do for a backup to be restored into another database than the one at *url*."""
    if not by_backup or not is_postgresql(url):
        return "name an empty one in [database] of the settings"
    return (
        f"the settings in the backup name it; put your own into {place.folder.settings} first, with an empty "
        "one in [database], or restore into SQLite with SCEPBOX_DATABASE__URL set to nothing"
    )


def _database_files(path: Path | None) -> frozenset[Path]:
    if path is None:
        return frozenset()
    return frozenset(path.with_name(path.name + end) for end in ("", "-wal", "-shm", "-journal"))


def _is_there(url: DatabaseUrl) -> bool:
    """Whether there is an SQLite file, even if it is none of ours or has no table."""
    path = find_database_file(url)
    return path is not None and path.exists()


def _settings_in(archive: Archive) -> str:
    name = "scepbox.toml"
    try:
        return archive.read_file(name).decode("utf-8-sig") if name in archive.files else ""
    except UnicodeDecodeError:
        raise BackupDamaged(f"{name} in it is not UTF-8 text") from None


def _entry(action: str, file: Path, outcome: str, manifest: Manifest) -> AuditEntry:
    return decision(
        action, file.name, outcome, log_line(head=_head(manifest), made=rfc3339(manifest.created_at))
    )


def _head(manifest: Manifest) -> str:
    """Where the audit log ended, as ``log verify --head`` takes it."""
    return f"{manifest.audit_head.number}:{manifest.audit_head.chain}"


def _as_json(file: Path, manifest: Manifest) -> dict[str, object]:
    return {
        "file": str(file),
        "created_at": rfc3339(manifest.created_at),
        "schema": manifest.schema_revision,
        "database": manifest.database,
        "rows": {name: shape.rows for name, shape in manifest.tables.items()},
        "audit_head": _head(manifest),
    }


def _tell(file: Path, made: Made, *, as_json: bool) -> None:
    if as_json:
        print_json({**_as_json(file, made.manifest), "octets": made.octets})
        return
    rows = made.manifest.tables["certificate"].rows
    say(f"{file}: {rows} certificates, and all else of {made.manifest.database}; {made.octets} octets")
    say(f"the audit log ends with {_head(made.manifest)}; keep that elsewhere, for log verify --head")
    say("the CA's key is in it: keep it as secret as that")


def _tell_restored(place: Workplace, file: Path, manifest: Manifest, *, as_json: bool) -> None:
    folder = place.folder
    if as_json:
        print_json({**_as_json(file, manifest), "data": str(folder.path)})
        return
    say(f"restored {folder.path} and {place.database_name} as they were at {rfc3339(manifest.created_at)}")
    say("what was issued, revoked or used up since then is not known here: revoke again what has to be")
    say(f"next: {folder.command('db check')}, then {folder.command('serve')}")


def _tell_database(place: Workplace) -> None:
    """Say so where the settings in the folder alone would have the server use another database."""
    settings = place.folder.settings
    text = read_settings(settings if settings.exists() else None)
    if parse_config(text, settings, {}).database.url != place.config.database.url:
        say(
            f"note: {settings} alone names another database than {place.database_name}: mend [database] "
            "in it, or go on with the same --config or environment as now"
        )
