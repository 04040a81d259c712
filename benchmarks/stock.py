"""Filling a data folder with certificates as if they had been enrolled, by the program's own statements."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

from rich.progress import track

from app.config.load import load_config
from app.configured_store import open_configured_store
from app.data_folder import DataFolder
from app.store import SqlRepository, SqlStore, Wanted
from app.succession import load_succession
from benchmarks.measure import console
from ca.asn1 import writer
from ca.issuing.authority import Authority, new_serial_number
from ca.ports import AuditEntry, Peer, RequestRecord, StoredCertificate

AT_ONCE = 5000
# One of so many is revoked.
REVOKED_OF = 20
# Over what time they were enrolled, up to now.
_SPAN = timedelta(days=300)


class Stock:
    """The store of a data folder beside its server, and the CA whose certificates are in it."""

    def __init__(self, store: SqlStore, authority: Authority) -> None:
        self.store = store
        self.authority = authority

    def fill(self, count: int) -> None:
        """Add *count* certificates, with their requests and entries of the audit log, and revoke some.

        Each is the first one of the store with another serial number, subject and time; its signature
        no longer holds, which nobody looks at.
        """
        (template,), now = self.some(1), datetime.now(UTC).replace(microsecond=0)
        times = [now - _SPAN * (1 - number / count) for number in range(count)]
        for start in track(range(0, count, AT_ONCE), f"filling with {count:,}", console=console):
            self.store.transact(partial(self._add, template, times[start : start + AT_ONCE]))

    def _add(self, template: StoredCertificate, times: list[datetime], repository: SqlRepository) -> None:
        for number, at in enumerate(times):
            one = _like(template, at)
            _add_enrolled(repository, one)
            if number % REVOKED_OF == 0:
                repository.revoke_certificate(one.serial, at, "superseded", self.authority.issuer_key)

    def some(self, count: int, name: str = "device-") -> list[StoredCertificate]:
        """*count* certificates that are good, in the order of their names, which begin with *name*."""
        now, wanted = datetime.now(UTC), Wanted("valid", name=name, limit=count)
        return self.store.read(lambda repository: list(repository.list_certificates(now, wanted)))


@contextmanager
def stock_of(folder: Path) -> Iterator[Stock]:
    """The stock of a data folder."""
    data = DataFolder(folder)
    cas, _ = load_succession(data, datetime.now(UTC))
    store = open_configured_store(data, load_config(data.settings if data.settings.exists() else None))
    try:
        yield Stock(store, cas.current.authority)
    finally:
        store.close()


def _like(template: StoredCertificate, not_before: datetime) -> StoredCertificate:
    old_serial, name = writer.integer(int(template.serial, 16)), f"device-{os.urandom(8).hex()}"
    # Of the same length, as all else: no other octet of the DER changes.
    while len(writer.integer(serial := new_serial_number())) != len(old_serial):
        pass
    not_after = not_before + (template.not_after - template.not_before)
    der = template.der
    for old, new in (
        (old_serial, writer.integer(serial)),
        (template.name.encode(), name.encode()),
        (writer.time(template.not_before), writer.time(not_before)),
        (writer.time(template.not_after), writer.time(not_after)),
    ):
        der = der.replace(old, new, 1)
    return replace(
        template,
        serial=f"{serial:x}",
        der=der,
        subject=f"CN={name}",
        name=name,
        not_before=not_before,
        not_after=not_after,
        transaction_id=os.urandom(20).hex(),
        subject_key=os.urandom(len(template.subject_key)),
    )


def _add_enrolled(repository: SqlRepository, one: StoredCertificate) -> None:
    request = RequestRecord(
        received_at=one.not_before,
        peer=Peer("127.0.0.1"),
        transaction_id=one.transaction_id,
        message_type="PKCSReq",
        profile=one.profile,
        status="issued",
        subject=one.subject,
        serial=one.serial,
        request_key=os.urandom(32),
        transaction_key=os.urandom(32),
        challenge_id=1,
    )
    repository.add_certificate(one)
    repository.add_request(request)
    detail = f"serial {one.serial}"
    repository.add_audit(
        AuditEntry(one.not_before, "device 127.0.0.1", "enrol", one.subject, "issued", "challenge 1", detail)
    )
