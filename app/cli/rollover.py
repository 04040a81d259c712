"""``ca rollover``: making the next CA, making it the CA of today, or giving it up."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import click

from app.ca_folder import CaFolder, CaFolders
from app.cli.context import NotDone, Refusal, Text, Workplace, say, verb
from app.cli.material import DEFAULT_YEARS, Material, bring_along, check_import, import_options, read_subject
from app.clock import utc_now
from app.decisions import decision
from app.rollover import NoNextCa, abort_next, activate_next, put_next
from app.succession import Ca, in_words, load_ca, load_ca_certificate, load_known
from ca.algorithms.keys import key_label
from ca.issuing.key_store import KEY_TYPES, KeyUnusable, generate_key
from ca.issuing.root import CaUnusable, make_ca_certificate, successor_name
from ca.succession import UNDER_WAY
from ca.x509.certificate import Certificate


@click.group()
def rollover() -> None:
    """The change from this CA to the next one."""


@rollover.command()
@click.option("--subject", type=Text(), help="The next CA's name; by default this one's with G2 behind it.")
@click.option("--key-type", type=click.Choice(KEY_TYPES), help="Of its key; by default as this CA's.")
@click.option(
    "--ra/--no-ra",
    default=None,
    help="With or without a registration authority; by default as this CA. EC implies --ra.",
)
@click.option("--years", type=click.IntRange(1, 50), default=DEFAULT_YEARS, show_default=True)
@import_options
@verb
def prepare(
    place: Workplace,
    subject: str | None,
    key_type: str | None,
    ra: bool | None,
    years: int,
    import_cert: Path | None,
    import_key: Path | None,
    import_chain: Path | None,
    import_passphrase: str | None,
) -> None:
    """Make the next CA, or bring it along. Devices can fetch it from now on (GetNextCACert)."""
    check_import(import_cert, import_key)
    place.require_ca()
    _refuse_second(place)
    folders = place.folder.cas
    behind_ra = folders.current.has_ra if ra is None else ra
    if import_cert and import_key:
        material = bring_along(import_cert, import_key, import_chain, import_passphrase, ra=behind_ra)
    else:
        material = _Wanted(subject, key_type, years, behind_ra).make(place)
    if ra is False and material.needs_ra:
        raise Refusal(
            "--no-ra: a CA with an EC key always has a registration authority, for devices encrypt to RSA "
            "keys alone; leave it out, or have an RSA CA (--key-type rsa:3072)"
        )
    if material.certificate.der in {one.der for one in load_known(folders)}:
        raise Refusal("that is a CA of this folder already; the next one has another certificate")
    with _audited(place, "prepare", _named(material.certificate)):
        try:
            put_next(place.folder, material.files())
        except FileExistsError:
            # Somebody else made one meanwhile.
            _refuse_second(place)
            raise
    _tell("next CA", material.certificate)
    say("devices can fetch it (GetNextCACert), and enrol with it; nothing else has changed")
    say(f"next: {place.folder.command('ca rollover activate')}")
    say(f"  or: {place.folder.command('ca rollover abort')}")


@rollover.command()
@verb
def activate(place: Workplace) -> None:
    """Make the next CA the one of today. The former answers on for those who still write to it."""
    place.require_ca()
    folders, now = place.folder.cas, utc_now()
    if not folders.has_next:
        raise _no_next(place)
    former = load_ca_certificate(folders.current)
    coming, warnings = _load_next(place, folders, now)
    with _audited(place, "activate", _named(coming.certificate)):
        try:
            activate_next(place.folder, now)
        except NoNextCa as error:
            raise _no_next(place) from error
    for warning in warnings:
        say(f"warning: {warning}")
    _tell("CA", coming.certificate)
    say(
        f"former CA: {former.subject}; what it issued stands, can be renewed and revoked, and messages to "
        f"it are answered until {former.not_valid_after:%Y-%m-%d}; for {UNDER_WAY.seconds // 60} minutes "
        "it still issues to those who ask it"
    )


@rollover.command()
@verb
def abort(place: Workplace) -> None:
    """Give the next CA up. What it issued meanwhile can still be renewed and revoked."""
    place.require_ca()
    folders = place.folder.cas
    if not folders.has_next:
        raise _no_next(place)
    given_up = _describe(folders.next)
    with _audited(place, "abort", given_up):
        try:
            abort_next(place.folder)
        except NoNextCa as error:
            raise _no_next(place) from error
    say(f"given up: {given_up}")
    say(f"it is kept in {folders.place_of_aborted}, for what it may have issued")


@contextmanager
def _audited(place: Workplace, action: str, which: str) -> Iterator[None]:
    """Write what is done meanwhile into the audit log, once it is; where that cannot be, nothing is done."""
    with closing(place.open_store()) as store:
        yield
        done = decision(f"rollover {action}", which, "done")
        store.transact(lambda repository: repository.add_audit(done))


@dataclass(frozen=True, slots=True)
class _Wanted:
    """What the next CA is to be; None is as the CA of today is."""

    subject: str | None
    key_type: str | None
    years: int
    ra: bool

    def make(self, place: Workplace) -> Material:
        """Make its key and its certificate, which it signs itself.

        Raises:
            Refusal: There is nothing to go by, or the name is none.

        """
        folders = place.folder.cas
        today = load_ca_certificate(folders.current)
        if self.subject is None and not today.is_self_issued:
            raise Refusal(
                "another CA issued this one: have it issue the next, and bring that along with --import-cert "
                "and --import-key; or give --subject for one that stands alone"
            )
        taken = [one.subject for one in load_known(folders)]
        name = successor_name(today.subject, taken) if self.subject is None else read_subject(self.subject)
        key = generate_key(self._key_type(today))
        made = make_ca_certificate(name, key, self.years, utc_now(), behind_ra=self.ra)
        return Material(Certificate.load(made), key, ra=self.ra)

    def _key_type(self, today: Certificate) -> str:
        if self.key_type is not None:
            return self.key_type
        kind = key_label(today.public_key())
        if kind not in KEY_TYPES:
            raise Refusal(f"no key like this CA's ({kind}) can be made here: give --key-type")
        return kind


def _refuse_second(place: Workplace) -> None:
    """Raises: NotDone: There is a next CA already."""
    folders = place.folder.cas
    if folders.has_next:
        raise NotDone(
            f"a next CA is prepared already: {_describe(folders.next)}; "
            f"`{place.folder.command('ca rollover activate')}`, or give it up by "
            f"`{place.folder.command('ca rollover abort')}`"
        )


def _load_next(place: Workplace, folders: CaFolders, now: datetime) -> tuple[Ca, list[str]]:
    """Load the next CA: what a server could not load must not become the CA that it needs.

    Raises:
        Refusal: It cannot be loaded.
        NotDone: There is none any more.

    """
    try:
        return load_ca(folders.next, now)
    except (OSError, KeyUnusable, CaUnusable) as error:
        if not place.folder.cas.has_next:
            raise _no_next(place) from error
        abort_it = place.folder.command("ca rollover abort")
        raise Refusal(f"{in_words(error)}; mend that, or give the next CA up by `{abort_it}`") from error


def _describe(folder: CaFolder) -> str:
    """A CA by its name and fingerprint, as far as it can be read."""
    try:
        certificate = load_ca_certificate(folder)
    except (OSError, CaUnusable) as error:
        return f"one that cannot be read ({in_words(error)})"
    return _named(certificate)


def _named(certificate: Certificate) -> str:
    return f"{certificate.subject}, SHA-256 fingerprint {certificate.fingerprint()}"


def _no_next(place: Workplace) -> NotDone:
    return NotDone(f"no next CA is prepared; make one with: {place.folder.command('ca rollover prepare')}")


def _tell(what: str, certificate: Certificate) -> None:
    say(f"{what}: {certificate.subject}, valid until {certificate.not_valid_after:%Y-%m-%d}")
    say(f"SHA-256 fingerprint: {certificate.fingerprint()}")
