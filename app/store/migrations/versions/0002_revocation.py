"""Revocation: the CRLs, and an index of the certificates that are revoked."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Make them."""
    op.create_table(
        "crl",
        sa.Column("number", sa.BigInteger, autoincrement=False, nullable=False),
        sa.Column("issuer", sa.Text, nullable=False),
        sa.Column("der", sa.LargeBinary, nullable=False),
        sa.Column("this_update", sa.BigInteger, nullable=False),
        sa.Column("next_update", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("number", name="pk_crl"),
    )
    op.create_index("ix_crl_issuer", "crl", ["issuer"])
    revoked = sa.text("revoked_at IS NOT NULL")
    op.create_index(
        "ix_certificate_revoked_at",
        "certificate",
        ["revoked_at"],
        sqlite_where=revoked,
        postgresql_where=revoked,
    )
