"""No number of a challenge is given twice, what is left of them is counted, compromised keys are found."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    """Have SQLite count on, as PostgreSQL does, and make the indexes."""
    if op.get_bind().dialect.name == "sqlite":
        with op.batch_alter_table(
            "challenge", recreate="always", table_kwargs={"sqlite_autoincrement": True}
        ):
            pass
    usable = sa.text("(uses_left IS NULL OR uses_left > 0)")
    op.create_index(
        "ix_challenge_usable",
        "challenge",
        ["profile", "expires_at"],
        sqlite_where=usable,
        postgresql_where=usable,
    )
    compromised = sa.text("reason = 'keyCompromise'")
    op.create_index(
        "ix_certificate_compromised",
        "certificate",
        ["key_id"],
        sqlite_where=compromised,
        postgresql_where=compromised,
    )
