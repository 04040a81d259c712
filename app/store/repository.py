"""The repository: every statement that enrolling and administering needs. Commits nothing itself."""

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime
from itertools import islice
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    and_,
    bindparam,
    delete,
    insert,
    literal,
    or_,
    select,
    text,
    update,
)

from app.store import figures, ndes, notifications, queue, tables
from app.store.audit import AuditChain, last_entry, list_entries
from app.store.audit_check import check_audit
from app.store.database_check import Fault, check_database
from app.store.keys import StoreKeys
from app.store.listing import ALL, Wanted, list_certificates
from app.store.locks import lock, share
from app.store.notifications import ClaimedNotification
from app.store.ownership import Ownership, find_ownership, take_ownership
from app.store.prepared import Prepared
from app.store.records import AuditHead, AuditReport, Challenge, Figures, NewChallenge, WrittenEntry
from app.store.revocations import RevocationStatements
from app.store.row_check import whatever_text
from app.store.rows import storable, to_json
from app.store.rows import to_certificate as _certificate
from app.store.rows import to_seconds as _seconds
from app.store.rows import to_time as _time
from app.store.snapshot import Snapshot
from app.store.trial import try_to_write
from ca.errors import ChallengeRejected, ChallengeReused, FailInfo
from ca.ports import (
    AnsweredRequest,
    AuditEntry,
    GoodChallenge,
    HeldContent,
    HeldRequest,
    Notification,
    QueuedRequest,
    RequestRecord,
    StoredCertificate,
)
from ca.x509.certificate import Certificate

# Refusals are anybody's to cause, so only the newest are kept.
MAX_REFUSALS = 100_000
PRUNE_EVERY = 1_000
# A statement has fewer than the least number that any SQLite takes.
PARAMETERS = 500

_cert, _challenge, _request = tables.certificate, tables.challenge, tables.request
_notification = tables.notification

_FIND_ANSWERED = Prepared(
    select(
        _request.c.id.label("request_id"),
        _request.c.request_key,
        _request.c.transaction_key,
        _request.c.renewal_of,
        _request.c.subject.label("asked_for"),
        _request.c.status,
        _request.c.reason.label("rejection"),
        _request.c.same_as,
        _request.c.decide_by,
        _cert,
    )
    .outerjoin(_cert, _cert.c.serial == _request.c.serial)
    .where(
        or_(
            _request.c.request_key == bindparam("request_key"),
            _request.c.transaction_key == bindparam("transaction_key"),
        ),
        or_(
            and_(_cert.c.revoked_at.is_(None), _cert.c.not_after > bindparam("now")),
            # Waiting for a person, or refused by one, and not forgotten yet.
            and_(_request.c.serial.is_(None), _request.c.forget_at > bindparam("now")),
        ),
    )
    .order_by(_request.c.id.desc())
)
_FIND_CERTIFICATE = Prepared(select(_cert).where(_cert.c.serial == bindparam("serial")))
_FIND_COMPROMISED = Prepared(
    select(_cert.c.serial).where(_cert.c.key_id == bindparam("key_id"), tables.COMPROMISED).limit(1)
)
_FIND_CHALLENGE = Prepared(select(_challenge).where(_challenge.c.mac == bindparam("mac")))
_SPEND_CHALLENGE = Prepared(
    update(_challenge)
    .where(_challenge.c.id == bindparam("challenge"), _challenge.c.uses_left > 0)
    .values(uses_left=_challenge.c.uses_left - 1, used_at=bindparam("now"), used_by=bindparam("for_whom"))
)
_REVOCATION = ("revoked_at", "reason", "issuer_key")
_ADD_CERTIFICATE = Prepared(
    insert(_cert), [column.name for column in _cert.c if column.name not in _REVOCATION]
)
# The times of one that waits for a person are set in its own statement.
_HELD_COLUMNS = ("same_as", "decide_by", "forget_at")
_REQUEST_COLUMNS = [column.name for column in _request.c if column.name not in ("id", *_HELD_COLUMNS)]
_ADD_REQUEST = Prepared(insert(_request), _REQUEST_COLUMNS)
_ADD_REFUSED = Prepared(insert(_request).returning(_request.c.id), _REQUEST_COLUMNS)


class SqlRepository(RevocationStatements):
    """The store inside one transaction (see :class:`ca.ports.Repository`)."""

    def __init__(self, connection: Connection, keys: StoreKeys) -> None:
        super().__init__(connection)
        self._keys = keys
        # Whether there is something new to tell a validator (see SqlStore.on_notification).
        self.has_notified = False
        self._entries: list[AuditEntry] = []

    def mark(self) -> int:
        """What :meth:`back_to` takes, to forget what was to be written after it."""
        return len(self._entries)

    def back_to(self, mark: int) -> None:
        """Forget what was to be written since *mark*; the database is told by others."""
        del self._entries[mark:]

    @property
    def has_more(self) -> bool:
        """Whether :meth:`finish` has anything to do."""
        return bool(self._entries)

    def finish(self) -> None:
        """Write what comes last in a transaction.

        The audit log has one end for all servers: whoever writes it keeps the others waiting until he
        has committed.
        """
        if self._entries:
            chain = AuditChain(self._connection, self._keys.audit)
            for entry in self._entries:
                chain.add(entry)
        self._entries.clear()

    def find_answered(
        self, request_key: bytes, transaction_key: bytes, now: datetime
    ) -> list[AnsweredRequest | HeldRequest]:
        """Requests with either key, answered or held, newest first (see :class:`ca.ports.Repository`)."""
        parameters = {
            "request_key": request_key,
            "transaction_key": transaction_key,
            "now": _seconds(now),
        }
        if request_key:
            # A poll makes nothing; but of two who make the same, on two servers, the second has to see it.
            lock(self._connection, request_key, transaction_key)
        rows = _FIND_ANSWERED.rows(self._connection, parameters)
        return [
            AnsweredRequest(row.request_key, row.renewal_of, _certificate(row))
            if row.serial
            else queue.held_request(row)
            for row in rows
        ]

    def find_certificate(self, serial: str) -> StoredCertificate | None:
        """The certificate of that serial number, in lower-case hexadecimal.

        Nobody revokes it before the transaction ends, which may be about its renewal.
        """
        share(self._connection, serial.encode())
        rows = _FIND_CERTIFICATE.rows(self._connection, {"serial": serial})
        return _certificate(rows[0]) if rows else None

    def find_challenge(
        self, mac: bytes, profile: str, now: datetime, *, guessable: bool = True
    ) -> GoodChallenge:
        """What a challenge password is good for (see :class:`ca.ports.Repository`)."""
        row = self._find_challenge(mac, profile, now, guessable=guessable)
        if row.uses_left == 0:
            raise _reused(row)
        return _good_challenge(row)

    def spend_challenge(
        self, mac: bytes, profile: str, subject: str, now: datetime, *, guessable: bool = True
    ) -> GoodChallenge:
        """Use up a challenge password (see :class:`ca.ports.Repository`).

        One UPDATE decides: of two requests that race for the last use, one sees a row count of one.
        """
        row = self._find_challenge(mac, profile, now, guessable=guessable)
        if row.uses_left is not None:
            use = {"challenge": row.id, "now": _seconds(now), "for_whom": subject}
            if _SPEND_CHALLENGE.run(self._connection, use).rowcount != 1:
                raise _reused(row)
        return _good_challenge(row)

    def _find_challenge(self, mac: bytes, profile: str, now: datetime, *, guessable: bool) -> Any:
        rows = _FIND_CHALLENGE.rows(self._connection, {"mac": mac})
        if not rows:
            raise ChallengeRejected(detail="unknown challenge password")
        row = rows[0]
        if row.guessable and not guessable:
            # Before anything else, so that the right one costs no more work than a wrong one.
            raise ChallengeRejected(detail=f"challenge {row.id}")
        if row.profile != profile:
            raise ChallengeRejected(detail=f"challenge {row.id} is for profile {row.profile}")
        if row.expires_at is not None and row.expires_at <= _seconds(now):
            raise ChallengeRejected(detail=f"challenge {row.id} has expired")
        return row

    def add_certificate(self, certificate: StoredCertificate) -> None:
        """Keep an issued certificate."""
        _ADD_CERTIFICATE.send(
            self._connection,
            {
                "serial": certificate.serial,
                "der": certificate.der,
                "subject": certificate.subject,
                "subject_alt_names": to_json(certificate.subject_alt_names),
                "profile": certificate.profile,
                "not_before": _seconds(certificate.not_before),
                "not_after": _seconds(certificate.not_after),
                "transaction_id": certificate.transaction_id,
                "renewed_from": certificate.renewed_from,
                "key_id": certificate.key_id,
                "subject_key": certificate.subject_key,
                "name": certificate.name,
            },
        )

    def add_request(self, request: RequestRecord) -> None:
        """Keep a request; of refused ones the newest alone."""
        if request.status != "refused":
            _ADD_REQUEST.send(self._connection, _request_values(request))
        elif _ADD_REFUSED.rows(self._connection, _request_values(request))[0].id % PRUNE_EVERY == 0:
            self._prune_refusals()

    def _prune_refusals(self) -> None:
        newest = select(_request.c.id).where(tables.REFUSED).order_by(_request.c.id.desc())
        oldest_kept = self._connection.scalar(newest.offset(MAX_REFUSALS).limit(1))
        if oldest_kept is not None:
            self._connection.execute(delete(_request).where(tables.REFUSED, _request.c.id <= oldest_kept))

    def add_audit(self, entry: AuditEntry) -> None:
        """Write the next entry of the audit log, at the end of the transaction."""
        self._entries.append(entry)

    def audit_head(self) -> AuditHead:
        """Where the audit log ends."""
        return last_entry(self._connection)

    def list_audit(self, since: datetime | None = None, limit: int = 100) -> list[WrittenEntry]:
        """The newest entries of the audit log, *limit* at most and none before *since*, the newest last.

        Raises:
            StoreUnavailable: One was changed into something that is no entry.

        """
        return list_entries(self._connection, since, limit)

    def check_audit(
        self, known: AuditHead | None = None, on_entry: Callable[[], object] = lambda: None
    ) -> AuditReport:
        """Go through the whole audit log, and through whether *known* is still an entry of it.

        *on_entry* is called for each that was looked at.
        """
        with whatever_text(self._connection):
            return check_audit(self._connection, self._keys.audit, known, on_entry)

    def add_notification(self, notification: Notification, at: datetime) -> None:
        """Keep what a validator has to be told, until it was."""
        notifications.add_notification(self._connection, self._keys.content, notification, at)
        self.has_notified = True

    def next_notification(self) -> datetime | None:
        """When the first notification is due; None where there is none."""
        return notifications.next_notification(self._connection)

    def next_by_validator(self) -> dict[str, datetime]:
        """When the first notification is due for each validator that there are any for."""
        return notifications.next_by_validator(self._connection)

    def claim_notifications(
        self, now: datetime, most: int, validator: str | None = None
    ) -> list[ClaimedNotification]:
        """Take up to *most* notifications that are due, so that nobody else delivers them meanwhile."""
        return notifications.claim_notifications(self._connection, self._keys.content, now, most, validator)

    def remove_notifications(self, ids: Sequence[int]) -> None:
        """Forget notifications that were delivered, or given up."""
        notifications.remove_notifications(self._connection, ids)

    def find_active(self, subject_key: bytes, now: datetime) -> list[StoredCertificate]:
        """Certificates of that subject and profile that are neither revoked nor expired, oldest first."""
        lock(self._connection, b"subject" + subject_key)
        return self._in_force(_cert.c.subject_key == subject_key, now)

    def is_compromised(self, key_id: bytes) -> bool:
        """Whether a certificate for that key was revoked because others may have the key."""
        return bool(_FIND_COMPROMISED.rows(self._connection, {"key_id": key_id}))

    def find_by_key(self, key_id: bytes, now: datetime) -> list[StoredCertificate]:
        """Certificates of that public key that are neither revoked nor expired, oldest first."""
        lock(self._connection, b"key" + key_id)
        return self._in_force(_cert.c.key_id == key_id, now)

    def _in_force(self, condition: ColumnElement[bool], now: datetime) -> list[StoredCertificate]:
        alive = and_(_cert.c.revoked_at.is_(None), _cert.c.not_after > _seconds(now))
        query = select(_cert).where(condition, alive).order_by(_cert.c.not_before, _cert.c.serial)
        return list(map(_certificate, self._connection.execute(query)))

    def count_pending(self, profile: str, remote: str, now: datetime) -> tuple[int, int]:
        """How many requests of a profile wait for a person, and how many of them are of one peer."""
        lock(self._connection, b"queue")
        return queue.count_pending(self._connection, profile, remote, now)

    def add_held(self, request: RequestRecord, content: HeldContent) -> None:
        """Keep a request until a person has decided on it, and have told that others waited in vain."""
        values, key = _request_values(request), self._keys.content
        for one in queue.take_timed_out(self._connection, key, request.received_at):
            self.add_notification(one, request.received_at)
        queue.add_held(self._connection, key, values, content, request.received_at)

    def add_same(self, request: RequestRecord, root: int) -> None:
        """Keep that the held request *root* was also made under the keys of *request*."""
        queue.add_same(self._connection, _request_values(request), root)

    def move_held(self, root: int, issuer: str, status: bytes, unless: tuple[str, ...]) -> None:
        """Have another CA issue for a held request (see :class:`ca.ports.Repository`)."""
        queue.move_held(self._connection, root, issuer, status, unless)

    def find_request(self, request_id: int, now: datetime) -> QueuedRequest | None:
        """The request of that number."""
        return queue.find_request(self._connection, self._keys.content, request_id, now)

    def list_requests(self, now: datetime, status: str = "all") -> Iterable[QueuedRequest]:
        """Requests, the oldest first; *status* is ``pending``, ``issued``, ``refused`` or ``all``."""
        return queue.list_requests(self._connection, status, now)

    def settle_issued(self, request_id: int, serial: str, now: datetime) -> None:
        """Give a pending request its certificate (see :class:`ca.ports.Repository`)."""
        queue.settle(self._connection, request_id, now, {"status": "issued", "serial": serial})

    def settle_refused(self, request_id: int, reason: str, now: datetime, forget_at: datetime) -> None:
        """Refuse a pending request for good (see :class:`ca.ports.Repository`)."""
        values = {"status": "refused", "fail_info": FailInfo.BAD_REQUEST.label, "reason": reason}
        queue.settle(self._connection, request_id, now, {**values, "forget_at": _seconds(forget_at)})

    def count_waiting_for(self, challenge_id: int, now: datetime) -> int:
        """How many requests that spent that challenge password wait for a decision."""
        return queue.count_waiting_for(self._connection, challenge_id, now)

    def restore_challenge(self, request_id: int) -> bool:
        """Give back the use that a held request made of a challenge password, if it has a limit."""
        return queue.restore_challenge(self._connection, request_id)

    def add_challenge(self, challenge: NewChallenge) -> int | None:
        """Keep a new challenge password and return its number; None if there is one with that secret."""
        lock(self._connection, challenge.mac)
        if _FIND_CHALLENGE.rows(self._connection, {"mac": challenge.mac}):
            return None
        result = self._connection.execute(insert(_challenge), _challenge_values(challenge))
        key = result.inserted_primary_key
        return int(key[0]) if key else None

    def add_challenges(self, challenges: Sequence[NewChallenge]) -> list[int]:
        """Keep new challenge passwords, none of which is there yet, and return their numbers in order.

        Raises:
            IntegrityError: One of them is there.

        """
        self._connection.execute(insert(_challenge), [_challenge_values(one) for one in challenges])
        numbers = self._challenge_numbers(one.mac for one in challenges)
        return [numbers[one.mac] for one in challenges]

    def find_challenges(self, macs: Iterable[bytes]) -> set[bytes]:
        """Those of *macs* under which a challenge password is kept."""
        return set(self._challenge_numbers(macs))

    def _challenge_numbers(self, macs: Iterable[bytes]) -> dict[bytes, int]:
        columns = select(_challenge.c.mac, _challenge.c.id)
        return {
            row.mac: row.id
            for some in _batched(macs, PARAMETERS)
            for row in self._connection.execute(columns.where(_challenge.c.mac.in_(some)))
        }

    def list_challenges(self) -> list[Challenge]:
        """All challenge passwords that were not revoked, oldest first, without their secrets."""
        rows = self._connection.execute(select(_challenge).order_by(_challenge.c.id))
        return [
            Challenge(
                id=row.id,
                profile=row.profile,
                uses_left=row.uses_left,
                expires_at=None if row.expires_at is None else _time(row.expires_at),
                subject=row.subject,
                subject_alt_names=tuple(json.loads(row.subject_alt_names or "[]")),
                note=row.note,
                created_at=_time(row.created_at),
                sid=row.sid,
                used_at=None if row.used_at is None else _time(row.used_at),
                used_by=row.used_by or "",
            )
            for row in rows
        ]

    def revoke_challenge(self, challenge_id: int) -> bool:
        """Forget a challenge password. False where there is none of that number."""
        gone = self._connection.execute(delete(_challenge).where(_challenge.c.id == challenge_id))
        return gone.rowcount == 1

    def count_unused_challenges(self, note: str, now: datetime) -> int:
        """How many challenge passwords with that *note* may still be used.

        Whoever asks is alone with making one until the transaction ends.
        """
        lock(self._connection, note.encode())
        return ndes.count_unused(self._connection, note, now)

    def find_lasting_challenges(self, prefix: str, profile: str) -> list[tuple[str, bytes]]:
        """Note and MAC of the profile's challenge passwords without limit whose note begins with *prefix*.

        Whoever asks is alone with making one until the transaction ends.
        """
        lock(self._connection, prefix.encode())
        return ndes.find_lasting(self._connection, prefix, profile)

    def list_certificates(self, now: datetime, wanted: Wanted = ALL) -> Iterator[StoredCertificate]:
        """Certificates, the one that ends first in front; read as they are asked for (see :mod:`listing`)."""
        return list_certificates(self._connection, now, wanted)

    def index_certificates(self, *, by_key: bool, by_subject: bool) -> None:
        """Make the indexes by which certificates are found by key or by subject, unless they are there.

        They are made when a profile asks for it: everybody's enrolments would pay for them.
        """
        for wanted, column in ((by_key, "key_id"), (by_subject, "subject_key")):
            if wanted:
                name = f"ix_certificate_{column}"
                self._connection.execute(text(f"CREATE INDEX IF NOT EXISTS {name} ON certificate ({column})"))

    def count_all(self, now: datetime, days: Sequence[int]) -> Figures:
        """How much there is, and how many certificates end within each of so many *days*."""
        return figures.count_all(self._connection, now, days)

    def snapshot(self) -> Snapshot:
        """The whole database as this transaction sees it; for one that only reads."""
        return Snapshot(self._connection)

    def check_database(
        self,
        cas: Sequence[Certificate],
        on_begin: Callable[[int], object] = lambda _: None,
        on_row: Callable[[], object] = lambda: None,
    ) -> list[Fault]:
        """All that is wrong with the database (see :func:`app.store.database_check.check_database`)."""
        return check_database(self._connection, self._keys, cas, on_begin, on_row)

    def find_ownership(self, cas: Sequence[Certificate]) -> Ownership:
        """Whether the database is of *cas* (see :func:`app.store.ownership.find_ownership`)."""
        return find_ownership(self._connection, self._keys, cas)

    def take_ownership(self, cas: Sequence[Certificate], now: datetime, *, anew: bool) -> Ownership:
        """Enter *cas* where they fit, and return whether they do; *anew* whether they do or not."""
        return take_ownership(self._connection, self._keys, cas, now, anew=anew)

    def try_to_write(self) -> None:
        """Write what leaves nothing behind (see :func:`app.store.trial.try_to_write`)."""
        try_to_write(self._connection)

    def is_alive(self) -> bool:
        """Whether the database answers."""
        return self._connection.scalar(select(literal(1))) == 1


def _challenge_values(challenge: NewChallenge) -> dict[str, object]:
    names = challenge.subject_alt_names
    return {
        "mac": challenge.mac,
        "profile": challenge.profile,
        "uses_left": challenge.uses_left,
        "expires_at": _seconds(challenge.expires_at) if challenge.expires_at else None,
        "subject": challenge.subject,
        "subject_alt_names": None if names is None else json.dumps(names),
        "note": challenge.note,
        "created_at": _seconds(challenge.created_at),
        "sid": challenge.sid,
        "guessable": int(challenge.guessable),
    }


def _batched(values: Iterable[bytes], size: int) -> Iterator[list[bytes]]:
    rest = iter(values)
    while some := list(islice(rest, size)):
        yield some


def _good_challenge(row: Any) -> GoodChallenge:
    names = None if row.subject_alt_names is None else tuple(json.loads(row.subject_alt_names))
    return GoodChallenge(row.id, row.subject, names, row.sid, bool(row.guessable))


def _reused(row: Any) -> ChallengeReused:
    # RFC 8894 7.3: someone presents it who should not know it, or a device is confused.
    return ChallengeReused(detail=f"challenge {row.id} was used already{_use(row)}: a possible breach")


def _use(row: Any) -> str:
    """By whom and when a challenge password was used, as far as it was noted."""
    return f" by {row.used_by} on {_time(row.used_at):%Y-%m-%d at %H:%M} UTC" if row.used_at else ""


def _request_values(request: RequestRecord) -> dict[str, object]:
    """The row of a request; its keys only where it can be asked for again."""
    lasting = request.serial is not None or request.status == "pending"
    return {
        "received_at": _seconds(request.received_at),
        "remote": request.peer.remote,
        "client": storable(request.peer.client),
        "transaction_id": request.transaction_id,
        "message_type": request.message_type,
        "profile": request.profile,
        "status": request.status,
        "subject": request.subject,
        "serial": request.serial,
        "renewal_of": request.renewal_of,
        "request_key": request.request_key if lasting else None,
        "transaction_key": request.transaction_key if lasting else None,
        "challenge_id": request.challenge_id,
        "fail_info": request.fail_info,
        "reason": storable(request.reason),
        "deviations": ",".join(request.deviations),
    }
