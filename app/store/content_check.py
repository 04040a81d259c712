"""Whether what is kept says what was issued: certificates against their rows, CRLs, and what is sealed."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeAlias

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from sqlalchemy import Connection, Table, select

from app.store import tables
from app.store.keys import ContentKey, WrongSecret
from app.store.revocation_check import Listed
from app.store.row_check import check_row, shown
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


# What is wrong, each with the row that it is wrong with.
Faults: TypeAlias = Iterator[tuple[str, str]]


class ContentCheck:
    """Goes through the tables, one after the other, the certificates after the CRLs.

    *cas* are the certificates of all CAs of the folder; *on_row* is called for each row that was looked at.
    """

    def __init__(
        self,
        connection: Connection,
        key: ContentKey,
        cas: Sequence[Certificate],
        on_row: Callable[[], object],
    ) -> None:
        self._connection = connection
        self._key = key
        self._on_row = on_row
        # Of two certificates for one name and key one stands for both.
        self._issuers = {issuer_id(one): _Issuer(one) for one in cas}
        self._by_name: dict[bytes, list[_Issuer]] = {}
        for one in self._issuers.values():
            self._by_name.setdefault(one.subject_der, []).append(one)

    def tables(self) -> Iterator[tuple[str, Faults]]:
        """The check of each table, by the table's name: it may end in an error of the database."""
        yield _crl.name, self._crls()
        yield _cert.name, self._certificates()
        yield _held.name, self._held()
        yield _notification.name, self._notifications()
        for table in (tables.challenge, tables.request):
            yield table.name, self._plain(table)

    def _crls(self) -> Faults:
        last: dict[str, Listed | None] = {}
        is_sure = True
        # In the order of their numbers: the last stays.
        for row, wrong in self._rows(_crl):
            name = f"CRL {shown(row.number)}"
            yield from ((what, name) for what in wrong)
            if wrong:
                # Nobody knows any more which one is the last.
                is_sure = False
                continue
            last[row.issuer] = None
            for what in _check_crl(row, self._issuers.get(row.issuer), last):
                yield what, name
        for issuer, listed in last.items():
            if is_sure and issuer in self._issuers:
                self._issuers[issuer].listed = listed

    def _certificates(self) -> Faults:
        for row, wrong in self._rows(_cert):
            name = f"certificate {shown(row.serial)}"
            yield from ((what, name) for what in wrong or _check_certificate(row, self._by_name))
            if wrong:
                _meet(row, self._by_name)
        for one in self._issuers.values():
            yield from one.listed.strangers() if one.listed else ()

    def _held(self) -> Faults:
        for row, wrong in self._rows(_held):
            name = f"request {shown(row.request_id)}"
            yield from ((what, name) for what in wrong)
            if not wrong and not _opens(self._key, row.csr, "held", str(row.request_id)):
                yield _SEALED, name

    def _notifications(self) -> Faults:
        for row, wrong in self._rows(_notification):
            name = f"notification {shown(row.id)}"
            yield from ((what, name) for what in wrong)
            sealed_for = (row.validator, row.kind, row.profile, row.transaction_id)
            if not wrong and not _opens(self._key, row.csr, "notification", *sealed_for):
                yield _SEALED, name

    def _plain(self, table: Table) -> Faults:
        for row, wrong in self._rows(table):
            yield from ((what, f"{table.name} {shown(row.id)}") for what in wrong)

    def _rows(self, table: Table) -> Iterator[tuple[Any, list[str]]]:
        """All rows, in the order of their keys, each with what is wrong with its columns."""
        query = select(table).order_by(*table.primary_key)
        for row in self._connection.execute(query, execution_options={"yield_per": _AT_ONCE}):
            self._on_row()
            yield row, list(check_row(row, table))


class _Issuer:
    """A CA of the folder; *listed* is what its last CRL has, None where there is none that can be read."""

    def __init__(self, certificate: Certificate) -> None:
        self.subject_der = certificate.subject_der
        self.certificate = x509.load_der_x509_certificate(certificate.der)
        self.listed: Listed | None = None


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
        _meet(row, issuers)
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


def _meet(row: Any, issuers: dict[bytes, list[_Issuer]]) -> None:
    """Have it be here for whichever CRL lists it: what else is wrong with it is told already."""
    for one in (one for several in issuers.values() for one in several):
        if one.listed is not None:
            one.listed.meet(row)


def is_signed_by(der: bytes, issuer: x509.Certificate) -> bool:
    """Whether a certificate, or what is kept as one, is of that CA."""
    try:
        x509.load_der_x509_certificate(der).verify_directly_issued_by(issuer)
    except (InvalidSignature, ValueError, TypeError):
        return False
    return True


def _check_crl(row: Any, issuer: _Issuer | None, last: dict[str, Listed | None]) -> Iterator[str]:
    """What is wrong with it; what is listed in one that is good goes into *last*, by its issuer."""
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
    last[row.issuer] = Listed(read)


def _opens(key: ContentKey, kept: bytes, *row: str) -> bool:
    try:
        key.unseal(bytes(kept), *row)
    except WrongSecret:
        return False
    return True
