"""Windows security identifiers (KB5014754): where a request asks for one, and where a certificate has it.

A certificate with the identifier of an account is a way into that account, so nobody gets one by asking.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace

from ca.asn1 import Asn1Error, read, tags, writer
from ca.deviations import Deviations
from ca.errors import WishRefused
from ca.profiles import Grants
from ca.x509 import oids
from ca.x509.extensions import Extension
from ca.x509.general_names import SID_URI_HEAD, GeneralName, is_sid_uri

# MS-DTYP 2.4.2: accounts of a domain, and of Entra ID. No certificate stands for a built-in group.
_SID = re.compile(r"S-1-(?:5-21|12-1)((?:-(?:0|[1-9][0-9]{0,9})){4})")
_MOST_BELOW = 2**32 - 1
_OTHER_NAME = 0xA0


def is_account(text: str) -> bool:
    """Whether *text* is the security identifier of an account, the only ones that anybody may vouch for."""
    match = _SID.fullmatch(text)
    return match is not None and all(int(one) <= _MOST_BELOW for one in match[1].split("-")[1:])


def check_sid(text: str) -> str:
    """Return *text* as it is.

    Raises:
        ValueError: It is no security identifier of an account.

    """
    if not is_account(text):
        raise ValueError(f"{text!r} is no account's security identifier, such as S-1-5-21-11-22-33-1104")
    return text


def sid_extension(sid: str) -> Extension:
    """The extension that says *sid*: a GeneralNames of one otherName ([MS-WCCE] 2.2.2.7.7.4)."""
    value = writer.explicit(0, writer.octet_string(sid.encode("ascii")))
    other = writer.encode(_OTHER_NAME, writer.oid(oids.MICROSOFT_SID_VALUE) + value)
    return Extension(oids.MICROSOFT_SID, False, writer.sequence(other))


def find_sids(extensions: Mapping[str, Extension], names: Iterable[GeneralName]) -> frozenset[str]:
    """Every identifier in a request or a certificate.

    Raises:
        Asn1Error: The extension is not of its form.

    """
    found = {name.value[len(SID_URI_HEAD) :] for name in names if is_sid_uri(name)}
    if oids.MICROSOFT_SID in extensions:
        found.add(_read_sid_extension(extensions[oids.MICROSOFT_SID].value))
    return frozenset(found)


def with_one_sid(grants: Grants) -> Grants:
    """*grants* with the identifier that is vouched for, in whichever form that is said.

    Raises:
        WishRefused: Two are, that contradict each other.

    """
    granted = map(GeneralName.from_text, grants.subject_alt_names or ())
    said = find_sids({}, granted) | ({grants.sid} if grants.sid else frozenset())
    if not said:
        return grants
    if len(said) > 1:
        raise WishRefused("the Windows security identifiers that are vouched for contradict each other")
    if not all(map(is_account, said)):
        raise WishRefused("the Windows security identifier that is vouched for is no account's")
    return replace(grants, sid=next(iter(said)))


def decide_sid(requested: frozenset[str], grants: Grants) -> str:
    """The identifier that is given; empty for none.

    Raises:
        WishRefused: One is asked for that nobody vouches for.

    """
    if not requested:
        return grants.sid
    if grants.sid:
        if requested != {grants.sid}:
            raise WishRefused("the CSR asks for another Windows security identifier than it may have")
        return grants.sid
    if not grants.sid_as_requested:
        raise WishRefused("the CSR asks for a Windows security identifier")
    if len(requested) > 1:
        raise WishRefused("the CSR asks for Windows security identifiers that contradict each other")
    if not all(map(is_account, requested)):
        raise WishRefused("the CSR asks for a Windows security identifier that is no account's")
    return next(iter(requested))


def _read_sid_extension(value: bytes) -> str:
    other = read(value, "security identifier", Deviations()).sequence(1, 1)[0].expect(_OTHER_NAME)
    kind, inner = other.parts(2, 2)
    if kind.oid() != oids.MICROSOFT_SID_VALUE:
        raise Asn1Error("the extension of the security identifier holds something else")
    try:
        return inner.expect(tags.CONTEXT_0_CONSTRUCTED).only_child().octets().decode("ascii")
    except UnicodeDecodeError as error:
        raise Asn1Error("a security identifier outside of ASCII") from error
