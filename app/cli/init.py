"""``init``: makes the CA or brings one in."""

import shutil
import socket
from pathlib import Path

import click
from cryptography.hazmat.primitives.asymmetric import rsa

from app.cli.context import Refusal, Workplace, read_secret, say, verb
from app.data_folder import DataFolder, write_private
from app.wiring import load_ca_certificate, open_configured_store, utc_now
from ca.algorithms.keys import PrivateKey
from ca.issuing.key_store import RSA_KEY_TYPES, encode_private_key, generate_rsa_key, load_private_key
from ca.issuing.root import check_ca, encode_pem, load_pem_certificates, make_ca_certificate
from ca.x509.certificate import Certificate
from ca.x509.name import Name

DEFAULT_YEARS = 10
_PEM = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.command()
@click.option("--subject", help="The CA's name, as in CN=Example Device CA,O=Example.")
@click.option("--key-type", type=click.Choice(list(RSA_KEY_TYPES)), default="rsa:2048", show_default=True)
@click.option("--years", type=click.IntRange(1, 50), default=DEFAULT_YEARS, show_default=True)
@click.option("--import-cert", type=_PEM, help="Bring a CA along: its certificate, PEM.")
@click.option("--import-key", type=_PEM, help="Its private key, PEM.")
@click.option("--import-chain", type=_PEM, help="The certificates above it, PEM, the nearest first.")
@click.option(
    "--import-passphrase", metavar="FILE|-", help="The passphrase of the key: a file, or - for stdin."
)
@verb
def init(
    place: Workplace,
    subject: str | None,
    key_type: str,
    years: int,
    import_cert: Path | None,
    import_key: Path | None,
    import_chain: Path | None,
    import_passphrase: str | None,
) -> None:
    """Make the CA, or bring one along. Never overwrites one."""
    if bool(import_cert) != bool(import_key):
        raise Refusal("--import-cert and --import-key belong together")
    place.config  # noqa: B018 - wrong settings are told before anything is made
    refuse_overwrite(place.folder)
    if import_cert and import_key:
        passphrase = read_secret(import_passphrase).encode() if import_passphrase else None
        key = load_private_key(import_key.read_bytes(), passphrase)
        certificates = load_pem_certificates(import_cert.read_bytes())
        chain = load_pem_certificates(import_chain.read_bytes()) if import_chain else certificates[1:]
        for warning in check_ca(certificates[0], key, chain, utc_now()):
            say(f"warning: {warning}")
        write_ca(place.folder, certificates[0], key, chain)
    else:
        make_ca(place.folder, subject, key_type, years)
    open_configured_store(place.folder, place.config).close()
    tell_ca(place.folder)
    say("next: python run.py serve")


def refuse_overwrite(folder: DataFolder) -> None:
    """Raises: Refusal: There is a CA already, or the half of one."""
    if folder.ca_certificate.parent.exists():
        raise Refusal(f"there is a CA in {folder.path} already; choose another folder with --data")


def make_ca(
    folder: DataFolder, subject: str | None = None, key_type: str = "rsa:2048", years: int = DEFAULT_YEARS
) -> None:
    """Make a key and a self-signed CA certificate in *folder*."""
    try:
        name = Name.from_text(f"CN=scepbox CA {_host()}" if subject is None else subject)
    except ValueError as error:
        raise Refusal(f"--subject {subject!r} is no name such as CN=Example CA,O=Example") from error
    if not name:
        raise Refusal("--subject is empty; give a name such as CN=Example CA")
    key = generate_rsa_key(RSA_KEY_TYPES[key_type])
    write_ca(folder, Certificate.load(make_ca_certificate(name, key, years, utc_now())), key, ())


def write_ca(
    folder: DataFolder, certificate: Certificate, key: PrivateKey, chain: tuple[Certificate, ...]
) -> None:
    """Write the CA's files whole or not at all: beside their place first, then moved there."""
    if not isinstance(key, rsa.RSAPrivateKey):
        raise Refusal("the CA key must be RSA: SCEP clients encrypt to it")
    folder.make()
    place = folder.ca_certificate.parent
    beside = place.with_name("ca.new")
    shutil.rmtree(beside, ignore_errors=True)
    beside.mkdir(mode=0o700)
    write_private(beside / folder.ca_key.name, encode_private_key(key))
    (beside / folder.ca_certificate.name).write_bytes(encode_pem(certificate))
    if chain:
        (beside / folder.ca_chain.name).write_bytes(b"".join(map(encode_pem, chain)))
    folder.load_secret()
    beside.rename(place)


def tell_ca(folder: DataFolder) -> None:
    """Say which CA it is, with the fingerprint that people compare."""
    certificate = load_ca_certificate(folder)
    say(f"CA: {certificate.subject}, valid until {certificate.not_valid_after:%Y-%m-%d}")
    say(f"SHA-256 fingerprint: {certificate.fingerprint()}")


def _host() -> str:
    name = socket.gethostname().split(".")[0]
    return name if name.isascii() and name.replace("-", "").isalnum() else "this host"
