"""``crl``: making the list of revoked certificates anew, and showing it."""

import click
from cryptography import x509

from app.cli.challenge import rfc3339
from app.cli.context import NotDone, Workplace, json_option, print_json, print_table, say, verb
from app.wiring import build_authority, crl_lifetime, load_ca, load_ca_certificate, utc_now
from ca.issuing.crl import issuer_id, publish_crl
from ca.issuing.reasons import Reason
from ca.ports import StoredCrl


@click.group()
def crl() -> None:
    """The list of revoked certificates."""


@crl.command()
@verb
def publish(place: Workplace) -> None:
    """Make a new CRL now. It is made by itself at each revocation, and before it ends."""
    place.require_ca()
    ca, _ = load_ca(place.folder)
    authority = build_authority(ca)
    lifetime = crl_lifetime(place.config)
    made = place.transact(lambda repository: publish_crl(authority, repository, utc_now(), lifetime))
    _require_list(made)
    say(f"CRL {made.number}, good until {made.next_update:%Y-%m-%d %H:%M} UTC, at /crl")


@crl.command()
@json_option
@verb
def show(place: Workplace, as_json: bool) -> None:
    """Show the newest CRL: its number, dates and entries."""
    place.require_ca()
    certificate = load_ca_certificate(place.folder)
    kept = place.read(lambda repository: repository.find_crl(issuer_id(certificate)))
    if kept is None:
        raise NotDone(f"there is no CRL yet; make one with: {place.folder.command('crl publish')}")
    _require_list(kept)
    entries = [_entry(one) for one in x509.load_der_x509_crl(kept.der)]
    facts = {
        "issuer": str(certificate.subject),
        "number": kept.number,
        "this_update": rfc3339(kept.this_update),
        "next_update": rfc3339(kept.next_update),
    }
    if as_json:
        print_json({**facts, "revoked": entries})
        return
    for name, value in facts.items():
        click.echo(f"{name:<11} {value}")
    print_table(["serial", "revoked at", "reason"], [list(one.values()) for one in entries])


def _require_list(crl: StoredCrl) -> None:
    if not crl.der:
        raise NotDone("this CA may not sign CRLs: its certificate lacks cRLSign; OCSP tells what is revoked")


def _entry(one: x509.RevokedCertificate) -> dict[str, str]:
    reason = Reason.unspecified.name
    for extension in one.extensions:
        if isinstance(extension.value, x509.CRLReason):
            reason = extension.value.reason.value
    return {
        "serial": f"{one.serial_number:x}",
        "revoked_at": rfc3339(one.revocation_date_utc),
        "reason": reason,
    }
