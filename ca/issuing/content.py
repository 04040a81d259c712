"""From a CSR's wishes to the content of a certificate: granted, dropped or refused, one by one.

Extensions in a CSR are wishes. What would make a certificate more than a client's is refused
outright; what is merely not given is dropped and named, so that the log can say so.
"""

import unicodedata
from collections.abc import Mapping

from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from ca.algorithms.keys import PublicKey
from ca.asn1 import Asn1Error
from ca.errors import BadCsr, SubjectRefused, WishRefused
from ca.profiles import CertificateContent, Profile
from ca.x509 import oids
from ca.x509.extensions import (
    Extension,
    KeyUsageBit,
    read_ca_flag,
    read_key_purposes,
    read_key_usage,
)
from ca.x509.general_names import GeneralName, read_general_names
from ca.x509.name import Name
from ca.x509.request import CertificationRequest

MAX_SUBJECT_ALT_NAMES = 100
MAX_NAME_CHARACTERS = 255
# Control and format characters, halves of characters, and what ends a line or paragraph.
_NEVER_IN_NAMES = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
_SID_TAG = "tag:microsoft.com,2022-09-14:sid:"
_GRANTABLE_KINDS = ("dns", "email", "uri", "ip", "upn")
_CA_BITS = frozenset({KeyUsageBit.keyCertSign, KeyUsageBit.cRLSign})
_NEVER_ON_REQUEST = frozenset({oids.OCSP_SIGNING, oids.ANY_EXTENDED_KEY_USAGE})


def certificate_content(csr: CertificationRequest, profile: Profile) -> CertificateContent:
    """Weigh every wish of *csr*.

    Raises:
        BadCsr: An extension cannot be read.
        WishRefused: It asks for what no client gets.
        SubjectRefused: Its names cannot be certified.

    """
    wishes = {extension.oid: extension for extension in csr.extensions}
    try:
        _refuse_authority(wishes)
        names = _subject_alt_names(wishes)
        _check_names(csr.subject, names)
        purposes, dropped_purposes = _key_purposes(wishes, profile)
        return CertificateContent(
            subject=csr.subject,
            subject_alt_names=names,
            key_usage=_key_usage(wishes, csr.public_key),
            key_purposes=purposes,
            dropped=(*dropped_purposes, *_dropped(wishes)),
        )
    except Asn1Error as error:
        raise BadCsr(f"a requested extension cannot be read: {error}") from error


# The extensions that are read here. All others are dropped, or refused where they are critical.
_WEIGHED = frozenset({oids.BASIC_CONSTRAINTS, oids.KEY_USAGE, oids.EXTENDED_KEY_USAGE, oids.SUBJECT_ALT_NAME})
# Written anew for every certificate, whatever the CSR says, so dropping them is no news.
_OURS = frozenset({oids.SUBJECT_KEY_IDENTIFIER, oids.AUTHORITY_KEY_IDENTIFIER})


def _refuse_authority(wishes: Mapping[str, Extension]) -> None:
    """RFC 5280 4.2: nobody becomes a CA, a responder or another Windows account by asking."""
    if oids.BASIC_CONSTRAINTS in wishes and read_ca_flag(wishes[oids.BASIC_CONSTRAINTS].value):
        raise WishRefused("the CSR asks for a CA certificate")
    if oids.KEY_USAGE in wishes and read_key_usage(wishes[oids.KEY_USAGE].value) & _CA_BITS:
        raise WishRefused("the CSR asks for the keyUsage of a CA")
    if oids.EXTENDED_KEY_USAGE in wishes:
        purposes = read_key_purposes(wishes[oids.EXTENDED_KEY_USAGE].value)
        if _NEVER_ON_REQUEST & set(purposes):
            raise WishRefused("the CSR asks for an extendedKeyUsage that is never given on request")
    if oids.MICROSOFT_SID in wishes:
        raise WishRefused("the CSR asks for a Windows security identifier")
    for wish in wishes.values():
        # RFC 5280 4.2: who does not know a critical extension must not act on it.
        if wish.critical and wish.oid not in _WEIGHED | _OURS:
            raise WishRefused(f"the CSR asks for an unknown critical extension, {wish.oid}")


def _subject_alt_names(wishes: Mapping[str, Extension]) -> tuple[GeneralName, ...]:
    if oids.SUBJECT_ALT_NAME not in wishes:
        return ()
    names = read_general_names(wishes[oids.SUBJECT_ALT_NAME].value)
    if len(names) > MAX_SUBJECT_ALT_NAMES:
        raise SubjectRefused(f"more than {MAX_SUBJECT_ALT_NAMES} subjectAltNames")
    for name in names:
        if name.kind not in _GRANTABLE_KINDS:
            raise SubjectRefused(f"a subjectAltName of kind {name.kind} is not certified here")
        if name.value.lower().startswith(_SID_TAG):
            raise WishRefused("the CSR asks for a Windows security identifier")
    return tuple(dict.fromkeys(names))


def _check_names(subject: Name, names: tuple[GeneralName, ...]) -> None:
    if not subject and not names:
        raise SubjectRefused("the CSR names nobody: subject and subjectAltName are empty")
    values = [attribute.value for attribute in subject.attributes()] + [name.value for name in names]
    for value in values:
        if not value.strip() or len(value) > MAX_NAME_CHARACTERS:
            raise SubjectRefused(f"a name is empty or longer than {MAX_NAME_CHARACTERS} characters")
        if any(unicodedata.category(character) in _NEVER_IN_NAMES for character in value):
            raise SubjectRefused("a name holds control characters")


def _key_usage(wishes: Mapping[str, Extension], key: PublicKey) -> frozenset[KeyUsageBit]:
    """What was asked for, as far as the key's type allows it (RFC 4055 1.2, RFC 8813 3, RFC 8410 5)."""
    bit = KeyUsageBit
    signing = {bit.digitalSignature, bit.nonRepudiation}
    match key:
        case ec.EllipticCurvePublicKey():
            allowed, default = signing | {bit.keyAgreement}, {bit.digitalSignature}
        case ed25519.Ed25519PublicKey():
            allowed, default = signing, {bit.digitalSignature}
        case _:
            allowed = signing | {bit.keyEncipherment, bit.dataEncipherment}
            default = {bit.digitalSignature, bit.keyEncipherment}
    if oids.KEY_USAGE not in wishes:
        return frozenset(default)
    return frozenset(read_key_usage(wishes[oids.KEY_USAGE].value) & allowed or default)


def _key_purposes(
    wishes: Mapping[str, Extension], profile: Profile
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    if oids.EXTENDED_KEY_USAGE not in wishes:
        return profile.key_purposes, ()
    wanted = read_key_purposes(wishes[oids.EXTENDED_KEY_USAGE].value)
    granted = tuple(oid for oid in profile.key_purposes if oid in wanted)
    dropped = tuple(f"extendedKeyUsage:{oid}" for oid in wanted if oid not in profile.key_purposes)
    return granted or profile.key_purposes, dropped


def _dropped(wishes: Mapping[str, Extension]) -> tuple[str, ...]:
    return tuple(oid for oid in wishes if oid not in _WEIGHED | _OURS)
