"""``init``: makes the CA or brings one in, with the secret and the database that belong to it."""

import socket
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

import click

from app.cli.context import Refusal, Text, Workplace, say, verb
from app.cli.material import (
    DEFAULT_YEARS,
    Material,
    bring_along,
    check_import,
    import_options,
    read_subject,
    refuse_given,
)
from app.clock import utc_now
from app.configured_store import open_configured_store
from app.data_folder import DataFolder, readable_by_others, touch_private
from app.decisions import decision
from app.registration import RegistrationAuthority, read_registrations
from app.store.audit_check import KEY_MADE_ANEW
from app.store.presence import Presence
from app.succession import load_ca_certificate
from ca.errors import StoreUnavailable
from ca.issuing.authority import Authority
from ca.issuing.key_store import KEY_TYPES, generate_key, read_private_key
from ca.issuing.root import make_ca_certificate
from ca.x509.certificate import Certificate
from ca.x509.name import Name

T = TypeVar("T")
# For so long two first starts may get in each other's way while the database is made.
LOCKED_SECONDS = 10


@click.command()
@click.option("--subject", type=Text(), help="The CA's name, as in CN=Example Device CA,O=Example.")
@click.option(
    "--key-type",
    type=click.Choice(KEY_TYPES),
    default="rsa:2048",
    show_default=True,
    help="Of the CA's key; EC implies --ra.",
)
@click.option(
    "--ra",
    is_flag=True,
    help="A registration authority: a separate RSA key opens and signs messages, the CA's only issues.",
)
@click.option("--years", type=click.IntRange(1, 50), default=DEFAULT_YEARS, show_default=True)
@import_options
@click.option(
    "--make-missing",
    is_flag=True,
    help="Go on with a folder of which a part is lost: make the secret, the database or the CA anew; "
    "with --ra also the RA, where all of its files were taken away.",
)
@verb
def init(
    place: Workplace,
    subject: str | None,
    key_type: str,
    ra: bool,
    years: int,
    import_cert: Path | None,
    import_key: Path | None,
    import_chain: Path | None,
    import_passphrase: str | None,
    make_missing: bool,
) -> None:
    """Make the CA, or bring one along. Never overwrites one."""
    check_import(import_cert, import_key)
    place.config  # noqa: B018 - wrong settings are told before anything is made
    if make_missing and place.folder.has_ca and not (subject or import_cert):
        refuse_given("there is a CA, and no other is made: leave out", "key_type", "years")
        _make_missing(place, ra=ra)
        return
    refuse_overwrite(place.folder)
    try:
        if import_cert and import_key:
            material = bring_along(import_cert, import_key, import_chain, import_passphrase, ra=ra)
            lost_secret = make_surroundings(place, anew=make_missing)
            write_ca(place.folder, material)
        else:
            name = _name(subject)
            lost_secret = make_surroundings(place, anew=make_missing)
            make_ca(place.folder, name, key_type, years, ra=ra)
    except FileExistsError:
        # Somebody else made one meanwhile.
        refuse_overwrite(place.folder)
        raise
    if make_missing:
        open_configured_store(place.folder, place.config, anew=True).close()
    if lost_secret:
        _audit(place, *KEY_MADE_ANEW)
    _audit_ca(place, "imported" if import_cert else "made")
    _warn_of_readable(place)
    tell_ca(place.folder)
    say(f"next: {place.folder.command('serve')}")


def prepare(place: Workplace) -> None:
    """Make what is missing at a first start; later, see to it that nothing is, and say what is open.

    Raises:
        Refusal, DataFolderError: A part of a folder in use is missing: making it anew would hide that.

    """
    folder = place.folder
    if not folder.has_ca:
        make_surroundings(place)
        say(f"first start: making a CA in {folder.path}")
        # Of two first starts at once one is the faster, and its CA is the other's too.
        with suppress(FileExistsError):
            make_ca(folder)
            _audit_ca(place, "made")
    place.require_ca()
    folder.remove_leftovers()
    folder.load_secret()
    place.require_database()
    _warn_of_readable(place)


def _warn_of_readable(place: Workplace) -> None:
    """Name what should be the owner's alone, and others can read."""
    folder, password = place.folder, place.config.database.password_file
    keys = [key for one in folder.cas.all() for key in one.private_keys()]
    for path in (*keys, folder.secret, place.database_file, Path(password) if password else None):
        if path and readable_by_others(path):
            say(f"warning: {path} can be read by others: chmod 600 {path}")


def make_surroundings(place: Workplace, *, anew: bool = False) -> bool:
    """Make the secret and the database, which have to be there before the CA is.

    What an interrupted start left is made use of. *anew* is for who knows that the CA is lost. Returns
    whether the secret was made for a database that was used under another.

    Raises:
        Refusal: The database is in use and its CA is gone, or a restore was not finished.

    """
    folder = place.folder
    if folder.unfinished_restore and not folder.has_ca:
        raise Refusal(
            f"a restore into {folder.path} was not finished, or is going on: if it is not, remove what is in "
            "the folder but your settings, and restore again"
        )
    folder.make()
    # Looked at before the CA: another start puts its CA in place before anything uses its database.
    used = _wait(place.look_at_database) is Presence.USED
    if used and not folder.has_ca and not anew:
        raise Refusal(
            f"there is no CA in {folder.path}, though {place.database_name} holds what one issued: copy ca/ "
            "and secrets.key from the server that uses it, or bring them back from a backup; where they are "
            f"lost, `{folder.command('init --make-missing')}` makes another, which no device trusts yet "
            "(with --import-cert and --import-key: the same one)"
        )
    lost_secret = used and not folder.secret.exists()
    if used:
        folder.make_secret()
    else:
        folder.remake_damaged_secret()
    _make_database(place)
    return lost_secret


def refuse_overwrite(folder: DataFolder) -> None:
    """Raises: Refusal: There is a CA already, or the half of one."""
    if folder.has_ca:
        raise Refusal(f"there is a CA in {folder.path} already; choose another folder with --data")


def _audit_ca(place: Workplace, how: str) -> None:
    """Write into the audit log which CA there is now."""
    made = load_ca_certificate(place.folder.current_ca)
    _audit(place, str(made.subject), how, f"sha256={made.fingerprint()}")


def _audit(place: Workplace, what: str, how: str, detail: str = "") -> None:
    entry = decision("init", what, how, detail)
    place.transact(lambda repository: repository.add_audit(entry))


def _make_missing(place: Workplace, *, ra: bool) -> None:
    """Make the secret and the database of a CA that is there, and with *ra* its registration authority."""
    ca, secret = place.folder.current_ca, place.folder.secret
    made = []
    if ra and not ca.has_ra:
        RegistrationAuthority(ca, Authority(load_ca_certificate(ca), read_private_key(ca.key)), utc_now())
        made.append(("registration authority", "made anew"))
        say(f"made {ca.ra_certificate(1)}: devices that were told of another RA have to be told of it")
    if not secret.exists():
        place.folder.make_secret()
        made.append(KEY_MADE_ANEW)
        say(
            f"made {secret}: no challenge password made before is known any more, and what the audit log "
            "says until now can no longer be checked; other servers on this database need it, and a restart"
        )
    place.folder.load_secret()
    if place.look_at_database() is Presence.ABSENT:
        _make_database(place)
        made.append(("database", "made anew"))
        say(
            f"made {place.database_name}: what was issued before can neither be listed, renewed nor revoked, "
            "and what was revoked is on no CRL any more"
        )
    if KEY_MADE_ANEW in made:
        open_configured_store(place.folder, place.config, anew=True).close()
    for what, how in made:
        _audit(place, what, how)
    tell_ca(place.folder)
    say(f"next: {place.folder.command('serve')}")


def _make_database(place: Workplace) -> None:
    """Make the database or bring it to the newest schema."""
    if place.database_file:
        # SQLite gives its other files the rights of this one.
        touch_private(place.database_file)
    _wait(lambda: open_configured_store(place.folder, place.config).close())


def _wait(work: Callable[[], T]) -> T:
    """Do *work* on a database that another first start may be making: SQLite waits at most doors only."""
    end = time.monotonic() + LOCKED_SECONDS
    while True:
        try:
            return work()
        except StoreUnavailable as error:
            if "locked" not in str(error) or time.monotonic() > end:
                raise
        time.sleep(0.1)


def make_ca(
    folder: DataFolder,
    name: Name | None = None,
    key_type: str = "rsa:2048",
    years: int = DEFAULT_YEARS,
    *,
    ra: bool = False,
) -> None:
    """Make a key and a self-signed CA certificate in *folder*, with an RA where wanted or needed.

    Raises:
        FileExistsError: There is a CA already.

    """
    key = generate_key(key_type)
    made = make_ca_certificate(name or _name(None), key, years, utc_now(), behind_ra=ra)
    write_ca(folder, Material(Certificate.load(made), key, ra=ra))


def write_ca(folder: DataFolder, material: Material) -> None:
    """Write the CA's files whole or not at all, after the secret that belongs to them.

    Raises:
        FileExistsError: There is a CA already.

    """
    files = material.files()
    folder.make()
    folder.make_secret()
    folder.put_ca(files)


def _name(subject: str | None) -> Name:
    """The CA's name as it was given, or one after this host."""
    return read_subject(f"CN=scepbox CA {_host()}" if subject is None else subject)


def tell_ca(folder: DataFolder) -> None:
    """Say which CA it is, with the fingerprint that people compare."""
    certificate = load_ca_certificate(folder.current_ca)
    say(f"CA: {certificate.subject}, valid until {certificate.not_valid_after:%Y-%m-%d}")
    say(f"SHA-256 fingerprint: {certificate.fingerprint()}")
    for one in read_registrations(folder.current_ca, certificate, utc_now())[:1]:
        say(f"RA: {one.subject}, valid until {one.not_valid_after:%Y-%m-%d}, and renewed in time")


def _host() -> str:
    name = socket.gethostname().split(".")[0]
    return name if name.isascii() and name.replace("-", "").isalnum() else "this host"
