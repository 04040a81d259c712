"""What a million certificates need: a CRL that is added to, and indexes for pages, renewals and refusals."""

import sqlalchemy as sa
from alembic import op

from ca.issuing.authority import issuer_key
from ca.profiles import search_name
from ca.x509.certificate import Certificate

revision = "0007"
down_revision = "0006"

ROWS_AT_ONCE = 1000
_REVOKED = "revoked_at IS NOT NULL"


def upgrade() -> None:
    """Make and fill them."""
    op.add_column("crl", sa.Column("rebuilt_at", sa.BigInteger, nullable=False, server_default="0"))
    op.add_column("certificate", sa.Column("issuer_key", sa.LargeBinary))
    octets = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
    op.add_column("certificate", sa.Column("name", octets, nullable=False, server_default=""))
    _fill()
    op.create_index("ix_certificate_name", "certificate", ["name", "serial"])
    for name in ("not_after", "revoked_at"):
        op.drop_index(f"ix_certificate_{name}", "certificate")
    op.create_index("ix_certificate_not_after", "certificate", ["not_after", "serial", "revoked_at"])
    op.create_index("ix_certificate_profile", "certificate", ["profile", "not_after", "serial"])
    _create_partial("ix_certificate_revoked", "certificate", ["not_after", "serial"], _REVOKED)
    of_crl = ["issuer_key", "revoked_at", "serial", "not_after", "reason"]
    _create_partial("ix_certificate_crl", "certificate", of_crl, _REVOKED)
    renewal = "renewed_from IS NOT NULL"
    _create_partial("ix_certificate_renewed_from", "certificate", ["renewed_from"], renewal)
    refused = "status = 'refused' AND forget_at IS NULL"
    _create_partial("ix_request_refused", "request", ["id"], refused)


def _create_partial(name: str, table: str, columns: list[str], condition: str) -> None:
    where = sa.text(condition)
    op.create_index(name, table, columns, sqlite_where=where, postgresql_where=where)


def _fill() -> None:
    """Give what was issued its name, and say of what is revoked whose CRL it is on."""
    connection = op.get_bind()
    page = sa.text(
        "SELECT serial, der, revoked_at FROM certificate WHERE serial > :after ORDER BY serial LIMIT :most"
    )
    values = "name = :name, issuer_key = :issuer_key"
    fill = sa.text(f"UPDATE certificate SET {values} WHERE serial = :serial")  # noqa: S608 - two columns
    after = ""
    while rows := connection.execute(page, {"after": after, "most": ROWS_AT_ONCE}).all():
        connection.execute(fill, [_values(*row) for row in rows])
        after = rows[-1].serial


def _values(serial: str, der: bytes, revoked_at: int | None) -> dict[str, object]:
    certificate = Certificate.load(der)
    return {
        "serial": serial,
        "name": search_name(certificate.subject, certificate.subject_alt_names),
        "issuer_key": None if revoked_at is None else issuer_key(certificate),
    }
