"""Whether the certificates and the last CRL of their CA say the same about who is revoked."""

from collections.abc import Iterator
from typing import Any

from cryptography import x509

from app.store.rows import to_seconds

_NOT_LISTED = "it is revoked, and the last CRL does not list it: who goes by the CRL takes it for good"
_NOT_REVOKED = "the last CRL lists it, and its row does not say that it is revoked: OCSP calls it good"
_NOT_HERE = "the last CRL lists it, and it is not here"


class Listed:
    """What the last CRL of one CA lists; each certificate of that CA is held against it once."""

    def __init__(self, crl: x509.CertificateRevocationList) -> None:
        self._this_update = to_seconds(crl.last_update_utc)
        self._left = {one.serial_number for one in crl}

    def compare(self, row: Any) -> Iterator[str]:
        """What is wrong with a row of a certificate of that CA."""
        is_listed = self.meet(row)
        # RFC 5280 3.3: one that has ended since may have left it.
        if row.revoked_at is not None and not is_listed and row.not_after >= self._this_update:
            yield _NOT_LISTED
        if row.revoked_at is None and is_listed:
            yield _NOT_REVOKED

    def meet(self, row: Any) -> bool:
        """Whether it is listed; it is known to be here, whatever else is wrong with it."""
        try:
            self._left.remove(int(row.serial, 16))
        except (KeyError, ValueError, TypeError):
            return False
        return True

    def strangers(self) -> Iterator[tuple[str, str]]:
        """What is listed and was not met, each with its name."""
        for number in sorted(self._left):
            yield _NOT_HERE, f"certificate {number:x}"
