"""``ca``: what the CA is, and its certificate for those who must trust it."""

import click

from app.cli.challenge import rfc3339
from app.cli.context import Workplace, json_option, print_json, verb
from app.registration import read_registrations
from app.wiring import load_ca_certificate, utc_now
from ca.algorithms.keys import key_label
from ca.issuing.root import encode_pem, read_certificates
from ca.x509.certificate import Certificate


@click.group()
def ca() -> None:
    """The CA itself."""


@ca.command()
@json_option
@verb
def show(place: Workplace, as_json: bool) -> None:
    """Show the CA's name, dates, key usage and fingerprints, those above it, and its RA."""
    place.require_ca()
    certificate = load_ca_certificate(place.folder)
    chain = _chain(place)
    registrations = read_registrations(place.folder, certificate, utc_now())
    if as_json:
        others = {"chain": [_facts(one) for one in chain], "ra": [_facts(one) for one in registrations]}
        print_json({**_facts(certificate), **others})
        return
    _print(certificate)
    for one in chain:
        _print(one, "above the CA:")
    for place_in_line, one in enumerate(registrations):
        _print(one, "a former or coming RA:" if place_in_line else "registration authority (RA):")


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
    }


def _print(certificate: Certificate, heading: str = "") -> None:
    if heading:
        click.echo(f"\n{heading}")
    for name, value in _facts(certificate).items():
        click.echo(f"{name:<11} {', '.join(value) if isinstance(value, list) else value}")


def _chain(place: Workplace) -> tuple[Certificate, ...]:
    path = place.folder.ca_chain
    return read_certificates(path) if path.exists() else ()


@ca.command()
@click.option("--chain", is_flag=True, help="With the certificates above it.")
@verb
def export(place: Workplace, chain: bool) -> None:
    """Print the CA certificate as PEM."""
    place.require_ca()
    certificates = [load_ca_certificate(place.folder), *(_chain(place) if chain else ())]
    # Written anew: what else stands in the files, in whatever encoding, is no concern of a device's.
    for certificate in certificates:
        click.echo(encode_pem(certificate).decode("ascii"), nl=False)
