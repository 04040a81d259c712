"""Where the status of a certificate is told, as the server knew it that took the request."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Add it; of what waits already it is not known."""
    op.add_column("held", sa.Column("status", sa.LargeBinary))
