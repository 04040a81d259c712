"""The statements of revocation: marking certificates, and keeping the CRLs."""

from collections.abc import Iterator, Mapping
from datetime import datetime

from sqlalchemy import ColumnElement, Connection, bindparam, delete, func, insert, or_, select, tuple_, update

from app.store import tables
from app.store.locks import lock
from app.store.prepared import Prepared
from app.store.rows import to_certificate, to_seconds, to_time
from ca.ports import Revocation, StoredCertificate, StoredCrl

_cert, _crl = tables.certificate, tables.crl
MAX_RENEWALS = 100
ROWS_AT_ONCE = 1000

_FIND_CRL = Prepared(
    select(_crl).where(_crl.c.issuer == bindparam("issuer")).order_by(_crl.c.number.desc()).limit(1)
)
# Asked for twice a second by each process that is asked for the CRL or by OCSP.
_FIND_CRL_NUMBER = Prepared(
    select(func.max(_crl.c.number).label("number")).where(_crl.c.issuer == bindparam("issuer"))
)


class RevocationStatements:
    """The part of the repository that knows revocation (see :class:`ca.ports.Repository`)."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def revoke_certificate(self, serial: str, at: datetime, reason: str, issuer_key: bytes) -> bool:
        """Mark a certificate as revoked by a CA (see :class:`ca.ports.Repository`)."""
        marks = {"revoked_at": to_seconds(at), "reason": reason, "issuer_key": issuer_key}
        return self._mark(serial, marks, _cert.c.revoked_at.is_(None))

    def change_reason(self, serial: str, before: str, after: str) -> bool:
        """Give another reason for a revocation, which keeps its time. False where *before* is not it."""
        return self._mark(serial, {"reason": after}, _cert.c.reason == before)

    def release_certificate(self, serial: str, reason: str) -> bool:
        """Take back a revocation for *reason*. False where it is not revoked for that."""
        marks = {"revoked_at": None, "reason": None, "issuer_key": None}
        return self._mark(serial, marks, _cert.c.reason == reason)

    def _mark(self, serial: str, marks: Mapping[str, object], condition: ColumnElement[bool]) -> bool:
        lock(self._connection, serial.encode())
        statement = update(_cert).where(_cert.c.serial == serial, condition)
        return self._connection.execute(statement.values(marks)).rowcount == 1

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

    def list_revoked(
        self, issuer_key: bytes, *, revoked_since: datetime | None = None, ended_since: datetime | None = None
    ) -> Iterator[Revocation]:
        """What is revoked of one CA, the first revoked in front (see :class:`ca.ports.Repository`)."""
        times = ((_cert.c.revoked_at, revoked_since), (_cert.c.not_after, ended_since))
        recent = [column >= to_seconds(since) for column, since in times if since is not None]
        query = select(_cert.c.serial, _cert.c.revoked_at, _cert.c.reason)
        query = query.where(_cert.c.issuer_key == issuer_key, _cert.c.revoked_at.is_not(None))
        if recent:
            query = query.where(or_(*recent))
        place = tuple_(_cert.c.revoked_at, _cert.c.serial)
        page = query.order_by(_cert.c.revoked_at, _cert.c.serial).limit(ROWS_AT_ONCE)
        rows = self._connection.execute(page).all()
        while rows:
            for row in rows:
                yield Revocation(row.serial, to_time(row.revoked_at), row.reason)
            last = rows[-1]
            rows = self._connection.execute(page.where(place > (last.revoked_at, last.serial))).all()

    def find_crl(self, issuer: str) -> StoredCrl | None:
        """The newest CRL of an issuer."""
        rows = _FIND_CRL.rows(self._connection, {"issuer": issuer})
        if not rows:
            return None
        row = rows[0]
        times = map(to_time, (row.this_update, row.next_update, row.rebuilt_at))
        return StoredCrl(row.issuer, row.number, row.der, *times)

    def find_crl_number(self, issuer: str) -> int:
        """The number of the newest CRL of an issuer; 0 where there is none."""
        return _FIND_CRL_NUMBER.rows(self._connection, {"issuer": issuer})[0].number or 0

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
                "rebuilt_at": to_seconds(crl.rebuilt_at),
            },
        )
