"""The OCSP responder's certificate and key in the data folder: made when first asked for, renewed in time.

Both lie in one file, so that no process ever reads the one without the other.
"""

import logging
from datetime import datetime
from pathlib import Path

from app.data_folder import replace_private
from ca.issuing.authority import Authority
from ca.issuing.key_store import KeyUnusable, encode_private_key, load_private_key
from ca.issuing.root import CaUnusable, encode_pem, load_pem_certificates
from ca.journal import log_line
from ca.ocsp.signer import OcspSigner, make_signer

log = logging.getLogger(__name__)


class OcspSignerFile:
    """What signs OCSP answers for one CA, kept at *path*; without one, in memory alone.

    Every process that serves has one of these.
    """

    def __init__(self, path: Path | None, authority: Authority) -> None:
        self._path = path
        self._authority = authority
        self._signer: OcspSigner | None = None

    def current(self, now: datetime) -> OcspSigner:
        """The one to sign with at *now*: the file's if it is good, else a new one."""
        signer = self._signer
        if signer is None or self._is_due(signer, now):
            # Another process may have been first.
            signer = self._load(now) or self._make(now)
            self._signer = signer
        return signer

    def _load(self, now: datetime) -> OcspSigner | None:
        if self._path is None:
            return None
        try:
            pem = self._path.read_bytes()
            signer = OcspSigner(load_pem_certificates(pem)[0], load_private_key(pem))
        except FileNotFoundError:
            return None
        except (OSError, CaUnusable, KeyUnusable) as error:
            log.warning(log_line(ocsp_signer="replaced", reason=error))
            return None
        return signer if signer.serves(self._authority, now) and not self._is_due(signer, now) else None

    def _is_due(self, signer: OcspSigner, now: datetime) -> bool:
        return signer.is_due(now, self._authority.not_after)

    def _make(self, now: datetime) -> OcspSigner:
        signer = make_signer(self._authority, now)
        certificate = signer.certificate
        log.info(log_line(ocsp_signer="made", serial=f"{certificate.serial_number:x}"))
        if self._path is None:
            return signer
        try:
            replace_private(self._path, encode_pem(certificate) + encode_private_key(signer.key))
        except OSError as error:
            # It is as good in memory; each process has its own then.
            log.warning(log_line(ocsp_signer="not kept", reason=error))
        return signer
