"""The first tables: certificate, challenge, request."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

# The first PostgreSQL databases began with revision 0006, and so it may have wider numbers from the start.
NUMBER = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    """Make them."""
    op.create_table(
        "certificate",
        sa.Column("serial", sa.Text, nullable=False),
        sa.Column("der", sa.LargeBinary, nullable=False),
        sa.Column("subject", sa.Text, nullable=False),
        sa.Column("subject_alt_names", sa.Text, nullable=False),
        sa.Column("profile", sa.Text, nullable=False),
        sa.Column("not_before", sa.BigInteger, nullable=False),
        sa.Column("not_after", sa.BigInteger, nullable=False),
        sa.Column("transaction_id", sa.Text, nullable=False),
        sa.Column("renewed_from", sa.Text),
        sa.Column("revoked_at", sa.BigInteger),
        sa.Column("reason", sa.Text),
        sa.PrimaryKeyConstraint("serial", name="pk_certificate"),
    )
    op.create_index("ix_certificate_not_after", "certificate", ["not_after"])
    op.create_table(
        "challenge",
        sa.Column("id", NUMBER, nullable=False),
        sa.Column("mac", sa.LargeBinary, nullable=False, unique=True),
        sa.Column("profile", sa.Text, nullable=False),
        sa.Column("uses_left", sa.Integer),
        sa.Column("expires_at", sa.BigInteger),
        sa.Column("subject", sa.Text),
        sa.Column("subject_alt_names", sa.Text),
        sa.Column("note", sa.Text, nullable=False, server_default=""),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_challenge"),
    )
    op.create_table(
        "request",
        sa.Column("id", NUMBER, nullable=False),
        sa.Column("received_at", sa.BigInteger, nullable=False),
        sa.Column("remote", sa.Text, nullable=False),
        sa.Column("client", sa.Text, nullable=False),
        sa.Column("transaction_id", sa.Text, nullable=False),
        sa.Column("message_type", sa.Text, nullable=False),
        sa.Column("profile", sa.Text, nullable=False),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("subject", sa.Text, nullable=False),
        sa.Column("serial", sa.Text),
        sa.Column("renewal_of", sa.Text),
        sa.Column("request_key", sa.LargeBinary),
        sa.Column("transaction_key", sa.LargeBinary),
        sa.Column("challenge_id", NUMBER),
        sa.Column("fail_info", sa.Text),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("deviations", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_request"),
        sa.ForeignKeyConstraint(["serial"], ["certificate.serial"], name="fk_request_serial"),
    )
    op.create_index("ix_request_request_key", "request", ["request_key"])
    op.create_index("ix_request_transaction_key", "request", ["transaction_key"])
