"""Which CA a request that waits was sent to."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Add it."""
    op.add_column("held", sa.Column("issuer", sa.Text))
