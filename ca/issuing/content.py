"""From a CSR's wishes to the content of a certificate: granted, dropped or refused, one by one.

Extensions in a CSR are wishes. What would make a certificate more than a client's is refused
outright; what is merely not given is dropped and named, so that the log can say so.
"""

from collections.abc import Mapping

from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from ca.algorithms.keys import PublicKey
from ca.asn1 import Asn1Error
from ca.errors import BadCsr, KeyRefused, SubjectRefused, WishRefused
from ca.issuing.alternative_names import decide_alternative_names
from ca.issuing.sid import decide_sid, find_sids, with_one_sid
from ca.issuing.subject import decide_subject
from ca.profiles import NO_GRANTS, CertificateContent, Grants, Profile, SidForm
from ca.x509 import oids
from ca.x509.extensions import (
    Extension,
    KeyUsageBit,
    read_ca_flag,
    read_key_purposes,
    read_key_usage,
)
from ca.x509.general_names import GeneralName, is_sid_uri, read_general_names, sid_uri
from ca.x509.request import CertificationRequest

_CA_BITS = frozenset({KeyUsageBit.keyCertSign, KeyUsageBit.cRLSign})
_NEVER_ON_REQUEST = frozenset({oids.OCSP_SIGNING, oids.ANY_EXTENDED_KEY_USAGE})


def certificate_content(
    csr: CertificationRequest, profile: Profile, grants: Grants = NO_GRANTS
) -> CertificateContent:
    """Weigh every wish of *csr*; *grants* are what others vouch for in its place.

    Raises:
        BadCsr: An extension cannot be read.
        WishRefused: It asks for what no client gets, or for what nobody vouches for.
        SubjectRefused: Its names cannot be certified.
        KeyRefused: Its key can do nothing that the profile allows.

    """
    wishes = check_wishes(csr)
    try:
        asked = _requested_names(wishes)
        sid = decide_sid(find_sids(wishes, asked), with_one_sid(grants))
        subject, foreign = decide_subject(csr.subject, profile.subject, grants)
        others = [name for name in asked if not is_sid_uri(name)]
        names, more_foreign = decide_alternative_names(others, profile.san, grants)
        if not subject and not names:
            raise SubjectRefused("the CSR names nobody: subject and subjectAltName are empty")
        usage, dropped_usage = _key_usage(wishes, csr.public_key, profile)
        purposes, dropped_purposes = _key_purposes(wishes, profile)
    except Asn1Error as error:
        raise BadCsr(f"a requested extension cannot be read: {error}") from error
    dropped = (*foreign, *more_foreign, *dropped_usage, *dropped_purposes, *_dropped(wishes))
    if sid and SidForm.URI in profile.sid:
        names = (*names, sid_uri(sid))
    return CertificateContent(
        subject, names, usage, purposes, dropped, sid if SidForm.EXTENSION in profile.sid else ""
    )


def check_wishes(csr: CertificationRequest) -> Mapping[str, Extension]:
    """The extensions that *csr* asks for, once it is clear that no client's are beyond any profile.

    Raises:
        BadCsr: One cannot be read.
        WishRefused: It asks for what no client gets.

    """
    wishes = {extension.oid: extension for extension in csr.extensions}
    try:
        _refuse_authority(wishes)
    except Asn1Error as error:
        raise BadCsr(f"a requested extension cannot be read: {error}") from error
    return wishes


def requested_names(csr: CertificationRequest) -> tuple[GeneralName, ...]:
    """The alternative names that *csr* asks for.

    Raises:
        BadCsr: They cannot be read.

    """
    try:
        return _requested_names({extension.oid: extension for extension in csr.extensions})
    except Asn1Error as error:
        raise BadCsr(f"a requested extension cannot be read: {error}") from error


# The extensions that are read here. All others are dropped, or refused where they are critical.
_WEIGHED = frozenset(
    {
        oids.BASIC_CONSTRAINTS,
        oids.KEY_USAGE,
        oids.EXTENDED_KEY_USAGE,
        oids.SUBJECT_ALT_NAME,
        oids.MICROSOFT_SID,
    }
)
# Written anew for every certificate, whatever the CSR says, so dropping them is no news.
_OURS = frozenset({oids.SUBJECT_KEY_IDENTIFIER, oids.AUTHORITY_KEY_IDENTIFIER})


def _refuse_authority(wishes: Mapping[str, Extension]) -> None:
    """RFC 5280 4.2: nobody becomes a CA or a responder by asking."""
    if oids.BASIC_CONSTRAINTS in wishes and read_ca_flag(wishes[oids.BASIC_CONSTRAINTS].value):
        raise WishRefused("the CSR asks for a CA certificate")
    if oids.KEY_USAGE in wishes and read_key_usage(wishes[oids.KEY_USAGE].value) & _CA_BITS:
        raise WishRefused("the CSR asks for the keyUsage of a CA")
    if oids.EXTENDED_KEY_USAGE in wishes:
        purposes = read_key_purposes(wishes[oids.EXTENDED_KEY_USAGE].value)
        if _NEVER_ON_REQUEST & set(purposes):
            raise WishRefused("the CSR asks for an extendedKeyUsage that is never given on request")
    for wish in wishes.values():
        # RFC 5280 4.2: who does not know a critical extension must not act on it.
        if wish.critical and wish.oid not in _WEIGHED | _OURS:
            raise WishRefused(f"the CSR asks for an unknown critical extension, {wish.oid}")


def _requested_names(wishes: Mapping[str, Extension]) -> tuple[GeneralName, ...]:
    if oids.SUBJECT_ALT_NAME not in wishes:
        return ()
    return read_general_names(wishes[oids.SUBJECT_ALT_NAME].value)


def _key_usage(
    wishes: Mapping[str, Extension], key: PublicKey, profile: Profile
) -> tuple[frozenset[KeyUsageBit], tuple[str, ...]]:
    """What was asked for, as far as the key's type allows it (RFC 4055 1.2, RFC 8813 3, RFC 8410 5)."""
    bit = KeyUsageBit
    signing = {bit.digitalSignature, bit.nonRepudiation}
    match key:
        case ec.EllipticCurvePublicKey():
            able, default = signing | {bit.keyAgreement}, {bit.digitalSignature}
        case ed25519.Ed25519PublicKey():
            able, default = signing, {bit.digitalSignature}
        case _:
            able = signing | {bit.keyEncipherment, bit.dataEncipherment}
            default = {bit.digitalSignature, bit.keyEncipherment}
    allowed = frozenset(able if profile.key_usage is None else able & profile.key_usage)
    if not allowed:
        raise KeyRefused("a key of this type can do nothing that this profile certifies")
    # Where the ceiling leaves nothing of the default, all that it leaves is what people want.
    usual = allowed & default or allowed
    if oids.KEY_USAGE not in wishes:
        return usual, ()
    wanted = read_key_usage(wishes[oids.KEY_USAGE].value)
    beyond = sorted(wanted - allowed) if profile.key_usage is not None else []
    return wanted & allowed or usual, tuple(f"keyUsage:{one.name}" for one in beyond)


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
