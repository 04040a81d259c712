"""Whether what is kept says what was issued: certificates against their rows, CRLs, and what is sealed."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from sqlalchemy import Connection, func, select

from app.store import tables
from app.store.keys import ContentKey, WrongSecret
from app.store.revocation_check import Listed
from app.store.rows import to_json, to_seconds
from ca.asn1 import Asn1Error
from ca.errors import BadAlgorithm
from ca.issuing.authority import issuer_key
from ca.issuing.crl import issuer_id
from ca.issuing.reasons import Reason
from ca.profiles import search_name, subject_key
from ca.x509.certificate import Certificate, key_id

_cert, _crl, _held, _notification = tables.certificate, tables.crl, tables.held, tables.notification
_AT_ONCE = 1000
_SEALED = "it was kept under another secrets.key"


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
    # Of two certificates for one name and key one stands for both.
    issuers = {issuer_id(one): _Issuer(one) for one in cas}
    by_name: dict[bytes, list[_Issuer]] = {}
    for one in issuers.values():
        by_name.setdefault(one.subject_der, []).append(one)
    for row in _rows(connection, _crl):
        on_row()
        yield from ((what, f"CRL {row.number}") for what in _check_crl(row, issuers.get(row.issuer)))
    for row in _rows(connection, _cert):
        on_row()
        yield from ((what, f"certificate {row.serial}") for what in _check_certificate(row, by_name))
    for one in issuers.values():
        yield from one.listed.strangers() if one.listed else ()
    for row in _rows(connection, _held):
        on_row()
        if not _opens(key, row.csr, "held", str(row.request_id)):
            yield _SEALED, f"request {row.request_id}"
    for row in _rows(connection, _notification):
        on_row()
        if not _opens(key, row.csr, "notification", row.validator, row.kind, row.profile, row.transaction_id):
            yield _SEALED, f"notification {row.id}"


class _Issuer:
    """A CA of the folder; *listed* is what its last CRL has, None where there is none that can be read."""

    def __init__(self, certificate: Certificate) -> None:
        self.subject_der = certificate.subject_der
        self.certificate = x509.load_der_x509_certificate(certificate.der)
        self.listed: Listed | None = None


def _rows(connection: Connection, table: Any) -> Iterator[Any]:
    query = select(table).order_by(*table.primary_key)
    yield from connection.execute(query, execution_options={"yield_per": _AT_ONCE})


def _check_certificate(row: Any, issuers: dict[bytes, list[_Issuer]]) -> Iterator[str]:
    try:
        read = Certificate.load(bytes(row.der))
        told = {
            "serial": f"{read.serial_number:x}",
            "subject": str(read.subject),
            "subject_alt_names": to_json(tuple(map(str, read.subject_alt_names))),
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
        for one in (one for several in issuers.values() for one in several):
            if one.listed is not None:
                one.listed.meet(row)
        return
    for name, value in told.items():
        if getattr(row, name) != value:
            yield f"its {name} is not that of its row"
    if (row.revoked_at is None) != (row.reason is None) or row.reason not in (None, *Reason.__members__):
        yield "its reason is none for which it can be revoked"
    candidates = issuers.get(read.issuer_der, [])
    issuer = next((one for one in candidates if is_signed_by(row.der, one.certificate)), None)
    if not candidates:
        yield "no CA in the folder has issued it"
    elif issuer is None:
        yield "its signature is not that of a CA in the folder"
    elif issuer.listed is not None:
        yield from issuer.listed.compare(row)


def is_signed_by(der: bytes, issuer: x509.Certificate) -> bool:
    """Whether a certificate, or what is kept as one, is of that CA."""
    try:
        x509.load_der_x509_certificate(der).verify_directly_issued_by(issuer)
    except (InvalidSignature, ValueError, TypeError):
        return False
    return True


def _check_crl(row: Any, issuer: _Issuer | None) -> Iterator[str]:
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
    if issuer is None:
        return
    # A key that signs is no other than an EC or an RSA one here.
    if not read.is_signature_valid(issuer.certificate.public_key()):  # type: ignore[arg-type]
        yield "its signature is not its CA's"
        return
    # In the order of their numbers: the last stays.
    issuer.listed = Listed(read)


def _opens(key: ContentKey, kept: bytes, *row: str) -> bool:
    try:
        key.unseal(bytes(kept), *row)
    except WrongSecret:
        return False
    return True
