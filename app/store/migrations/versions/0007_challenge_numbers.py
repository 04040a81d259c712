"""The number of a challenge password that was revoked is never another's: the audit log names it."""

from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Have SQLite count on, as PostgreSQL does."""
    if op.get_bind().dialect.name == "sqlite":
        with op.batch_alter_table(
            "challenge", recreate="always", table_kwargs={"sqlite_autoincrement": True}
        ):
            pass
