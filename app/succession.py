"""The CAs of a data folder, loaded: that of today, the next, and those whose certificates still live."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import rsa

from app.activation import end_of_change
from app.ca_folder import CaFolder, CaFolders
from app.data_folder import DataFolder
from app.registration import RegistrationAuthority
from ca.identity import Identities, NoIdentity, ScepIdentity
from ca.issuing.authority import Authority
from ca.issuing.key_store import KeyUnusable, read_private_key
from ca.issuing.root import CaUnusable, check_ca, read_certificates
from ca.x509.certificate import Certificate

_NEVER = datetime.min.replace(tzinfo=UTC)
_LOST = "what the CA in {} issued can neither renew nor be revoked, and it has no CRL and no OCSP"


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
    """All CAs of one folder.

    One beside the CA of today that cannot be loaded is left out, for it must not end the service of
    today's; *complaints* says in a line each what is wrong, what comes of it and what to do.
    """

    current: Ca
    next: tuple[Ca, ...] = ()
    former: tuple[FormerCa, ...] = ()
    complaints: tuple[str, ...] = ()

    def all(self) -> tuple[Ca, ...]:
        """Every one of them, that of today first."""
        return (self.current, *self.next, *(one.ca for one in self.former))


def load_succession(folder: DataFolder, now: datetime) -> tuple[Succession, list[str]]:
    """Load all CAs, and what clients may mind in that of today.

    Raises:
        OSError: A file of the CA of today is missing or cannot be read.
        KeyUnusable, CaUnusable: The same, and it is not what it should be.

    """
    while True:
        folders = folder.cas
        try:
            found = _load(folder, folders, now)
        except FileNotFoundError:
            if folder.cas == folders:
                raise
        else:
            if not found[0].complaints or folder.cas == folders:
                return found
        # Somebody changed them while they were read: a file is where it is now.


def _load(folder: DataFolder, folders: CaFolders, now: datetime) -> tuple[Succession, list[str]]:
    current, warnings = load_ca(folders.current, now)
    complaints: list[str] = []
    following: list[Ca] = []
    if folders.has_next:
        abort = folder.command("ca rollover abort")
        with _left_out(complaints, f"the next CA is left out until that is mended; or give it up: {abort}"):
            following.append(load_ca(folders.next, now)[0])
    former = []
    # Each of them was replaced by the one that stands in front of it.
    for successor, one in zip((folders.current, *folders.former), folders.former, strict=False):
        with _left_out(complaints, f"{_LOST.format(one.path)}: bring it back from a backup"):
            if not _has_ended(one, now):
                ca = load_ca(one, now, is_current=False)[0]
                former.append(FormerCa(ca, end_of_change(successor, now, complaints)))
    for one in folders.aborted:
        spare = f"bring it back from a backup, or remove {one.path}, if that CA issued nothing"
        with _left_out(complaints, f"{_LOST.format(one.path)}: {spare}"):
            if not _has_ended(one, now):
                ca = load_ca(one, now, is_current=False, is_open=False)[0]
                former.append(FormerCa(ca, _NEVER))
    return Succession(current, tuple(following), tuple(former), tuple(complaints)), warnings


@contextmanager
def _left_out(complaints: list[str], so: str) -> Iterator[None]:
    """Add what cannot be loaded inside to *complaints*, with what comes of that and what to do."""
    try:
        yield
    except (OSError, KeyUnusable, CaUnusable) as error:
        complaints.append(f"{in_words(error)}; {so}")


def in_words(error: Exception) -> str:
    """Why a CA cannot be loaded, in one line that names the file."""
    return f"{error.filename}: {error.strerror}" if isinstance(error, OSError) else str(error)


def _has_ended(folder: CaFolder, now: datetime) -> bool:
    """Whether nothing that it issued can be valid any more."""
    return now > load_ca_certificate(folder).not_valid_after


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


def load_known(folders: CaFolders) -> tuple[Certificate, ...]:
    """The certificates of all CAs that can be read, that of today first, which has to be.

    Raises:
        OSError, CaUnusable: The certificate of the CA of today cannot be read.

    """
    known = [load_ca_certificate(folders.current)]
    for one in folders.all()[1:]:
        with suppress(OSError, CaUnusable):
            known.append(load_ca_certificate(one))
    return tuple(known)


def load_chain(folder: CaFolder) -> tuple[Certificate, ...]:
    """Load what stands above a CA, if anything does.

    Raises:
        OSError: It cannot be read.
        CaUnusable: It is not certificates.

    """
    return read_certificates(folder.chain) if folder.chain.exists() else ()
