"""What waits for a person is found apart from what is remembered of what was decided."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    """Make the index."""
    pending = sa.text("status = 'pending'")
    op.create_index(
        "ix_request_pending",
        "request",
        ["decide_by"],
        sqlite_where=pending,
        postgresql_where=pending,
    )
