"""The CAs of a data folder, loaded: that of today, the next, and those whose certificates still live."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import rsa

from app.ca_folder import CaFolder, CaFolders
from app.data_folder import DataFolder, DataFolderError
from app.registration import RegistrationAuthority
from ca.identity import Identities, NoIdentity, ScepIdentity
from ca.issuing.authority import Authority
from ca.issuing.key_store import read_private_key
from ca.issuing.root import CaUnusable, check_ca, read_certificates
from ca.succession import UNDER_WAY
from ca.x509.certificate import Certificate

_NEVER = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Ca:
    """A CA as it lies in the data folder: *authority* issues, *identity* opens and signs messages.

    *ocsp_signer* is where what signs OCSP answers is kept; None: nowhere.
    """

    certificate: Certificate
    chain: tuple[Certificate, ...]
    authority: Authority
    identity: Identities
    ocsp_signer: Path | None = None

    def served(self, now: datetime) -> tuple[Certificate, ...]:
        """What GetCACert gives for it."""
        # The RA first: clients that do not look at keyUsage encrypt to the first one they see.
        above = (self.certificate, *self.chain)
        shown = self.identity.at(now)[0].certificate
        return above if shown is self.certificate else (shown, *above)


@dataclass(frozen=True, slots=True)
class FormerCa:
    """One that is not the CA of today any more, or was never to be; it issues until *issues_until*."""

    ca: Ca
    issues_until: datetime


@dataclass(frozen=True, slots=True)
class Succession:
    """All CAs of one folder."""

    current: Ca
    next: tuple[Ca, ...] = ()
    former: tuple[FormerCa, ...] = ()

    def all(self) -> tuple[Ca, ...]:
        """Every one of them, that of today first."""
        return (self.current, *self.next, *(one.ca for one in self.former))


def load_succession(folder: DataFolder, now: datetime) -> tuple[Succession, list[str]]:
    """Load all CAs, and what clients may mind in that of today.

    Raises:
        OSError: A file is missing or cannot be read.
        KeyUnusable, CaUnusable, DataFolderError: A file is not what it should be.

    """
    while True:
        folders = folder.cas
        try:
            return _load(folders, now)
        except FileNotFoundError:
            if folder.cas == folders:
                raise
            # Somebody changed them while they were read: a file is where it is now.


def _load(folders: CaFolders, now: datetime) -> tuple[Succession, list[str]]:
    current, warnings = load_ca(folders.current, now)
    following = (load_ca(folders.next, now)[0],) if folders.has_next else ()
    former = [_load_former(one, until, now) for one, until in _former(folders)]
    return Succession(current, following, tuple(one for one in former if one)), warnings


def _former(folders: CaFolders) -> Iterator[tuple[CaFolder, datetime | None]]:
    """The CAs of before, and until when each issues; None where it does not even open messages."""
    for place, folder in enumerate(folders.former):
        # Only the last one had enrolments under way when it was replaced.
        yield folder, _NEVER if place else _activated_at(folders.current) + UNDER_WAY
    for folder in folders.aborted:
        yield folder, None


def _load_former(folder: CaFolder, issues_until: datetime | None, now: datetime) -> FormerCa | None:
    """One of them, or None where nothing that it issued can be valid any more."""
    if now > load_ca_certificate(folder).not_valid_after:
        return None
    ca, _ = load_ca(folder, now, is_current=False, is_open=issues_until is not None)
    return FormerCa(ca, issues_until or _NEVER)


def load_ca(
    folder: CaFolder, now: datetime, *, is_current: bool = True, is_open: bool = True
) -> tuple[Ca, list[str]]:
    """Load one CA, and what clients may mind in it. One that is not *is_open* opens no messages.

    Of one that is not of today, what is above it may have ended before it.

    Raises:
        OSError: A file is missing or cannot be read.
        KeyUnusable, CaUnusable: A file is not what it should be.

    """
    certificate = load_ca_certificate(folder)
    key = read_private_key(folder.key)
    chain = load_chain(folder)
    behind_ra = folder.has_ra
    try:
        warnings = check_ca(certificate, key, chain if is_current else (), now, behind_ra=behind_ra)
    except CaUnusable as error:
        raise CaUnusable(f"{folder.certificate}: {error}") from error
    authority = Authority(certificate, key)
    identity: Identities
    if not is_open:
        identity = NoIdentity()
    elif isinstance(key, rsa.RSAPrivateKey) and not behind_ra:
        identity = ScepIdentity(certificate, key)
    else:
        identity = RegistrationAuthority(folder, authority, now)
    if not authority.may_sign_crls:
        warnings.append(
            "the CA certificate lacks cRLSign: there is no CRL, and OCSP alone tells what is revoked"
        )
    return Ca(certificate, chain, authority, identity, folder.ocsp_signer), warnings


def load_ca_certificate(folder: CaFolder) -> Certificate:
    """Load the certificate of a CA alone.

    Raises:
        OSError: It is missing or cannot be read.
        CaUnusable: It is not a certificate.

    """
    return read_certificates(folder.certificate)[0]


def load_chain(folder: CaFolder) -> tuple[Certificate, ...]:
    """Load what stands above a CA, if anything does.

    Raises:
        OSError: It cannot be read.
        CaUnusable: It is not certificates.

    """
    return read_certificates(folder.chain) if folder.chain.exists() else ()


def _activated_at(folder: CaFolder) -> datetime:
    try:
        found = datetime.fromisoformat(folder.activated.read_text("ascii").strip())
    except ValueError as error:
        raise DataFolderError(
            f"{folder.activated} is no time such as 2027-01-31T12:00:00+00:00: write one into it"
        ) from error
    return found if found.tzinfo else found.replace(tzinfo=UTC)
