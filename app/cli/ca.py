"""``ca``: what the CA is, and its certificate for those who must trust it."""

from collections.abc import Mapping
from dataclasses import dataclass

import click

from app.ca_folder import CaFolder
from app.cli.challenge import rfc3339
from app.cli.context import Workplace, json_option, print_json, verb
from app.cli.rollover import rollover
from app.clock import utc_now
from app.registration import read_registrations
from app.succession import in_words, load_ca_certificate, load_chain
from ca.algorithms.keys import key_label
from ca.issuing.root import CaUnusable, encode_pem
from ca.x509.certificate import Certificate


@click.group()
def ca() -> None:
    """The CA itself."""


ca.add_command(rollover)


@ca.command()
@json_option
@verb
def show(place: Workplace, as_json: bool) -> None:
    """Show the CA's name, dates, key usage and fingerprints, those above it, its RA; next and former CAs."""
    place.require_ca()
    folders = place.folder.cas
    current = _Shown.read(folders.current)
    following = _read(folders.next) if folders.has_next else None
    former = [_read(one) for one in folders.former]
    aborted = [_read(one) for one in folders.aborted]
    if as_json:
        told = [(one, False) for one in former] + [(one, True) for one in aborted]
        others = [{**one.as_json(), "aborted": is_aborted} for one, is_aborted in told]
        coming = following.as_json() if following else None
        print_json({**current.as_json(), "next": coming, "former": others})
        return
    current.print()
    if following:
        following.print("the next CA:")
    for one in former:
        one.print("a former CA:")
    for one in aborted:
        one.print("a CA that was prepared and given up:")


@dataclass(frozen=True, slots=True)
class _Shown:
    """One CA with what is above it and its registration authority."""

    certificate: Certificate
    chain: tuple[Certificate, ...]
    registrations: tuple[Certificate, ...]

    @classmethod
    def read(cls, folder: CaFolder) -> "_Shown":
        certificate = load_ca_certificate(folder)
        registrations = read_registrations(folder, certificate, utc_now())
        return cls(certificate, load_chain(folder), tuple(registrations))

    def as_json(self) -> Mapping[str, object]:
        chain, registrations = map(_facts, self.chain), map(_facts, self.registrations)
        return {**_facts(self.certificate), "chain": list(chain), "ra": list(registrations)}

    def print(self, heading: str = "") -> None:
        _print(self.certificate, heading)
        for one in self.chain:
            _print(one, "above the CA:")
        for place_in_line, one in enumerate(self.registrations):
            _print(one, "a former or coming RA:" if place_in_line else "registration authority (RA):")


@dataclass(frozen=True, slots=True)
class _Unreadable:
    """One beside the CA of today that cannot be read, and why."""

    error: str

    def as_json(self) -> Mapping[str, object]:
        return {"error": self.error}

    def print(self, heading: str) -> None:
        click.echo(f"\n{heading}\n{'error':<11} {self.error}")


def _read(folder: CaFolder) -> _Shown | _Unreadable:
    try:
        return _Shown.read(folder)
    except (OSError, CaUnusable) as error:
        return _Unreadable(in_words(error))


def _facts(certificate: Certificate) -> dict[str, str | list[str]]:
    return {
        "subject": str(certificate.subject),
        "serial": f"{certificate.serial_number:x}",
        "key": key_label(certificate.public_key()),
        "key_usage": sorted(bit.name for bit in certificate.key_usage or ()),
        "not_before": rfc3339(certificate.not_valid_before),
        "not_after": rfc3339(certificate.not_valid_after),
        "sha256": certificate.fingerprint(),
        "sha1": certificate.fingerprint_sha1(),
        "key_id": certificate.subject_key_identifier.hex(),
    }


def _print(certificate: Certificate, heading: str = "") -> None:
    if heading:
        click.echo(f"\n{heading}")
    for name, value in _facts(certificate).items():
        click.echo(f"{name:<11} {', '.join(value) if isinstance(value, list) else value}")


@ca.command()
@click.option("--chain", is_flag=True, help="With the certificates above it.")
@verb
def export(place: Workplace, chain: bool) -> None:
    """Print the CA certificate as PEM."""
    place.require_ca()
    folder = place.folder.current_ca
    certificates = [load_ca_certificate(folder), *(load_chain(folder) if chain else ())]
    # Written anew: what else stands in the files, in whatever encoding, is no concern of a device's.
    for certificate in certificates:
        click.echo(encode_pem(certificate).decode("ascii"), nl=False)
