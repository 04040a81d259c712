"""What a profile says, and what a certificate under it will hold. Values only; nothing decides here."""

from dataclasses import dataclass

from ca.algorithms.levels import CryptoLevel
from ca.x509 import oids
from ca.x509.extensions import KeyUsageBit
from ca.x509.general_names import GeneralName
from ca.x509.name import Name

DEFAULT = "default"


@dataclass(frozen=True, slots=True)
class Profile:
    """The rules of one SCEP address. ``default`` answers wherever no other name is in the path.

    *manual_approval* has a person decide on whatever would be granted; without *challenge_required*
    that person alone. *renewal_days* is how long before the end a certificate may be renewed, 0 for
    any time. *key_purposes* are the OIDs of extKeyUsage: all that may be given, and what is given to who asks
    for none of them. *chain_in_reply* puts the chain behind the certificate for Cisco VPN, which
    Juniper forbids. *empty_content* chooses how FAILURE and PENDING say "no envelope".
    *queries* is whether GetCert and GetCRL are answered.
    """

    name: str = DEFAULT
    challenge_required: bool = True
    manual_approval: bool = False
    validity_days: int = 365
    renewal_days: int = 30
    key_purposes: tuple[str, ...] = (oids.CLIENT_AUTH,)
    chain_in_reply: bool = False
    empty_content: bool = True
    queries: bool = True
    crypto: CryptoLevel = CryptoLevel.COMPATIBLE


@dataclass(frozen=True, slots=True)
class CertificateContent:
    """What a certificate will hold, once every wish was granted, dropped or refused.

    *dropped* names the wishes that were not granted, for the log.
    """

    subject: Name
    subject_alt_names: tuple[GeneralName, ...]
    key_usage: frozenset[KeyUsageBit]
    key_purposes: tuple[str, ...]
    dropped: tuple[str, ...]
