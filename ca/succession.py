"""CAs beside the one of today: the next, those before it, and those that never came to be.

The envelope decides (RFC 8894 5.1): who writes to a CA holds its certificate, believes its signature
and can make use of what it issues. So a CA answers for itself, before its time and after.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from ca.identity import Identities, ScepIdentity
from ca.issuing.authority import BACKDATE, Authority
from ca.issuing.crl import issuer_id
from ca.ports import HeldRequest, Repository
from ca.scep import codec
from ca.scep.messages import PkiMessage

# A device that fetched the CA certificate just before the change has its request under way, and
# could not make use of another CA's certificate. Whoever writes to the former CA later has not
# looked for a long time, and is led on to the CA of today.
UNDER_WAY = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class OtherCa:
    """A CA that is not the one of today.

    *identity* is what opens messages to it and signs the replies; *chain* as of a responder. Who asks
    it before *issues_until* gets its certificate, who asks later that of the CA of today. The one that
    *is_next* comes after the CA of today, all others before it.
    """

    authority: Authority
    identity: Identities
    chain: tuple[bytes, ...]
    issues_until: datetime
    is_next: bool = False

    def issues_at(self, now: datetime) -> bool:
        """Whether who asks it at *now* gets its own certificate."""
        # More than is promised is left only after a clock that was ahead has been set right.
        is_sound = self.is_next or self.issues_until - now <= UNDER_WAY + BACKDATE
        return is_sound and now < min(self.issues_until, self.authority.not_after)

    def is_open(self, now: datetime) -> bool:
        """Whether messages to it are still answered."""
        return now <= self.authority.not_after and bool(self.identity.at(now))


@dataclass(frozen=True, slots=True)
class Door:
    """An identity that messages may be for, its CA, and the one that issues what is asked for there."""

    identity: ScepIdentity
    authority: Authority
    issuer: Authority


def open_doors(
    identities: Identities, today: Authority, others: Sequence[OtherCa], now: datetime
) -> list[Door]:
    """What messages may be for at *now*: first the identity of today's CA that GetCACert shows."""
    doors = [Door(one, today, today) for one in identities.at(now)]
    for other in others:
        if other.is_open(now):
            issuer = other.authority if other.issues_at(now) else today
            doors += (Door(one, other.authority, issuer) for one in other.identity.at(now))
    return doors


def find_door(message: PkiMessage, doors: Sequence[Door]) -> Door:
    """The one that the envelope is for, whose identity then also signs the reply.

    A client that holds the last RA certificate, or that of another CA, believes no other, whatever
    GetCACert shows by now.
    """
    if len(doors) == 1:
        return doors[0]
    return doors[codec.find_addressee(message, [one.identity.certificate for one in doors])]


@dataclass(frozen=True, slots=True)
class Asked:
    """The CA that a request was sent to, and the one that issues; *alone* where there is no other."""

    authority: Authority
    issuer: Authority
    alone: bool

    def has_answered(self, der: bytes) -> bool:
        """Whether a certificate of the store is an answer to who writes to this CA."""
        return self.alone or self.authority.has_issued(der) or self.issuer.has_issued(der)

    def take_over(self, held: HeldRequest, repository: Repository) -> None:
        """Have the certificate of a request that waits come from a CA that answers who writes to this one.

        Who asks again has the CA certificate that it wrote to this time, and can make use of no other's.
        """
        if not self.alone:
            ours = tuple(issuer_id(one.certificate) for one in (self.authority, self.issuer))
            repository.move_held(held.root, ours[1], self.issuer.status, unless=ours)


def find_asked(issuer: str, today: Authority, others: Iterable[OtherCa], now: datetime) -> Authority:
    """The CA that a request was kept for, if it still answers, else that of today.

    *issuer* is its :func:`~ca.issuing.crl.issuer_id`, empty where that was not kept.
    """
    for one in others:
        if issuer_id(one.authority.certificate) == issuer and one.is_open(now):
            return one.authority
    return today


def moves_on(der: bytes, issuer: Authority, today: Authority, others: Sequence[OtherCa]) -> bool:
    """Whether who renews a certificate of the store with *issuer* comes from a CA before that one.

    Nobody has to go back, and who could go to and fro would get certificates without end. Nor does anybody
    move to another certificate of the same name and key, whose CA is the same.
    """
    before = [one.authority for one in others if not one.is_next]
    if issuer is not today:
        is_next = any(one.is_next and one.authority is issuer for one in others)
        before = [today, *before] if is_next else []
    same = issuer_id(issuer.certificate)
    return any(one.has_issued(der) for one in before if issuer_id(one.certificate) != same)


def find_issuer(der: bytes, authorities: Iterable[Authority]) -> Authority | None:
    """Which of the CAs issued a certificate of the store, by name and key."""
    return next((one for one in authorities if one.has_issued(der)), None)
