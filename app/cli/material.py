"""What a CA is made of, for the verbs that make one or bring one along: certificate, key, chain, RA."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import click
from click.core import ParameterSource
from cryptography.hazmat.primitives.asymmetric import rsa

from app.ca_folder import CaFolder
from app.cli.context import Refusal, read_secret, say
from app.clock import utc_now
from app.registration import make_registration
from ca.algorithms.keys import PrivateKey
from ca.issuing.authority import Authority
from ca.issuing.key_store import encode_private_key, read_private_key
from ca.issuing.root import arrange_chain, check_ca, encode_pem, read_certificates
from ca.x509.certificate import Certificate
from ca.x509.name import Name

DEFAULT_YEARS = 10
F = TypeVar("F", bound=Callable[..., None])
_PEM = click.Path(exists=True, dir_okay=False, path_type=Path)


@dataclass(frozen=True, slots=True)
class Material:
    """A CA as it is to be written; with *ra*, and always where its key is not RSA, an RA stands before it."""

    certificate: Certificate
    key: PrivateKey
    chain: tuple[Certificate, ...] = ()
    ra: bool = False

    @property
    def needs_ra(self) -> bool:
        """Whether its key can open no messages."""
        return not isinstance(self.key, rsa.RSAPrivateKey)

    def files(self) -> dict[str, bytes]:
        """The files of its folder, by name."""
        folder = CaFolder(Path())
        files = {
            folder.key.name: encode_private_key(self.key),
            folder.certificate.name: encode_pem(self.certificate),
        }
        if self.chain:
            files[folder.chain.name] = b"".join(map(encode_pem, self.chain))
        if self.ra or self.needs_ra:
            made = make_registration(Authority(self.certificate, self.key), utc_now())
            files[folder.ra_key(1).name], files[folder.ra_certificate(1).name] = made
        return files


def import_options(function: F) -> F:
    """``--import-cert`` and what belongs to it."""
    for option in (
        click.option(
            "--import-passphrase", metavar="FILE|-", help="The passphrase of the key: a file, or - for stdin."
        ),
        click.option("--import-chain", type=_PEM, help="The certificates above it, PEM, the nearest first."),
        click.option("--import-key", type=_PEM, help="Its private key, PEM."),
        click.option("--import-cert", type=_PEM, help="Bring a CA along: its certificate, PEM."),
    ):
        function = option(function)
    return function


def check_import(certificate: Path | None, key: Path | None) -> None:
    """Check that the options of this call fit together; none is ignored in silence.

    Raises:
        Refusal: One of the two is given without the other, or one that means nothing beside the others.

    """
    if bool(certificate) != bool(key):
        raise Refusal("--import-cert and --import-key belong together")
    if certificate:
        refuse_given("a CA that is brought along has its own: leave out", "subject", "key_type", "years")
    else:
        refuse_given("without --import-cert and --import-key leave out", "import_chain", "import_passphrase")


def refuse_given(why: str, *names: str) -> None:
    """Raises: Refusal: One of those options was given."""
    context = click.get_current_context()
    given = [name for name in names if context.get_parameter_source(name) is ParameterSource.COMMANDLINE]
    if given:
        raise Refusal(f"{why} {' and '.join('--' + name.replace('_', '-') for name in given)}")


def bring_along(
    certificate: Path, key: Path, chain: Path | None, passphrase: str | None, *, ra: bool
) -> Material:
    """Read and check a CA that was made elsewhere, and say what clients may mind in it.

    Raises:
        OSError, CaUnusable, KeyUnusable: A file cannot be read, or the CA cannot be used.

    """
    secret = read_secret(passphrase, "passphrase of the key").encode() if passphrase else None
    private_key = read_private_key(key, secret)
    first, *rest = read_certificates(certificate)
    above = arrange_chain(first, (*rest, *(read_certificates(chain) if chain else ())))
    for warning in check_ca(first, private_key, above, utc_now(), behind_ra=ra):
        say(f"warning: {warning}")
    return Material(first, private_key, above, ra)


def read_subject(text: str) -> Name:
    """The name that was given to ``--subject``.

    Raises:
        Refusal: It is none.

    """
    try:
        name = Name.from_text(text)
    except ValueError as error:
        raise Refusal(f"--subject {text!r} is no name such as CN=Example CA,O=Example") from error
    if not name:
        raise Refusal("--subject is empty; give a name such as CN=Example CA")
    return name
