"""``enroll``: a real SCEP client on the command line."""

from collections.abc import Callable
from contextlib import nullcontext
from functools import partial
from pathlib import Path

import click
from cryptography.hazmat.primitives.asymmetric import rsa

from app.cli.context import NotDone, Refusal, Seconds, Workplace, say, verb
from app.cli.enroll_as import check_fits, enrol_as
from app.cli.enroll_request import Keys, Request, again, prepare
from app.client import ClientError, ScepClient, Transport, Unreachable, Unsettled
from app.client.client import sleeping
from app.client.csr import spki_of
from app.client.files import keeping, replace_file
from app.client.trust import read_fingerprint
from app.personas import PERSONAS, Persona
from ca.algorithms import ciphers, digests
from ca.issuing.key_store import (
    CLIENT_KEY_TYPES,
    KeyUnusable,
    encode_private_key,
)
from ca.issuing.root import CaUnusable, encode_pem
from ca.x509.certificate import Certificate

_FILE = click.Path(dir_okay=False, exists=True, path_type=Path)
_DIGESTS = ("SHA-1", "SHA-256", "SHA-384", "SHA-512")
_CIPHERS = ("DES-EDE3-CBC", "AES-128-CBC", "AES-192-CBC", "AES-256-CBC", "AES-128-GCM", "AES-256-GCM")


def _check_fingerprint(_: click.Context, __: click.Parameter, text: str | None) -> str | None:
    """An empty fingerprint, of an unset variable say, must not pass for none."""
    try:
        return None if text is None else read_fingerprint(text)
    except ValueError as error:
        raise click.BadParameter(f"{error}.") from error


@click.command()
@click.argument("url")
@click.option("--subject", help="As in CN=ipad-17,O=Example; a renewal takes the old one's.")
@click.option("--san", multiple=True, help="dns:NAME, email:ADDRESS, uri:URI, ip:ADDRESS or upn:NAME.")
@click.option("--challenge", metavar="FILE|-", help="The challenge password: a file, or - for stdin.")
@click.option("--key", type=_FILE, help="The key to certify, PEM; else one is made.")
@click.option(
    "--key-type",
    type=click.Choice(CLIENT_KEY_TYPES),
    default="rsa:2048",
    show_default=True,
    help="Of the key that is made; one that is not RSA needs --challenge, in a renewal too.",
)
@click.option("--renew", type=_FILE, metavar="CERT", help="Renew this certificate, PEM; --key is its key.")
@click.option("--rekey", is_flag=True, help="With --renew: for a new key.")
@click.option("--new-key", type=_FILE, help="With --renew: for this key, PEM.")
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), default=".", show_default=True)
@click.option(
    "--fingerprint",
    callback=_check_fingerprint,
    help="Of the CA certificate: SHA-256 (or SHA-1). Without it, whoever answers is believed.",
)
@click.option(
    "--digest", type=click.Choice(_DIGESTS), help="Instead of what the server's capabilities suggest."
)
@click.option(
    "--cipher", type=click.Choice(_CIPHERS), help="Instead of what the server's capabilities suggest."
)
@click.option("--get", "by_get", is_flag=True, help="Send by GET.")
@click.option("--strict", is_flag=True, help="Refuse a server that does not keep to RFC 8894 2.9.")
@click.option(
    "--as", "persona", type=click.Choice(sorted(PERSONAS)), help="Ask and judge as this client does."
)
@click.option("--interval", type=Seconds(), default=60.0, show_default=True, help="Seconds between polls.")
@click.option("--max-polls", type=click.IntRange(0), default=10, show_default=True)
@verb
def enroll(
    _: Workplace,
    url: str,
    subject: str | None,
    san: tuple[str, ...],
    challenge: str | None,
    key: Path | None,
    key_type: str,
    renew: Path | None,
    rekey: bool,
    new_key: Path | None,
    out: Path,
    fingerprint: str | None,
    digest: str | None,
    cipher: str | None,
    by_get: bool,
    strict: bool,
    persona: str | None,
    interval: float,
    max_polls: int,
) -> None:
    """Get a certificate from the SCEP server at URL; writes key.pem, cert.pem and ca.pem to --out.

    A request that is pending, or whose reply was lost, goes on when it is made again with the same
    key: the same command with --key (for a renewal: --new-key) and the key.pem that is there.
    """
    if persona and (digest or cipher or by_get or strict):
        raise Refusal("with --as the client chooses: leave out --digest, --cipher, --get and --strict")
    wait = sleeping(interval, max_polls)
    try:
        transport = Transport(url)
        request = prepare(subject, san, challenge, Keys.load(key, key_type, renew, new_key, rekey=rekey))
        if persona:
            client_key = check_fits(PERSONAS[persona], request.keys.certified, request.keys.renewed)
            ask = partial(_ask_as, PERSONAS[persona], url, request, client_key, fingerprint, wait)
        else:
            client = ScepClient(
                transport,
                fingerprint=fingerprint,
                digest=digests.BY_NAME[digest] if digest else None,
                cipher=ciphers.BY_NAME[cipher] if cipher else None,
                post=False if by_get else None,
                strict=strict,
            )
            client.check_server()
            _tell_unless_checked(client.roles.issuer, fingerprint)
            ask = partial(_ask, client, request, wait)
        out.mkdir(parents=True, exist_ok=True)
        issued = _enrol(request, out, ask)
    except Unreachable as error:
        raise Refusal(str(error)) from error
    except ClientError as error:
        raise NotDone(str(error)) from error
    except FileExistsError as error:
        raise Refusal(f"{error.filename} is there already; use --key for it, or another --out") from error
    except (KeyUnusable, CaUnusable, ValueError) as error:
        raise Refusal(str(error)) from error
    except OSError as error:
        raise Refusal(f"{error.filename}: {error.strerror or error}") from error
    if not issued.subject.matches(request.subject):
        say(f"warning: the certificate is for {issued.subject}, not for {request.subject}")
    say(f"issued: {issued.subject}, serial {issued.serial_number:x}, until {issued.not_valid_after:%Y-%m-%d}")
    click.echo(str(out / "cert.pem"))


# A certificate, and the CA's with the issuing one first.
_Issued = tuple[Certificate, tuple[Certificate, ...]]


def _enrol(request: Request, out: Path, ask: Callable[[], _Issued]) -> Certificate:
    """Ask, and write what came; when no certificate did, say how to go on if that is possible."""
    keys = request.keys
    pem = encode_private_key(keys.certified)
    try:
        with keeping(out / "key.pem", pem) if keys.made else nullcontext():
            issued, authorities = _unless_interrupted(ask)
    except Unsettled as error:
        raise NotDone(f"{error}; to go on, {again(request, out)}") from error
    try:
        replace_file(out / "ca.pem", b"".join(map(encode_pem, authorities)))
        replace_file(out / "cert.pem", encode_pem(issued))
    except OSError as error:
        why = f"the certificate was issued and could not be written: {error.strerror}"
        raise Refusal(f"{why}; to get it again, {again(request, out)}") from error
    return issued


def _unless_interrupted(ask: Callable[[], _Issued]) -> _Issued:
    try:
        return ask()
    except KeyboardInterrupt:
        raise Unsettled("interrupted: the server may still grant the request") from None


def _ask(client: ScepClient, request: Request, wait: Callable[[int], bool]) -> _Issued:
    issued = client.enrol(
        request.csr,
        spki_of(request.keys.certified),
        request.identity,
        renewal=bool(request.keys.renewed),
        challenge_password=request.challenge_password,
        wait=wait,
    )
    for deviation in client.deviations:
        say(f"warning: {deviation.place}: {deviation.kind} {deviation.detail} ({deviation.reference})")
    return issued, client.roles.authorities


def _ask_as(
    persona: Persona,
    url: str,
    request: Request,
    key: rsa.RSAPrivateKey,
    fingerprint: str | None,
    wait: Callable[[int], bool],
) -> _Issued:
    issued, authorities = enrol_as(
        persona,
        url,
        subject=request.subject,
        names=request.names,
        key=key,
        challenge=request.challenge_password,
        renewed=request.keys.renewed,
        fingerprint=fingerprint,
        wait=wait,
    )
    _tell_unless_checked(authorities[0], fingerprint)
    return issued, authorities


def _tell_unless_checked(issuer: Certificate, fingerprint: str | None) -> None:
    if fingerprint is None:
        say(f"CA: {issuer.subject}, SHA-256 fingerprint {issuer.fingerprint()}")
        say("    not checked: compare it with what the CA itself says, or give that as --fingerprint")
