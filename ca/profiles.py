"""What a profile says, and what a certificate under it will hold. Values only; nothing decides here."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from hashlib import sha256
from ipaddress import IPv4Network, IPv6Network, ip_address
from typing import Protocol

from ca.algorithms.levels import CryptoLevel
from ca.x509 import oids
from ca.x509.extensions import KeyUsageBit
from ca.x509.general_names import GeneralName
from ca.x509.name import Name, fold_case

DEFAULT = "default"
KEY_OCTETS = 16


class Source(StrEnum):
    """Who says what a certificate names."""

    REQUEST = "request"
    CHALLENGE = "challenge"
    VALIDATOR = "validator"


class Others(StrEnum):
    """What becomes of a name that the rules do not allow."""

    REFUSE = "refuse"
    DROP = "drop"


class WhenFull(StrEnum):
    """What becomes of a request whose subject has as many certificates as it may."""

    REFUSE = "refuse"
    REVOKE_OLDEST = "revoke-oldest"
    ALLOW = "allow"


class Lint(StrEnum):
    """What becomes of a certificate that pkilint objects to."""

    OFF = "off"
    WARN = "warn"
    BLOCK = "block"


class NamePattern(Protocol):
    """What a whole name has to fit: a :class:`TextPattern`, or a :class:`NetworkPattern`.

    It is asked about strangers' text while the store is held, and must not take longer than that is long.
    """

    def fullmatch(self, string: str, /) -> object:
        """What is true where *string* fits."""


class TextPattern(NamePattern, Protocol):
    """A regular expression that does not backtrack."""

    @property
    def pattern(self) -> str:
        """The expression as it was written."""


@dataclass(frozen=True, slots=True)
class NetworkPattern:
    """What an IP address fits that lies in *network*."""

    network: IPv4Network | IPv6Network

    def fullmatch(self, string: str, /) -> bool:
        """Whether the address *string* lies in the network."""
        return ip_address(string) in self.network


class SidForm(StrEnum):
    """Where a vouched Windows security identifier goes (KB5014754)."""

    URI = "uri"
    EXTENSION = "extension"


@dataclass(frozen=True, slots=True)
class SubjectRules:
    """What a subject may be.

    *source* says whose it is; *template* is RFC 4514 text in which ``{CN}`` stands for that attribute
    of it, empty for the subject as it is. *allowed* are attribute OIDs, None for any; *others* says
    what becomes of the rest. *required* have to be there. *match* has patterns that whole values have
    to fit, by OID.
    """

    source: Source = Source.REQUEST
    template: str = ""
    allowed: frozenset[str] | None = None
    required: tuple[str, ...] = ()
    others: Others = Others.REFUSE
    match: Mapping[str, TextPattern] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SanRules:
    """Which alternative names may be given.

    *allowed* has the patterns of each kind of :class:`~ca.x509.general_names.GeneralName` that may be
    given, one of which a whole name has to fit; None allows every kind that is written at all.
    """

    source: Source = Source.REQUEST
    allowed: Mapping[str, tuple[NamePattern, ...]] | None = None
    required: tuple[str, ...] = ()
    others: Others = Others.REFUSE
    most: int = 100


@dataclass(frozen=True, slots=True)
class KeyRules:
    """Which keys may be certified.

    *types* are labels such as ``rsa:2048`` (just so), ``rsa:2048+`` (so many bits or more), ``rsa``,
    ``ec:p256``, ``ec`` or ``ed25519``; none is any key that the program accepts at all. *shared* is
    whether a key in use under one subject may be certified under another; *renewed* whether a renewal
    may keep its key.
    """

    types: tuple[str, ...] = ()
    shared: bool = True
    renewed: bool = True


@dataclass(frozen=True, slots=True)
class Profile:
    """The rules of one SCEP address. ``default`` answers wherever no other name is in the path.

    *manual_approval* has a person decide on whatever would be granted; *validator* is who is asked,
    at renewals too with *validate_renewals*; without *challenge_required* these decide alone.
    *renewal_days* is how long before the end a certificate may be renewed, 0 for any time, and
    *renewal_same_names* whether it then keeps subject and alternative names. *valid_until* is when
    every certificate ends at the latest. *key_purposes* are the OIDs of extKeyUsage: all that may be
    given, and what is given to who asks for none of them; *key_usage* is the most that is given of
    keyUsage, None for whatever the key can do. *max_active* is how many certificates a subject may
    have in force, 0 for any number. *sid* says where a Windows security identifier goes that is
    vouched for. *chain_in_reply* puts the chain behind the certificate for Cisco VPN, which Juniper
    forbids. *empty_content* chooses how FAILURE and PENDING say "no envelope". *queries* is whether
    GetCert and GetCRL are answered.
    """

    name: str = DEFAULT
    challenge_required: bool = True
    manual_approval: bool = False
    validator: str = ""
    validate_renewals: bool = False
    validity_days: int = 365
    valid_until: datetime | None = None
    renewal_days: int = 30
    renewal_same_names: bool = True
    subject: SubjectRules = SubjectRules()
    san: SanRules = SanRules()
    keys: KeyRules = KeyRules()
    key_usage: frozenset[KeyUsageBit] | None = None
    key_purposes: tuple[str, ...] = (oids.CLIENT_AUTH,)
    max_active: int = 0
    when_full: WhenFull = WhenFull.REFUSE
    sid: tuple[SidForm, ...] = (SidForm.URI, SidForm.EXTENSION)
    lint: Lint = Lint.OFF
    chain_in_reply: bool = False
    empty_content: bool = True
    queries: bool = True
    crypto: CryptoLevel = CryptoLevel.COMPATIBLE


@dataclass(frozen=True, slots=True)
class Grants:
    """What a challenge password or a validator vouches for, in the place of the request's own wishes.

    *subject* is RFC 4514 text, *subject_alt_names* as ``dns:host``; None says nothing of it. *settled* names
    are those of a certificate that was issued already, to which no template is applied once more. *sid* is
    a Windows security identifier, such as ``S-1-5-21-1-2-3-1104``; empty is none. *sid_as_requested*
    vouches for whichever the request asks for.
    """

    subject: str | None = None
    subject_alt_names: tuple[str, ...] | None = None
    sid: str = ""
    sid_as_requested: bool = False
    settled: bool = False

    def over(self, other: "Grants") -> "Grants":
        """Both together; where both say something, this one counts."""
        names = self.subject_alt_names
        return Grants(
            other.subject if self.subject is None else self.subject,
            other.subject_alt_names if names is None else names,
            self.sid or other.sid,
            self.sid_as_requested or other.sid_as_requested,
            other.settled if self.subject is None else self.settled,
        )

    def to_json(self) -> str:
        """As text to keep; empty where nothing is vouched for."""
        names = self.subject_alt_names
        said = {
            "subject": self.subject,
            "subject_alt_names": None if names is None else list(names),
            "sid": self.sid or None,
            "sid_as_requested": self.sid_as_requested or None,
            "settled": self.settled or None,
        }
        said = {key: value for key, value in said.items() if value is not None}
        return json.dumps(said) if said else ""

    @classmethod
    def from_json(cls, text: str) -> "Grants":
        """From what :meth:`to_json` wrote."""
        said = json.loads(text) if text else {}
        names = said.get("subject_alt_names")
        return cls(
            said.get("subject"),
            None if names is None else tuple(names),
            said.get("sid", ""),
            said.get("sid_as_requested", False),
            said.get("settled", False),
        )


NO_GRANTS = Grants()


@dataclass(frozen=True, slots=True)
class CertificateContent:
    """What a certificate will hold, once every wish was granted, dropped or refused.

    *sid* is the Windows security identifier of its extension, empty for none. *dropped* names the wishes
    that were not granted, for the log.
    """

    subject: Name
    subject_alt_names: tuple[GeneralName, ...]
    key_usage: frozenset[KeyUsageBit]
    key_purposes: tuple[str, ...]
    dropped: tuple[str, ...]
    sid: str = ""


def subject_key(profile: str, subject: Name, names: Iterable[GeneralName]) -> bytes:
    """What stands for a subject in a profile, however it is written (see ``max_active``).

    Where the subject is empty, the alternative *names* are who it is (RFC 5280 4.1.2.6).
    """
    text = subject.folded_text() or "\n".join(sorted({fold_case(str(name)) for name in names}))
    return sha256(f"{profile}\0{text}".encode()).digest()[:KEY_OCTETS]


def search_name(subject: Name, names: Iterable[GeneralName]) -> str:
    """What people look a certificate up by, in lower case as far as it is ASCII: its common name.

    Of a subject without one it is the last attribute, and without a subject the first of the alternative
    *names*.
    """
    attributes = subject.attributes()
    common_names = [one.value for one in attributes if one.oid == oids.COMMON_NAME]
    others = [one.value for one in attributes[-1:]] + [one.value for one in names]
    return fold_case(next(iter(common_names + others), ""))
