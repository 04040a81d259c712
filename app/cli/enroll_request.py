"""What ``enroll`` asks for: the key, the names and the CSR, out of its options and files."""

from dataclasses import dataclass, field
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa

from app.cli.context import Refusal, read_secret
from app.client import Identity
from app.client.csr import make_csr, make_identity
from ca.algorithms.keys import PrivateKey
from ca.issuing.key_store import generate_key, read_private_key
from ca.issuing.root import read_certificates
from ca.x509.certificate import Certificate
from ca.x509.general_names import GeneralName
from ca.x509.name import Name


@dataclass(frozen=True, slots=True)
class Keys:
    """The key to certify, and whether this run made it; what is to be renewed, if anything."""

    certified: PrivateKey
    made: bool
    renewed: Identity | None

    @classmethod
    def load(
        cls, key: Path | None, key_type: str, renew: Path | None, new_key: Path | None, *, rekey: bool
    ) -> "Keys":
        """Read and make the keys that the options of ``enroll`` speak of.

        Raises:
            Refusal: The options do not go together.
            KeyUnusable, CaUnusable: A file holds no key, or no certificate.

        """
        old = read_certificates(renew)[0] if renew else None
        given = read_private_key(key) if key else None
        if old is None:
            if rekey or new_key:
                raise Refusal("--rekey and --new-key go with --renew")
            return cls(given or generate_key(key_type), given is None, None)
        if given is None:
            raise Refusal("--renew needs --key, the key of the certificate to renew")
        if rekey and new_key:
            raise Refusal("--rekey makes a key and --new-key brings one: one of them")
        renewed = Identity(old, given)
        if rekey:
            return cls(generate_key(key_type), True, renewed)
        return cls(read_private_key(new_key) if new_key else given, False, renewed)


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked for, and who signs that."""

    keys: Keys
    subject: Name
    names: tuple[GeneralName, ...]
    csr: bytes = field(repr=False)
    identity: Identity
    challenge_password: str = field(repr=False)


def prepare(subject: str | None, san: tuple[str, ...], challenge: str | None, keys: Keys) -> Request:
    """Put together what is asked for. *challenge* is a file, or ``-`` for standard input.

    Raises:
        Refusal: Something is missing, or is no name.
        ValueError: A *san* is none.

    """
    password = read_secret(challenge, "challenge password") if challenge else ""
    old = keys.renewed.certificate if keys.renewed else None
    name = _subject(subject, old)
    names = _names(san) or (old.subject_alt_names if old else ())
    identity = keys.renewed or make_identity(name, keys.certified)
    if not password and not isinstance(identity.key, rsa.RSAPrivateKey):
        raise Refusal("a key that is not RSA needs --challenge: the reply is encrypted under that password")
    csr = make_csr(name, names, keys.certified, password)
    return Request(keys, Name.load(name.public_bytes()), names, csr, identity, password)


def again(request: Request, out: Path) -> str:
    """How to make the same request once more: with the same key, and so the same transactionID."""
    if not request.keys.made:
        return "give the same command again"
    if request.keys.renewed:
        return f"give the same command with --new-key {out / 'key.pem'} in place of --rekey"
    return f"give the same command with --key {out / 'key.pem'}"


def _subject(text: str | None, old: Certificate | None) -> x509.Name:
    if text is not None:
        try:
            return Name.from_text(text).for_builder()
        except ValueError as error:
            raise Refusal(f"--subject {text!r} is no name such as CN=ipad-17,O=Example: {error}") from error
    if old is None:
        raise Refusal("--subject is missing, such as CN=ipad-17,O=Example")
    return x509.load_der_x509_certificate(old.der).subject


def _names(texts: tuple[str, ...]) -> tuple[GeneralName, ...]:
    return tuple(GeneralName.from_text(text) for text in texts)
