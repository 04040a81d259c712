"""The tables. Times are UTC seconds since 1970; lists of names are JSON."""

from sqlalchemy import (
    BigInteger,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    and_,
    literal_column,
    text,
)

# To SQLite an INTEGER is the row's own number, of 64 bits as well.
Number = BigInteger().with_variant(Integer, "sqlite")
# To SQLite every text is sorted by its octets.
Octets = Text().with_variant(Text(collation="C"), "postgresql")
metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)

certificate = Table(
    "certificate",
    metadata,
    Column("serial", Text, primary_key=True),
    Column("der", LargeBinary, nullable=False),
    Column("subject", Text, nullable=False),
    Column("subject_alt_names", Text, nullable=False),
    Column("profile", Text, nullable=False),
    Column("not_before", BigInteger, nullable=False),
    Column("not_after", BigInteger, nullable=False),
    Column("transaction_id", Text, nullable=False),
    Column("renewed_from", Text),
    Column("revoked_at", BigInteger),
    Column("reason", Text),
    # The subjectKeyIdentifier, and a hash of profile and subject. Their indexes are made when a profile
    # asks for them, so that nobody else pays for them.
    Column("key_id", LargeBinary),
    Column("subject_key", LargeBinary),
    # Which CA issued it, as a hash of its name and key identifier; of revoked ones alone.
    Column("issuer_key", LargeBinary),
    # What people look it up by, by its beginning: sorted octet by octet.
    Column("name", Octets, nullable=False, server_default=""),
)
# Pages of lists, in this order; what follows tells whom to pass over without a look at the row.
for _index, _names in (
    ("ix_certificate_name", ("name", "serial", "not_after", "revoked_at", "profile")),
    ("ix_certificate_not_after", ("not_after", "serial", "revoked_at")),
    ("ix_certificate_profile", ("profile", "not_after", "serial")),
):
    Index(_index, *(certificate.c[_name] for _name in _names))
# Of revoked ones alone, so that issuing does not pay for them: the pages of their list, and the whole CRL,
# which is made of its index alone.
_REVOKED = certificate.c.revoked_at.is_not(None)
for _index, _names in (
    ("ix_certificate_revoked", ("not_after", "serial", "profile")),
    ("ix_certificate_crl", ("issuer_key", "revoked_at", "serial", "not_after", "reason")),
):
    _columns = [certificate.c[_name] for _name in _names]
    Index(_index, *_columns, sqlite_where=_REVOKED, postgresql_where=_REVOKED)
# Keys that others may have: asked for at each enrolment, and few.
COMPROMISED = certificate.c.reason == literal_column("'keyCompromise'")
Index(
    "ix_certificate_compromised",
    certificate.c.key_id,
    sqlite_where=COMPROMISED,
    postgresql_where=COMPROMISED,
)
# Of renewals alone.
_RENEWAL = certificate.c.renewed_from.is_not(None)
Index(
    "ix_certificate_renewed_from",
    certificate.c.renewed_from,
    sqlite_where=_RENEWAL,
    postgresql_where=_RENEWAL,
)

crl = Table(
    "crl",
    metadata,
    # Of the whole database, so that no issuer's ever falls back.
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    # SHA-256 of the name and key that signed it, in hexadecimal.
    Column("issuer", Text, nullable=False),
    # Empty where the CA may not sign any: the number counts its revocations all the same.
    Column("der", LargeBinary, nullable=False),
    Column("this_update", BigInteger, nullable=False),
    Column("next_update", BigInteger, nullable=False),
    # When all that is on it was last read from the certificates; 0: not known.
    Column("rebuilt_at", BigInteger, nullable=False, server_default="0"),
)
Index("ix_crl_issuer", crl.c.issuer)

challenge = Table(
    "challenge",
    metadata,
    Column("id", Number, primary_key=True),
    # HMAC-SHA-256 of the secret: looking it up compares in constant time.
    Column("mac", LargeBinary, nullable=False, unique=True),
    Column("profile", Text, nullable=False),
    # NULL: without limit.
    Column("uses_left", Integer),
    # NULL: for ever.
    Column("expires_at", BigInteger),
    Column("subject", Text),
    Column("subject_alt_names", Text),
    Column("note", Text, nullable=False, server_default=""),
    Column("created_at", BigInteger, nullable=False),
    # The Windows security identifier that it vouches for.
    Column("sid", Text),
    # 1 where a person brought the secret: guesses at it are counted.
    Column("guessable", Integer, nullable=False, server_default="1"),
    # When, and for which subject, a use of it was taken last; of those with a limit alone.
    Column("used_at", BigInteger),
    Column("used_by", Text),
    # Numbers are not given twice: the audit log names them.
    sqlite_autoincrement=True,
)
# Of those that are used up there is one for each device. As it stands in the index, word for word: else no
# database sees that the index is for it.
USABLE = "(uses_left IS NULL OR uses_left > 0)"
_usable = text(USABLE)
Index(
    "ix_challenge_usable",
    challenge.c.profile,
    challenge.c.expires_at,
    sqlite_where=_usable,
    postgresql_where=_usable,
)

request = Table(
    "request",
    metadata,
    Column("id", Number, primary_key=True),
    Column("received_at", BigInteger, nullable=False),
    Column("remote", Text, nullable=False),
    Column("client", Text, nullable=False),
    Column("transaction_id", Text, nullable=False),
    Column("message_type", Text, nullable=False),
    Column("profile", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("serial", Text, ForeignKey("certificate.serial")),
    Column("renewal_of", Text),
    # NULL where nothing was issued and nobody will decide: such a request is not one to repeat.
    Column("request_key", LargeBinary),
    Column("transaction_key", LargeBinary),
    Column("challenge_id", Number),
    Column("fail_info", Text),
    Column("reason", Text, nullable=False),
    Column("deviations", Text, nullable=False),
    # The number of the held request whose CSR this one repeats under another transaction.
    Column("same_as", Number),
    # Both for what a person decides on alone: how long it waits, and how long its end is remembered.
    Column("decide_by", BigInteger),
    Column("forget_at", BigInteger),
)
Index("ix_request_request_key", request.c.request_key)
Index("ix_request_transaction_key", request.c.transaction_key)
# Partial, so that an enrolment that nobody decides on has nothing to write in them.
for _column in (request.c.same_as, request.c.forget_at):
    _there = _column.is_not(None)
    Index(f"ix_request_{_column.name}", _column, sqlite_where=_there, postgresql_where=_there)
# Refusals of which the newest alone are kept; what a person refused, and a device may ask for again, is
# bounded by the queue. No parameter: with one neither database would know its index again.
REFUSED = and_(request.c.status == literal_column("'refused'"), request.c.forget_at.is_(None))
Index("ix_request_refused", request.c.id, sqlite_where=REFUSED, postgresql_where=REFUSED)
# What a person has yet to decide on, apart from what is remembered of the rest. No parameter either.
PENDING = request.c.status == literal_column("'pending'")
Index("ix_request_pending", request.c.decide_by, sqlite_where=PENDING, postgresql_where=PENDING)

held = Table(
    "held",
    metadata,
    Column("request_id", Number, ForeignKey("request.id"), primary_key=True),
    Column("csr", LargeBinary, nullable=False),
    Column("signer", LargeBinary, nullable=False),
    # Of the challenge password that was spent on it, whose number may be another's by now.
    Column("challenge_mac", LargeBinary),
    Column("decided_at", BigInteger),
    # Which CA was asked, as crl.issuer has it; NULL for those of an earlier version.
    Column("issuer", Text),
    # The DER of the extensions that tell where the certificate's status is to be had; NULL: not known.
    Column("status", LargeBinary),
    # What a challenge password or a validator vouched for, as JSON; NULL for nothing.
    Column("grants", Text),
    # Which validator is told how it ends; NULL for none.
    Column("validator", Text),
)

audit = Table(
    "audit",
    metadata,
    # Without gaps, from 1. To SQLite an INTEGER is the row's own number, which needs no index.
    Column("number", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=False),
    Column("at", BigInteger, nullable=False),
    Column("actor", Text, nullable=False),
    Column("action", Text, nullable=False),
    Column("target", Text, nullable=False),
    Column("outcome", Text, nullable=False),
    Column("rule", Text, nullable=False),
    Column("detail", Text, nullable=False),
    # HMAC-SHA-256 over the entry and the chain of the one before it.
    Column("chain", LargeBinary, nullable=False),
)

# The CAs that the database belongs to (see app/store/ownership.py).
authority = Table(
    "authority",
    metadata,
    # As crl.issuer has it.
    Column("issuer", Text, primary_key=True),
    Column("subject", Text, nullable=False),
    # SHA-256 of the certificate, in hexadecimal.
    Column("fingerprint", Text, nullable=False),
    Column("entered_at", BigInteger, nullable=False),
    # HMAC-SHA-256 of the issuer.
    Column("mac", LargeBinary, nullable=False),
)

notification = Table(
    "notification",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("validator", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("profile", Text, nullable=False),
    Column("transaction_id", Text, nullable=False),
    Column("csr", LargeBinary, nullable=False),
    Column("certificate", LargeBinary, nullable=False),
    Column("reason", Text, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("attempts", Integer, nullable=False, server_default="0"),
    # When it is tried next: whoever tries it moves this on first, so that no two do at once.
    Column("next_at", BigInteger, nullable=False),
)
Index("ix_notification_next_at", notification.c.next_at)
