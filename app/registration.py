"""The registration authority's keys and certificates in the data folder: made, found and renewed.

Each key has a number and two files, which appear whole and never change. Of several processes that
would make the same one, the first to give a file its name wins, and the others take what is there:
no lock is needed, nor any word between them.
"""

import logging
from contextlib import suppress
from datetime import UTC, datetime, timedelta

from app.ca_folder import CaFolder
from app.data_folder import write_private
from ca.errors import OperationNotOffered
from ca.identity import ScepIdentity
from ca.issuing.authority import Authority
from ca.issuing.key_store import KeyUnusable, encode_private_key, generate_rsa_key, read_private_key
from ca.issuing.registration import check_ra, is_renewal_due, make_ra_certificate, order_certificates
from ca.issuing.root import CaUnusable, encode_pem, read_certificates
from ca.journal import log_line
from ca.x509.certificate import Certificate

log = logging.getLogger(__name__)
RA_BITS = 2048
# How often the folder is looked at, for what another process made and for what is due. Far less
# than a new certificate takes to settle.
LOOK = timedelta(minutes=1)
# A certificate that begins later than so was made by a clock that was wrong, and is none to rely on.
AHEAD = timedelta(days=1)
# A key that opens nothing any more is removed; but a clock that is wrong must not cost one.
KEPT_AFTER_END = timedelta(days=30)


def make_registration(authority: Authority, now: datetime) -> tuple[bytes, bytes]:
    """A new RA key and its certificate, PEM both."""
    key = generate_rsa_key(RA_BITS)
    return encode_private_key(key), encode_pem(make_ra_certificate(authority, key, now))


def read_registrations(folder: CaFolder, issuer: Certificate, now: datetime) -> list[Certificate]:
    """The RA certificates that count at *now*, the one that GetCACert shows first; none in CA mode.

    Raises:
        OSError, CaUnusable: A file cannot be read, or is no certificate.

    """
    numbers = folder.ra_numbers()
    newest_first = [read_certificates(folder.ra_certificate(number))[0] for number in numbers]
    return order_certificates(newest_first, issuer, now) if newest_first else []


class RegistrationAuthority:
    """The RA of one CA, as one process sees it (see :class:`ca.identity.Identities`)."""

    def __init__(self, folder: CaFolder, authority: Authority, now: datetime) -> None:
        """Load what is there, and renew what is due.

        Raises:
            OSError: A file is missing, or cannot be read or written.
            KeyUnusable, CaUnusable: A file is not what it should be.

        """
        self._folder = folder
        self._authority = authority
        self._known: dict[int, ScepIdentity] = {}
        self._looked_at = datetime.min.replace(tzinfo=UTC)
        self._current = self._refresh(now)

    def at(self, now: datetime) -> tuple[ScepIdentity, ...]:
        """Those that count at *now*, the one that GetCACert shows first."""
        # A clock that was ahead and has been set right is no reason to look at nothing for years.
        if not timedelta(0) <= now - self._looked_at < LOOK:
            self._looked_at = now
            try:
                self._current = self._refresh(now)
            except (OSError, KeyUnusable, CaUnusable, OperationNotOffered) as error:
                # What there is goes on serving, and the next look tries again.
                log.error(log_line(reason="the RA certificate cannot be renewed", detail=error))
        return self._current

    def _refresh(self, now: datetime) -> tuple[ScepIdentity, ...]:
        self._read(now)
        issuer = self._authority.certificate
        begun = [n for n, one in self._known.items() if one.certificate.not_valid_before <= now + AHEAD]
        latest = max(begun or self._known, default=0)
        if is_renewal_due(self._known[latest].certificate if latest else None, issuer, now):
            self._renew(max(self._known, default=0) + 1, now)
            self._read(now)
        by_certificate = {one.certificate.der: one for one in self._known.values()}
        newest_first = [self._known[number].certificate for number in sorted(self._known, reverse=True)]
        return tuple(by_certificate[one.der] for one in order_certificates(newest_first, issuer, now))

    def _read(self, now: datetime) -> None:
        numbers = self._folder.ra_numbers()
        for number in numbers:
            if number in self._known:
                continue
            certificate = read_certificates(self._folder.ra_certificate(number))[0]
            if number == numbers[0] or now < certificate.not_valid_after + KEPT_AFTER_END:
                self._known[number] = self._load(number, certificate)
            else:
                self._remove(number)

    def _load(self, number: int, certificate: Certificate) -> ScepIdentity:
        path = self._folder.ra_key(number)
        key = read_private_key(path)
        try:
            return ScepIdentity(certificate, check_ra(certificate, key))
        except CaUnusable as error:
            raise CaUnusable(f"{path}: {error}") from error

    def _renew(self, number: int, now: datetime) -> None:
        """Make key and certificate of that *number*, as far as nobody else does."""
        path = self._folder.ra_key(number)
        if not path.exists():
            with suppress(FileExistsError):
                write_private(path, encode_private_key(generate_rsa_key(RA_BITS)))
        # The key that is there: this one, another process's, or what an interrupted one left.
        certificate = make_ra_certificate(self._authority, read_private_key(path), now)
        with suppress(FileExistsError):
            write_private(self._folder.ra_certificate(number), encode_pem(certificate))
            until = f"{certificate.not_valid_after:%Y-%m-%d}"
            log.info(log_line(message="new RA certificate", subject=certificate.subject, until=until))

    def _remove(self, number: int) -> None:
        with suppress(OSError):
            # The certificate last: where it is, its key is awaited.
            self._folder.ra_key(number).unlink(missing_ok=True)
            self._folder.ra_certificate(number).unlink(missing_ok=True)
