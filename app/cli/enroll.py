"""``enroll``: a real SCEP client on the command line."""

from pathlib import Path

import click
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from app.cli.context import NotDone, Refusal, Workplace, read_secret, say, verb
from app.client import ClientError, Identity, ScepClient, Transport
from app.client.client import sleeping
from app.client.csr import make_csr, make_identity
from app.data_folder import write_private
from ca.algorithms import ciphers, digests
from ca.issuing.key_store import KeyUnusable, encode_private_key, generate_rsa_key, load_private_key
from ca.issuing.root import CaUnusable, encode_pem, load_pem_certificates
from ca.x509.certificate import Certificate
from ca.x509.general_names import GeneralName

_FILE = click.Path(dir_okay=False, exists=True, path_type=Path)
_DIGESTS = ("SHA-1", "SHA-256", "SHA-384", "SHA-512")
_CIPHERS = ("DES-EDE3-CBC", "AES-128-CBC", "AES-192-CBC", "AES-256-CBC", "AES-128-GCM", "AES-256-GCM")


@click.command()
@click.argument("url")
@click.option("--subject", help="As in CN=ipad-17,O=Example; a renewal takes the old one's.")
@click.option("--san", multiple=True, help="dns:NAME, email:ADDRESS, uri:URI, ip:ADDRESS or upn:NAME.")
@click.option("--challenge", metavar="FILE|-", help="The challenge password: a file, or - for stdin.")
@click.option("--key", type=_FILE, help="The RSA key to certify, PEM; else one is made.")
@click.option("--renew", type=_FILE, metavar="CERT", help="Renew this certificate, PEM; --key is its key.")
@click.option("--rekey", is_flag=True, help="With --renew: for a new key.")
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), default=".", show_default=True)
@click.option("--fingerprint", default="", help="Of the CA certificate: SHA-256 (or SHA-1), in hexadecimal.")
@click.option(
    "--digest", type=click.Choice(_DIGESTS), help="Instead of what the server's capabilities suggest."
)
@click.option(
    "--cipher", type=click.Choice(_CIPHERS), help="Instead of what the server's capabilities suggest."
)
@click.option("--get", "by_get", is_flag=True, help="Send by GET.")
@click.option("--strict", is_flag=True, help="Refuse a server that does not promise what RFC 8894 demands.")
@click.option(
    "--interval", type=click.FloatRange(0.1), default=60.0, show_default=True, help="Seconds between polls."
)
@click.option("--max-polls", type=click.IntRange(0), default=10, show_default=True)
@verb
def enroll(
    _: Workplace,
    url: str,
    subject: str | None,
    san: tuple[str, ...],
    challenge: str | None,
    key: Path | None,
    renew: Path | None,
    rekey: bool,
    out: Path,
    fingerprint: str,
    digest: str | None,
    cipher: str | None,
    by_get: bool,
    strict: bool,
    interval: float,
    max_polls: int,
) -> None:
    """Get a certificate from the SCEP server at URL; writes key.pem, cert.pem and ca.pem to --out."""
    client = ScepClient(
        Transport(url),
        fingerprint=fingerprint,
        digest=digests.BY_NAME[digest] if digest else None,
        cipher=ciphers.BY_NAME[cipher] if cipher else None,
        post=False if by_get else None,
        strict=strict,
    )
    try:
        password = read_secret(challenge) if challenge else ""
        old = load_pem_certificates(renew.read_bytes())[0] if renew else None
        given = _load_key(key) if key else None
        if old is not None and given is None:
            raise Refusal("--renew needs --key, the key of the certificate to renew")
        certified = generate_rsa_key(2048) if given is None or (old and rekey) else given
        name = _subject(subject, old)
        names = _names(san) or (old.subject_alt_names if old else ())
        identity = Identity(old, given) if old and given else make_identity(name, certified)
        csr = make_csr(name, names, certified, password)
        out.mkdir(parents=True, exist_ok=True)
        # Written before the request: a certificate whose key is lost would be of no use.
        if certified is not given:
            write_private(out / "key.pem", encode_private_key(certified))
        issued = client.enrol(
            csr, _spki(certified), identity, renewal=bool(old), wait=sleeping(interval, max_polls)
        )
    except ClientError as error:
        raise NotDone(str(error)) from error
    except FileExistsError as error:
        raise Refusal(f"{error.filename} is there already; use --key for it, or another --out") from error
    except (KeyUnusable, CaUnusable, ValueError) as error:
        raise Refusal(str(error)) from error
    except OSError as error:
        raise Refusal(f"{error.filename}: {error.strerror or error}") from error
    _write(out, issued, client)


def _write(out: Path, issued: Certificate, client: ScepClient) -> None:
    (out / "cert.pem").write_bytes(encode_pem(issued))
    (out / "ca.pem").write_bytes(b"".join(map(encode_pem, client.ca_certificates)))
    for deviation in client.deviations:
        say(f"warning: {deviation.place}: {deviation.kind} {deviation.detail} ({deviation.reference})")
    say(f"issued: {issued.subject}, serial {issued.serial_number:x}, until {issued.not_valid_after:%Y-%m-%d}")
    click.echo(str(out / "cert.pem"))


def _load_key(path: Path) -> rsa.RSAPrivateKey:
    key = load_private_key(path.read_bytes())
    if not isinstance(key, rsa.RSAPrivateKey):
        raise KeyUnusable(f"{path} is not an RSA key: SCEP encrypts the reply to it")
    return key


def _subject(text: str | None, old: Certificate | None) -> x509.Name:
    if text is not None:
        try:
            return x509.Name.from_rfc4514_string(text)
        except ValueError as error:
            raise Refusal(f"--subject {text!r} is no name such as CN=ipad-17,O=Example") from error
    if old is None:
        raise Refusal("--subject is missing, such as CN=ipad-17,O=Example")
    return x509.load_der_x509_certificate(old.der).subject


def _names(texts: tuple[str, ...]) -> tuple[GeneralName, ...]:
    return tuple(GeneralName.from_text(text) for text in texts)


def _spki(key: rsa.RSAPrivateKey) -> bytes:
    return key.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
