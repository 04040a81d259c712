"""Alternative names are kept with every letter as it is, so that a part of one is found."""

import json

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"

ROWS_AT_ONCE = 1000


def upgrade() -> None:
    """Write those anew whose letters beyond ASCII are escapes of JSON."""
    connection = op.get_bind()
    page = sa.text(
        "SELECT serial, subject_alt_names FROM certificate"
        " WHERE serial > :after AND subject_alt_names LIKE :escape ESCAPE '/' ORDER BY serial LIMIT :most"
    )
    fill = sa.text("UPDATE certificate SET subject_alt_names = :names WHERE serial = :serial")
    asked = {"after": "", "escape": r"%\u%", "most": ROWS_AT_ONCE}
    while rows := connection.execute(page, asked).all():
        connection.execute(fill, [{"serial": serial, "names": _unescape(names)} for serial, names in rows])
        asked["after"] = rows[-1].serial


def _unescape(names: str) -> str:
    return json.dumps(json.loads(names), ensure_ascii=False)
