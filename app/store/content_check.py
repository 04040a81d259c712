"""Whether what is kept says what was issued: certificates against their rows, CRLs, and what is sealed."""

import json
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from sqlalchemy import Connection, func, select

from app.store import tables
from app.store.keys import ContentKey, WrongSecret
from app.store.rows import to_seconds
from ca.asn1 import Asn1Error
from ca.errors import BadAlgorithm
from ca.issuing.authority import issuer_key
from ca.issuing.crl import issuer_id
from ca.issuing.reasons import Reason
from ca.profiles import search_name, subject_key
from ca.x509.certificate import Certificate, key_id

_cert, _crl, _held, _notification = tables.certificate, tables.crl, tables.held, tables.notification
_AT_ONCE = 1000


def count_rows(connection: Connection) -> int:
    """How many rows :func:`check_contents` looks at."""
    several = (_cert, _crl, _held, _notification)
    return sum(connection.scalar(select(func.count()).select_from(table)) or 0 for table in several)


def check_contents(
    connection: Connection, key: ContentKey, cas: Sequence[Certificate], on_row: Callable[[], object]
) -> Iterator[tuple[str, str]]:
    """What is wrong, each with the row that it is wrong with.

    *cas* are the certificates of all CAs of the folder; *on_row* is called for each row that was looked at.
    """
    issuers = {one.subject_der + one.spki: x509.load_der_x509_certificate(one.der) for one in cas}
    by_name: dict[bytes, list[x509.Certificate]] = {}
    for one in cas:
        by_name.setdefault(one.subject_der, []).append(issuers[one.subject_der + one.spki])
    for row in _rows(connection, _cert):
        on_row()
        yield from ((what, f"certificate {row.serial}") for what in _check_certificate(row, by_name))
    known = {issuer_id(one): issuers[one.subject_der + one.spki] for one in cas}
    for row in _rows(connection, _crl):
        on_row()
        yield from ((what, f"CRL {row.number}") for what in _check_crl(row, known.get(row.issuer)))
    for row in _rows(connection, _held):
        on_row()
        if not _opens(key, row.csr, "held", str(row.request_id)):
            yield _SEALED, f"request {row.request_id}"
    for row in _rows(connection, _notification):
        on_row()
        if not _opens(key, row.csr, "notification", row.validator, row.kind, row.profile, row.transaction_id):
            yield _SEALED, f"notification {row.id}"


_SEALED = "it was kept under another secrets.key"


def _rows(connection: Connection, table: Any) -> Iterator[Any]:
    query = select(table).order_by(*table.primary_key)
    yield from connection.execute(query, execution_options={"yield_per": _AT_ONCE})


def _check_certificate(row: Any, issuers: dict[bytes, list[x509.Certificate]]) -> Iterator[str]:
    try:
        read = Certificate.load(bytes(row.der))
        told = {
            "serial": f"{read.serial_number:x}",
            "subject": str(read.subject),
            "subject_alt_names": json.dumps(tuple(map(str, read.subject_alt_names))),
            "not_before": to_seconds(read.not_valid_before),
            "not_after": to_seconds(read.not_valid_after),
            "name": search_name(read.subject, read.subject_alt_names),
        }
        if row.key_id is not None:
            told["key_id"] = key_id(read.spki)
        if row.subject_key is not None:
            told["subject_key"] = subject_key(row.profile, read.subject, read.subject_alt_names)
        if row.revoked_at is not None:
            told["issuer_key"] = issuer_key(read)
    except (Asn1Error, BadAlgorithm, ValueError, TypeError) as error:
        yield f"it cannot be read: {error}"
        return
    for name, value in told.items():
        if getattr(row, name) != value:
            yield f"its {name} is not that of its row"
    if (row.revoked_at is None) != (row.reason is None) or row.reason not in (None, *Reason.__members__):
        yield "its reason is none for which it can be revoked"
    candidates = issuers.get(read.issuer_der, [])
    if not candidates:
        yield "no CA in the folder has issued it"
    elif not any(_signed(row.der, one) for one in candidates):
        yield "its signature is not that of a CA in the folder"


def _signed(der: bytes, issuer: x509.Certificate) -> bool:
    try:
        x509.load_der_x509_certificate(der).verify_directly_issued_by(issuer)
    except (InvalidSignature, ValueError, TypeError):
        return False
    return True


def _check_crl(row: Any, issuer: x509.Certificate | None) -> Iterator[str]:
    if issuer is None:
        yield "it is of no CA in the folder"
    # Of a CA that may not sign any there is a number alone.
    if not row.der:
        return
    try:
        read = x509.load_der_x509_crl(bytes(row.der))
        number = read.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number
        ends = read.next_update_utc
        times = (to_seconds(read.last_update_utc), to_seconds(ends) if ends else 0)
    except (ValueError, x509.ExtensionNotFound) as error:
        yield f"it cannot be read: {error}"
        return
    if number != row.number:
        yield "its number is not that of its row"
    if times != (row.this_update, row.next_update):
        yield "its times are not those of its row"
    # A key that signs is no other than an EC or an RSA one here.
    if issuer is not None and not read.is_signature_valid(issuer.public_key()):  # type: ignore[arg-type]
        yield "its signature is not its CA's"


def _opens(key: ContentKey, kept: bytes, *row: str) -> bool:
    try:
        key.unseal(bytes(kept), *row)
    except WrongSecret:
        return False
    return True
