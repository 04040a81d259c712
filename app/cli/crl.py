"""``crl``: making the list of revoked certificates anew, and showing it."""

from collections.abc import Iterable
from dataclasses import dataclass

import click
from cryptography import x509

from app.cli.challenge import rfc3339
from app.cli.context import NotDone, Workplace, json_option, print_json, print_table, say, verb
from app.clock import utc_now
from app.decisions import decision
from app.succession import load_known
from ca.issuing.addresses import public_name
from ca.issuing.crl import issuer_id, publish_crl
from ca.issuing.reasons import Reason
from ca.ports import Repository, StoredCrl
from ca.x509.certificate import Certificate


@click.group()
def crl() -> None:
    """The list of revoked certificates."""


@crl.command()
@verb
def publish(place: Workplace) -> None:
    """Make a new CRL now. It is made by itself at each revocation, and before it ends."""
    place.require_ca()
    cas = place.load_cas()
    lifetime = place.config.crl_lifetime
    authorities = {one.certificate.der: one.authority for one in cas.all()}
    issuers = _issuers(one.certificate for one in cas.all())

    def publish_all(repository: Repository) -> list[StoredCrl]:
        made = [publish_crl(authorities[one.der], repository, utc_now(), lifetime) for one in issuers]
        for one in made:
            repository.add_audit(decision("publish", f"CRL {one.number}", "published"))
        return made

    today, *others = place.transact(publish_all)
    _require_list(today)
    say(f"CRL {today.number}, good until {today.next_update:%Y-%m-%d %H:%M} UTC, at /crl")
    for one, made in zip(issuers[1:], others, strict=True):
        if made.der:
            say(f"CRL {made.number} of {one.subject}, at /crl/{public_name(one)}.crl")


@crl.command()
@json_option
@verb
def show(place: Workplace, as_json: bool) -> None:
    """Show the newest CRL, of former CAs too: its number, dates and entries."""
    place.require_ca()
    certificate, *others = _issuers(load_known(place.folder.cas))
    found = place.read(
        lambda repository: [repository.find_crl(issuer_id(one)) for one in (certificate, *others)]
    )
    kept = found[0]
    if kept is None:
        raise NotDone(f"there is no CRL yet; make one with: {place.folder.command('crl publish')}")
    _require_list(kept)
    today, more = (
        _Shown(certificate, kept),
        [_Shown(one, crl) for one, crl in zip(others, found[1:], strict=True) if crl and crl.der],
    )
    if as_json:
        print_json({**today.as_json(), "others": [one.as_json() for one in more]})
        return
    today.print()
    for one in more:
        click.echo()
        one.print()


@dataclass(frozen=True, slots=True)
class _Shown:
    """One CRL and whose it is."""

    issuer: Certificate
    crl: StoredCrl

    def as_json(self) -> dict[str, object]:
        return {**self._facts(), "revoked": self._entries()}

    def print(self) -> None:
        for name, value in self._facts().items():
            click.echo(f"{name:<11} {value}")
        print_table(["serial", "revoked at", "reason"], [list(one.values()) for one in self._entries()])

    def _facts(self) -> dict[str, object]:
        return {
            "issuer": str(self.issuer.subject),
            "number": self.crl.number,
            "this_update": rfc3339(self.crl.this_update),
            "next_update": rfc3339(self.crl.next_update),
        }

    def _entries(self) -> list[dict[str, str]]:
        return [_entry(one) for one in x509.load_der_x509_crl(self.crl.der)]


def _issuers(certificates: Iterable[Certificate]) -> list[Certificate]:
    """Those with CRLs of their own: of two for one name and key, who are one issuer, the first stays."""
    found: dict[str, Certificate] = {}
    for one in certificates:
        found.setdefault(issuer_id(one), one)
    return list(found.values())


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
