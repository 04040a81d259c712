"""Requests that wait for a person: their times, what is the same, and the table held."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

# As in revision 0001.
NUMBER = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    """Add them."""
    op.add_column("request", sa.Column("same_as", NUMBER))
    op.add_column("request", sa.Column("decide_by", sa.BigInteger))
    op.add_column("request", sa.Column("forget_at", sa.BigInteger))
    for name in ("same_as", "forget_at"):
        there = sa.text(f"{name} IS NOT NULL")
        op.create_index(f"ix_request_{name}", "request", [name], sqlite_where=there, postgresql_where=there)
    op.create_table(
        "held",
        sa.Column("request_id", NUMBER, nullable=False),
        sa.Column("csr", sa.LargeBinary, nullable=False),
        sa.Column("signer", sa.LargeBinary, nullable=False),
        sa.Column("challenge_mac", sa.LargeBinary),
        sa.Column("decided_at", sa.BigInteger),
        sa.PrimaryKeyConstraint("request_id", name="pk_held"),
        sa.ForeignKeyConstraint(["request_id"], ["request.id"], name="fk_held_request_id"),
    )
