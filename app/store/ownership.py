"""Whose a database is: of which CAs, and under which secret. No other folder may write to it.

Each CA has a row with a MAC under the secret. Who brings neither that secret nor one of these CAs has the
folder of something else, or half a copy: what he wrote would break the audit log for good.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from hmac import compare_digest

from cryptography import x509
from sqlalchemy import Connection, delete, insert, select

from app.store import tables
from app.store.audit_check import was_written_under
from app.store.content_check import is_signed_by
from app.store.keys import StoreKeys
from app.store.locks import lock
from app.store.rows import to_seconds
from ca.issuing.crl import issuer_id
from ca.x509.certificate import Certificate

_authority, _cert, _crl = tables.authority, tables.certificate, tables.crl


@dataclass(frozen=True, slots=True)
class Ownership:
    """How a folder and a database fit; *stranger* says why they do not, and is empty where they do.

    *is_complete* where every CA of the folder has its row.
    """

    stranger: str
    is_complete: bool


def find_ownership(connection: Connection, keys: StoreKeys, cas: Sequence[Certificate]) -> Ownership:
    """Hold the database against a folder's keys and *cas*, that of today first.

    One CA that both know is enough: a rollover adds others to the folder. A database of an earlier version,
    which has no rows, is held against what it was used for.
    """
    issuers = {issuer_id(one) for one in cas}
    rows = connection.execute(select(_authority).order_by(_authority.c.entered_at)).all()
    if rows:
        owner = f"{rows[-1].subject} (SHA-256 {rows[-1].fingerprint})"
        ca_fits = any(row.issuer in issuers for row in rows)
        secret_fits = any(compare_digest(row.mac, keys.owner.mac(row.issuer)) for row in rows)
    else:
        owner = "another CA"
        ca_fits = _was_issued_by(connection, issuers, cas)
        secret_fits = was_written_under(connection, keys.audit)
    stranger = ""
    if not ca_fits:
        ours = f"{cas[0].subject} (SHA-256 {cas[0].fingerprint()})"
        stranger = f"it is of {owner}, and the folder has {ours}"
    elif not secret_fits:
        stranger = "it was used under another secrets.key than the folder's"
    return Ownership(stranger, issuers <= {row.issuer for row in rows})


def take_ownership(
    connection: Connection,
    keys: StoreKeys,
    cas: Sequence[Certificate],
    now: datetime,
    *,
    anew: bool,
) -> Ownership:
    """Enter what is missing where folder and database fit, and return whether they do.

    *anew* is for who knows that the CA or the secret is lost: all rows are then under this one.
    """
    lock(connection, b"authority")
    found = find_ownership(connection, keys, cas)
    if found.stranger and not anew:
        return found
    rows = {row.issuer: dict(row._mapping) for row in connection.execute(select(_authority))}
    for one in cas:
        issuer = issuer_id(one)
        entered = {
            "subject": str(one.subject),
            "fingerprint": one.fingerprint(),
            "entered_at": to_seconds(now),
        }
        rows.setdefault(issuer, {"issuer": issuer, **entered})
    connection.execute(delete(_authority))
    connection.execute(
        insert(_authority), [{**row, "mac": keys.owner.mac(name)} for name, row in rows.items()]
    )
    return Ownership("", is_complete=True)


def _was_issued_by(connection: Connection, issuers: set[str], cas: Sequence[Certificate]) -> bool:
    """Whether what is there is of one of these CAs, or there is nothing of any."""
    signed = set(connection.scalars(select(_crl.c.issuer).distinct()))
    if signed & issuers:
        return True
    der = connection.scalar(select(_cert.c.der).limit(1))
    if der is None:
        return not signed
    return any(is_signed_by(der, x509.load_der_x509_certificate(one.der)) for one in cas)
