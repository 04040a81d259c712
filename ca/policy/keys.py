"""Which keys a profile certifies: of which type and size, and whether they may be in use elsewhere."""

import re
from datetime import datetime

from ca.algorithms.keys import MAX_RSA_BITS, MIN_RSA_BITS, key_label
from ca.errors import KeyRefused
from ca.ports import Repository, StoredCertificate
from ca.profiles import CertificateContent, KeyRules, Profile, subject_key
from ca.x509.certificate import key_id
from ca.x509.request import CertificationRequest

_KEY_TYPE = re.compile(r"rsa(:(?P<bits>[0-9]{4,5})\+?)?|ec(:p(256|384|521))?|ed25519")


def check_key_type(text: str) -> str:
    """Return the label of a key type as it is.

    Raises:
        ValueError: It is none.

    """
    match = _KEY_TYPE.fullmatch(text)
    if match is None:
        raise ValueError(
            f"{text!r} is no key type; those are rsa, rsa:2048 (just so), rsa:2048+ (or more), "
            "ec, ec:p256, ec:p384, ec:p521 and ed25519"
        )
    bits = match["bits"]
    if bits and not MIN_RSA_BITS <= int(bits) <= MAX_RSA_BITS:
        raise ValueError(f"{text!r}: RSA keys have {MIN_RSA_BITS} to {MAX_RSA_BITS} bits here")
    return text


def check_key(csr: CertificationRequest, rules: KeyRules) -> None:
    """Check the type and the size of the key of *csr*.

    Raises:
        KeyRefused: It is none of those that may be certified.

    """
    label = key_label(csr.public_key)
    if rules.types and not any(_is_of(label, allowed) for allowed in rules.types):
        raise KeyRefused(f"a key of type {label} is not certified here; use {' or '.join(rules.types)}")


def check_key_use(
    csr: CertificationRequest,
    content: CertificateContent,
    profile: Profile,
    renewed: StoredCertificate | None,
    repository: Repository,
    now: datetime,
) -> None:
    """Check that the key of *csr* is nobody else's, and not in use where it may not be.

    Raises:
        KeyRefused: A certificate for it was revoked for keyCompromise; or it is that of the certificate that
            is *renewed*, or of another subject's in force.

    """
    rules, key = profile.keys, key_id(csr.spki)
    if repository.is_compromised(key):
        raise KeyRefused("this key was compromised; make a new one")
    if renewed is not None and not rules.renewed and renewed.key_id == key:
        raise KeyRefused("a renewal needs a new key here")
    if rules.shared:
        return
    for one in repository.find_by_key(key, now):
        if one.subject_key != subject_key(one.profile, content.subject, content.subject_alt_names):
            raise KeyRefused("this key is certified under another subject already", detail=one.serial)


def _is_of(label: str, allowed: str) -> bool:
    """Whether a key of that *label*, such as ``rsa:3072``, is of the type *allowed*."""
    if allowed.endswith("+"):
        kind, _, least = allowed[:-1].partition(":")
        return label.startswith(f"{kind}:") and int(label.partition(":")[2]) >= int(least)
    return label == allowed or label.startswith(f"{allowed}:")
