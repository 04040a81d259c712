"""Linting before signing: the certificate as it would be, signed with a key that nobody keeps."""

from datetime import datetime
from functools import cache

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from ca.algorithms.keys import PrivateKey
from ca.errors import LintRefused
from ca.issuing.authority import Authority
from ca.ports import Linter
from ca.profiles import CertificateContent, Lint, Profile
from ca.x509.request import CertificationRequest

# What stands against a certificate that is to be looked at, where there is nothing that looks.
NOBODY_LOOKS = "no linter is there"
# Of longer ones some take seconds to make.
_RSA_BITS = 2048


def check_lint(
    linter: Linter | None,
    authority: Authority,
    csr: CertificationRequest,
    content: CertificateContent,
    profile: Profile,
    now: datetime,
) -> tuple[str, ...]:
    """What *linter* objects to in what would be issued under *profile*, which asks for that.

    Raises:
        LintRefused: It breaks a rule, and the profile blocks that.
        OperationNotOffered: Nothing would be issued.

    """
    draft = draft_certificate(authority, csr, content, profile, now)
    objections = tuple(linter.objections(draft)) if linter is not None else (NOBODY_LOOKS,)
    if objections and profile.lint is Lint.BLOCK:
        raise LintRefused(
            "the certificate would break a rule of X.509, and this profile blocks that",
            detail=", ".join(objections),
        )
    return objections


def draft_certificate(
    authority: Authority,
    csr: CertificationRequest,
    content: CertificateContent,
    profile: Profile,
    now: datetime,
) -> bytes:
    """The DER of what *authority* would issue, with a signature that is worth nothing.

    Raises:
        OperationNotOffered: It would issue nothing.

    """
    drafter = authority.with_key(_throwaway(authority.key))
    return drafter.sign_certificate(csr, content, profile, "", now).der


def _throwaway(like: PrivateKey) -> PrivateKey:
    match like:
        case rsa.RSAPrivateKey():
            # Its signature is as good as a longer one: nobody checks it.
            return _rsa_key(min(like.key_size, _RSA_BITS))
        case ec.EllipticCurvePrivateKey():
            return ec.generate_private_key(like.curve)
    return ed25519.Ed25519PrivateKey.generate()


@cache
def _rsa_key(bits: int) -> rsa.RSAPrivateKey:
    """One for all: making it takes longer than all the rest."""
    return rsa.generate_private_key(65537, bits)
