"""Policy: the audit log, notifications, what challenges vouch for, and certificates by key and subject."""

import sqlalchemy as sa
from alembic import op

from ca.profiles import subject_key
from ca.x509.certificate import Certificate, key_id

revision = "0006"
down_revision = "0005"

ROWS_AT_ONCE = 1000


def upgrade() -> None:
    """Make and fill them."""
    op.add_column("certificate", sa.Column("key_id", sa.LargeBinary))
    op.add_column("certificate", sa.Column("subject_key", sa.LargeBinary))
    _fill_certificates()
    op.add_column("challenge", sa.Column("sid", sa.Text))
    # Which of those that are there were drawn by chance is not known.
    op.add_column("challenge", sa.Column("guessable", sa.Integer, nullable=False, server_default="1"))
    op.add_column("challenge", sa.Column("used_at", sa.BigInteger))
    op.add_column("challenge", sa.Column("used_by", sa.Text))
    op.add_column("held", sa.Column("grants", sa.Text))
    op.add_column("held", sa.Column("validator", sa.Text))
    op.create_table(
        "audit",
        sa.Column(
            "number", sa.BigInteger().with_variant(sa.Integer, "sqlite"), autoincrement=False, nullable=False
        ),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("actor", sa.Text, nullable=False),
        sa.Column("action", sa.Text, nullable=False),
        sa.Column("target", sa.Text, nullable=False),
        sa.Column("outcome", sa.Text, nullable=False),
        sa.Column("rule", sa.Text, nullable=False),
        sa.Column("detail", sa.Text, nullable=False),
        sa.Column("chain", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("number", name="pk_audit"),
    )
    if op.get_bind().dialect.name == "sqlite":
        _make_append_only()
    else:
        _make_append_only_on_postgresql()
    op.create_table(
        "notification",
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("validator", sa.Text, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("profile", sa.Text, nullable=False),
        sa.Column("transaction_id", sa.Text, nullable=False),
        sa.Column("csr", sa.LargeBinary, nullable=False),
        sa.Column("certificate", sa.LargeBinary, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False, server_default="0"),
        sa.Column("next_at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_notification"),
    )
    op.create_index("ix_notification_next_at", "notification", ["next_at"])


def _make_append_only() -> None:
    """Have SQLite refuse whatever is not the next entry of the audit log.

    Whoever can drop a trigger gets by; what he changes then breaks the chain. Of these the last is for
    INSERT OR REPLACE, which runs no trigger for the row that it takes away.
    """
    refuse = "BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END"
    is_next = "NEW.number IS (SELECT coalesce(max(number), 0) + 1 FROM audit)"
    op.execute(f"CREATE TRIGGER audit_not_updated BEFORE UPDATE ON audit {refuse}")
    op.execute(f"CREATE TRIGGER audit_not_deleted BEFORE DELETE ON audit {refuse}")
    op.execute(f"CREATE TRIGGER audit_in_order BEFORE INSERT ON audit WHEN NOT ({is_next}) {refuse}")


def _make_append_only_on_postgresql() -> None:
    """The same for PostgreSQL, which refuses a number that is there already by the primary key."""
    op.execute(
        "CREATE FUNCTION scepbox_audit_is_append_only() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN RAISE EXCEPTION 'the audit log is append-only'; END $$"
    )
    op.execute(
        "CREATE TRIGGER audit_not_changed BEFORE UPDATE OR DELETE OR TRUNCATE ON audit "
        "FOR EACH STATEMENT EXECUTE FUNCTION scepbox_audit_is_append_only()"
    )


def _fill_certificates() -> None:
    """Give the certificates of earlier versions what they are found by."""
    connection = op.get_bind()
    page = sa.text(
        "SELECT serial, der, profile FROM certificate WHERE serial > :after ORDER BY serial LIMIT :most"
    )
    keys = "key_id = :key_id, subject_key = :subject_key"
    fill = sa.text(f"UPDATE certificate SET {keys} WHERE serial = :serial")  # noqa: S608 - two columns
    after = ""
    while rows := connection.execute(page, {"after": after, "most": ROWS_AT_ONCE}).all():
        connection.execute(fill, [_keys(*row) for row in rows])
        after = rows[-1].serial


def _keys(serial: str, der: bytes, profile: str) -> dict[str, object]:
    certificate = Certificate.load(der)
    return {
        "serial": serial,
        "key_id": key_id(certificate.spki),
        "subject_key": subject_key(profile, certificate.subject, certificate.subject_alt_names),
    }
