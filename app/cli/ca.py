"""``ca``: what the CA is, and its certificate for those who must trust it."""

import click

from app.cli.challenge import rfc3339
from app.cli.context import Workplace, json_option, print_json, verb
from app.wiring import load_ca_certificate
from ca.algorithms.keys import key_label
from ca.issuing.root import encode_pem, read_certificates


@click.group()
def ca() -> None:
    """The CA itself."""


@ca.command()
@json_option
@verb
def show(place: Workplace, as_json: bool) -> None:
    """Show the CA's name, dates, key usage and fingerprints."""
    place.require_ca()
    certificate = load_ca_certificate(place.folder)
    facts = {
        "subject": str(certificate.subject),
        "serial": f"{certificate.serial_number:x}",
        "key": key_label(certificate.public_key()),
        "key_usage": sorted(bit.name for bit in certificate.key_usage or ()),
        "not_before": rfc3339(certificate.not_valid_before),
        "not_after": rfc3339(certificate.not_valid_after),
        "sha256": certificate.fingerprint(),
        "sha1": certificate.fingerprint_sha1(),
    }
    if as_json:
        print_json(facts)
        return
    for name, value in facts.items():
        click.echo(f"{name:<11} {', '.join(value) if isinstance(value, list) else value}")


@ca.command()
@click.option("--chain", is_flag=True, help="With the certificates above it.")
@verb
def export(place: Workplace, chain: bool) -> None:
    """Print the CA certificate as PEM."""
    place.require_ca()
    certificates = [load_ca_certificate(place.folder)]
    if chain and place.folder.ca_chain.exists():
        certificates += read_certificates(place.folder.ca_chain)
    # Written anew: what else stands in the files, in whatever encoding, is no concern of a device's.
    for certificate in certificates:
        click.echo(encode_pem(certificate).decode("ascii"), nl=False)
