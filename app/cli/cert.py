"""``cert``: listing, showing, exporting and revoking what was issued."""

import sys
from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import islice

import click
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from app.cli.challenge import Duration, end_of, rfc3339
from app.cli.context import (
    NotDone,
    Text,
    Workplace,
    json_option,
    print_json,
    print_json_list,
    print_table,
    say,
    verb,
)
from app.clock import utc_now
from app.decisions import decision
from app.store import SqlRepository, Wanted
from ca.issuing.reasons import Reason
from ca.issuing.revocation import RevocationRefused
from ca.issuing.revocation import revoke as revoke_certificate
from ca.ports import StoredCertificate
from ca.x509.certificate import Certificate
from ca.x509.name import Name

# As many as a person looks through.
SHOWN = 100
# Of the certificates that a revocation leaves good.
_MOST_NOTES = 5
_COLUMNS = ("serial", "subject", "status", "ends", "profile", "issuer")


@click.group()
def cert() -> None:
    """The certificates that were issued."""


@cert.command("list")
@click.option(
    "--expiring", type=Duration(), metavar="DURATION", help="Only those that end within, as in 30d."
)
@click.option(
    "--status",
    type=click.Choice(["valid", "revoked", "expired", "all"]),
    default="all",
    show_default=True,
)
@click.option(
    "--name", type=Text(), default="", metavar="TEXT", help="Only those whose common name begins so."
)
@click.option(
    "--subject",
    type=Text(),
    default="",
    metavar="TEXT",
    help="Only those whose names hold this text.",
)
@click.option("--profile", type=Text(), default="", metavar="NAME", help="Only those of a profile.")
@click.option("--limit", type=click.IntRange(1), help=f"So many at most.  [default: {SHOWN} on a terminal]")
@click.option("--after", type=Text(), default="", metavar="SERIAL", help="Go on after that certificate.")
@json_option
@verb
def list_(
    place: Workplace,
    expiring: timedelta | None,
    status: str,
    name: str,
    subject: str,
    profile: str,
    limit: int | None,
    after: str,
    as_json: bool,
) -> None:
    """List certificates, the one that ends first in front; with --name in the order of the names."""
    now = utc_now()
    ends_before = end_of(now, expiring, "--expiring") if expiring else None
    # Also says that there is no CA, or no such certificate.
    behind = _find(place, after).serial if after else ""
    place.require_ca()
    most = limit or (SHOWN if sys.stdout.isatty() and not as_json else 0)
    # One more tells whether there are more.
    wanted = Wanted(status, name, subject, profile, ends_before, behind, most + 1 if most else 0)

    def print_them(repository: SqlRepository) -> str:
        """Print them while they are read, and return the last one's serial number where there are more."""
        found = repository.list_certificates(now, wanted)
        shown = list(islice(found, most)) if most else found
        if as_json:
            print_json_list(_as_json(one, now) for one in shown)
        else:
            print_table(_COLUMNS, (_row(one, now) for one in shown))
        return shown[-1].serial if isinstance(shown, list) and next(found, None) else ""

    last = place.read(print_them)
    if last:
        say(f"there are more: go on with --after {last}, or have --limit or --json list them")
    # One that is gone may have certificates all the same.
    if profile and profile not in (names := place.config.build_profiles()):
        say(f"note: there is no profile {profile!r} in the settings; there are: {', '.join(names)}")


@cert.command()
@click.argument("serial", type=Text())
@json_option
@verb
def show(place: Workplace, serial: str, as_json: bool) -> None:
    """Show one certificate."""
    stored, now = _find(place, serial), utc_now()
    certificate = Certificate.load(stored.der)
    facts = {**_as_json(stored, now), "sha256": certificate.fingerprint()}
    if as_json:
        print_json(facts)
        return
    for name, value in facts.items():
        if value not in (None, []):
            text = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
            click.echo(f"{name:<17} {text}")


@cert.command()
@click.argument("serial", type=Text())
@verb
def export(place: Workplace, serial: str) -> None:
    """Print one certificate as PEM."""
    certificate = x509.load_der_x509_certificate(_find(place, serial).der)
    click.echo(certificate.public_bytes(serialization.Encoding.PEM).decode(), nl=False)


@cert.command()
@click.argument("serial", type=Text())
@click.option(
    "--reason",
    type=click.Choice([one.name for one in Reason], case_sensitive=False),
    default=Reason.unspecified.name,
    show_default=True,
    help="Why (RFC 5280 5.3.1). certificateHold can be taken back, by removeFromCRL.",
)
@verb
def revoke(place: Workplace, serial: str, reason: str) -> None:
    """Revoke a certificate: from now on it renews nothing, and CRL and OCSP say so."""
    stored, why = _find(place, serial), Reason[reason]
    cas = place.load_cas()
    authorities, lifetime = [one.authority for one in cas.all()], place.config.crl_lifetime

    def work(repository: SqlRepository) -> list[StoredCertificate]:
        # Looked up again: what was found may have been revoked in the meantime.
        found, now = repository.find_certificate(stored.serial) or stored, utc_now()
        revoke_certificate(found, why, authorities, repository, now, lifetime)
        action = "release" if why is Reason.removeFromCRL else "revoke"
        repository.add_audit(decision(action, f"certificate {found.serial}", why.name, found.subject))
        return repository.find_renewals(stored.serial, now)

    try:
        renewals = place.transact(work)
    except RevocationRefused as error:
        raise NotDone(f"{stored.serial} ({stored.subject}): {error}") from error
    did = "released from hold" if why is Reason.removeFromCRL else f"revoked ({why.name})"
    say(f"{did}: {stored.subject}, serial {stored.serial}")
    if why is Reason.removeFromCRL:
        return
    others = [("it was renewed, and the new one", one) for one in renewals]
    # After the write: without an index all certificates are looked through.
    known = {one.serial for one in renewals}
    for one in place.read(lambda repository: repository.find_by_key(stored.key_id, utc_now())):
        if one.serial not in known:
            others.append((f"another one for the same key, by {_issuer(one)},", one))
    _tell_others(place, others, why)


def _tell_others(place: Workplace, others: Sequence[tuple[str, StoredCertificate]], why: Reason) -> None:
    """Name certificates that a revocation does not stop, each with what it is to the one revoked."""
    for which, one in others[:_MOST_NOTES]:
        again = place.folder.command(f"cert revoke {one.serial} --reason {why.name}")
        say(f"note: {which} is good until {one.not_after:%Y-%m-%d}: {again}")
    if (more := len(others) - _MOST_NOTES) > 0:
        say(f"note: {more} more are as good; each of these that is revoked names the next")


def plain_serial(text: str) -> str:
    """A serial number as it is kept, however other tools print it: with colons, zeros, 0x, in upper case."""
    return text.lower().removeprefix("0x").replace(":", "").lstrip("0") or "0"


def _find(place: Workplace, serial: str) -> StoredCertificate:
    """By hexadecimal serial number, with colons and upper case as other tools print it."""
    place.require_ca()
    plain = plain_serial(serial)
    stored = place.read(lambda repository: repository.find_certificate(plain))
    if stored is None:
        raise NotDone(f"there is no certificate {serial}; see: {place.folder.command('cert list')}")
    return stored


def _row(one: StoredCertificate, now: datetime) -> list[str]:
    ends = f"{one.not_after:%Y-%m-%d}"
    return [one.serial, one.subject, _status(one, now), ends, one.profile, _issuer(one)]


def _status(one: StoredCertificate, now: datetime) -> str:
    if one.revoked_at is not None:
        return "revoked"
    return "valid" if now <= one.not_after else "expired"


def _issuer(one: StoredCertificate) -> str:
    """The name of the CA that issued it."""
    return str(Name.load(Certificate.load(one.der).issuer_der))


def _authority_key_id(one: StoredCertificate) -> str | None:
    """What tells two CAs of one name apart: ``ca show`` has it as the CA's subject key identifier."""
    extensions = x509.load_der_x509_certificate(one.der).extensions
    found = extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value.key_identifier
    return found.hex() if found else None


def _as_json(one: StoredCertificate, now: datetime) -> dict[str, object]:
    return {
        "serial": one.serial,
        "subject": one.subject,
        "sans": list(one.subject_alt_names),
        "profile": one.profile,
        "status": _status(one, now),
        "not_before": rfc3339(one.not_before),
        "not_after": rfc3339(one.not_after),
        "transaction_id": one.transaction_id,
        "renewed_from": one.renewed_from,
        "revoked_at": rfc3339(one.revoked_at) if one.revoked_at else None,
        "reason": one.reason,
        "issuer": _issuer(one),
        "authority_key_id": _authority_key_id(one),
    }
