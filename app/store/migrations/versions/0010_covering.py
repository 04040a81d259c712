"""The indexes by name and of what is revoked tell more, so that others are passed over unread."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    """Make them anew."""
    for name in ("ix_certificate_name", "ix_certificate_revoked"):
        op.drop_index(name, "certificate")
    of_name = ["name", "serial", "not_after", "revoked_at", "profile"]
    op.create_index("ix_certificate_name", "certificate", of_name)
    revoked = sa.text("revoked_at IS NOT NULL")
    op.create_index(
        "ix_certificate_revoked",
        "certificate",
        ["not_after", "serial", "profile"],
        sqlite_where=revoked,
        postgresql_where=revoked,
    )
