"""The statements of revocation: marking certificates, and keeping the CRLs."""

from datetime import datetime

from sqlalchemy import ColumnElement, Connection, bindparam, delete, func, insert, or_, select, update

from app.store import tables
from app.store.locks import lock
from app.store.prepared import Prepared
from app.store.rows import to_certificate, to_seconds, to_time
from ca.ports import StoredCertificate, StoredCrl

_cert, _crl = tables.certificate, tables.crl
MAX_RENEWALS = 100

# Asked for twice a second by each process that is asked for the CRL or by OCSP.
_FIND_CRL = Prepared(
    select(_crl).where(_crl.c.issuer == bindparam("issuer")).order_by(_crl.c.number.desc()).limit(1)
)


class RevocationStatements:
    """The part of the repository that knows revocation (see :class:`ca.ports.Repository`)."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def revoke_certificate(self, serial: str, at: datetime, reason: str) -> bool:
        """Mark a certificate as revoked. False where it is revoked already, or there is none."""
        return self._mark(serial, to_seconds(at), reason, _cert.c.revoked_at.is_(None))

    def change_reason(self, serial: str, before: str, after: str) -> bool:
        """Give another reason for a revocation, which keeps its time. False where *before* is not it."""
        lock(self._connection, serial.encode())
        statement = update(_cert).where(_cert.c.serial == serial, _cert.c.reason == before)
        return self._connection.execute(statement.values(reason=after)).rowcount == 1

    def release_certificate(self, serial: str, reason: str) -> bool:
        """Take back a revocation for *reason*. False where it is not revoked for that."""
        return self._mark(serial, None, None, _cert.c.reason == reason)

    def _mark(self, serial: str, at: int | None, reason: str | None, condition: ColumnElement[bool]) -> bool:
        lock(self._connection, serial.encode())
        statement = update(_cert).where(_cert.c.serial == serial, condition)
        return self._connection.execute(statement.values(revoked_at=at, reason=reason)).rowcount == 1

    def find_renewals(self, serial: str, now: datetime) -> list[StoredCertificate]:
        """Certificates that are good at *now* and that a certificate led to, by one renewal or many."""
        parents, found = [serial], []
        # An UPDATE of somebody's own could make a circle; no device renews so often.
        for _ in range(MAX_RENEWALS):
            query = select(_cert).where(_cert.c.renewed_from.in_(parents)).order_by(_cert.c.not_before)
            children = [to_certificate(row) for row in self._connection.execute(query)]
            if not children:
                break
            found += children
            parents = [one.serial for one in children]
        return [one for one in found if one.revoked_at is None and now <= one.not_after]

    def list_revoked(self, since: datetime | None) -> list[StoredCertificate]:
        """Revoked certificates, the first revoked in front.

        With *since* those alone that ended, or were revoked, at that time or later.
        """
        query = select(_cert).where(_cert.c.revoked_at.is_not(None))
        if since is not None:
            start = to_seconds(since)
            query = query.where(or_(_cert.c.not_after >= start, _cert.c.revoked_at >= start))
        rows = self._connection.execute(query.order_by(_cert.c.revoked_at, _cert.c.serial))
        return [to_certificate(row) for row in rows]

    def find_crl(self, issuer: str) -> StoredCrl | None:
        """The newest CRL of an issuer."""
        rows = _FIND_CRL.rows(self._connection, {"issuer": issuer})
        if not rows:
            return None
        row = rows[0]
        return StoredCrl(row.issuer, row.number, row.der, to_time(row.this_update), to_time(row.next_update))

    def last_crl_number(self) -> int:
        """The highest number that any CRL of this database had; 0 before the first.

        Nobody else makes a CRL before the transaction ends, and what was revoked before is seen from now on.
        """
        lock(self._connection, b"crl")
        return self._connection.scalar(select(func.max(_crl.c.number))) or 0

    def put_crl(self, crl: StoredCrl) -> None:
        """Keep a CRL in the place of its issuer's last one."""
        self._connection.execute(delete(_crl).where(_crl.c.issuer == crl.issuer))
        self._connection.execute(
            insert(_crl),
            {
                "number": crl.number,
                "issuer": crl.issuer,
                "der": crl.der,
                "this_update": to_seconds(crl.this_update),
                "next_update": to_seconds(crl.next_update),
            },
        )
