"""The statements for requests that wait for a person, and for the history. Commits nothing itself."""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, and_, delete, exists, func, insert, or_, select, update

from app.store import tables
from app.store.keys import ContentKey, WrongSecret
from app.store.locks import Overtaken
from ca.errors import DecisionImpossible, FailInfo
from ca.policy.queue import TIMED_OUT
from ca.policy.source import source_of
from ca.ports import HeldContent, HeldRequest, Notification, Peer, QueuedRequest, RequestRecord

_challenge, _request, _held = tables.challenge, tables.request, tables.held
_BAD_REQUEST = FailInfo.BAD_REQUEST.label
# Of the same CSR under several transactions the first arrival stands for all.
_FIRST = _request.c.same_as.is_(None)
_LOST = "was kept under another secrets.key: bring that back from a backup, or have the device ask anew"


def held_request(row: Any) -> HeldRequest:
    """From a row of what :meth:`SqlRepository.find_answered` selects."""
    return HeldRequest(
        root=row.same_as or row.request_id,
        request_key=row.request_key,
        transaction_key=row.transaction_key,
        renewal_of=row.renewal_of,
        subject=row.asked_for,
        decide_by=_time(row.decide_by),
        rejection=row.rejection if row.status == "refused" else "",
    )


def count_pending(connection: Connection, profile: str, remote: str, now: datetime) -> tuple[int, int]:
    """How many requests of a profile wait, and how many of them are of one peer."""
    query = select(_request.c.remote, func.count()).where(_waits(now), _FIRST, _request.c.profile == profile)
    # As many rows as may wait at most.
    counts = connection.execute(query.group_by(_request.c.remote)).all()
    source = source_of(remote)
    of_peer = sum(count for address, count in counts if source_of(address) == source)
    return sum(count for _, count in counts), of_peer


def count_waiting(connection: Connection, now: datetime) -> dict[str, int]:
    """How many requests of each profile wait."""
    query = select(_request.c.profile, func.count()).where(_waits(now), _FIRST)
    return dict(connection.execute(query.group_by(_request.c.profile)).all())


def add_held(
    connection: Connection,
    content_key: ContentKey,
    values: dict[str, object],
    content: HeldContent,
    received_at: datetime,
) -> None:
    """Keep a request with what is needed to decide on it, and forget those whose time is over."""
    _forget(connection, received_at)
    times = {"decide_by": _seconds(content.decide_by), "forget_at": _seconds(content.forget_at)}
    added = connection.execute(insert(_request), {**values, **times})
    key = added.inserted_primary_key
    number = key[0] if key else None
    mac = select(_challenge.c.mac).where(_challenge.c.id == values["challenge_id"]).scalar_subquery()
    row = {
        "request_id": number,
        "csr": content_key.seal(content.csr, "held", str(number)),
        "signer": content.signer,
        "issuer": content.issuer,
        "status": content.status or None,
        "grants": content.grants or None,
        "validator": content.validator or None,
    }
    connection.execute(insert(_held).values(**row, challenge_mac=mac))


def take_timed_out(connection: Connection, content_key: ContentKey, now: datetime) -> list[Notification]:
    """What validators are to be told of requests that nobody decided on; of each once."""
    late = (tables.PENDING, _request.c.decide_by <= _seconds(now))
    query = select(
        _request.c.id, _request.c.profile, _request.c.transaction_id, _held.c.csr, _held.c.validator
    )
    query = query.join(_held, _held.c.request_id == _request.c.id)
    told = []
    for row in connection.execute(query.where(*late, _held.c.validator.is_not(None))).all():
        try:
            csr = content_key.unseal(row.csr, "held", str(row.id))
        except WrongSecret:
            continue
        connection.execute(update(_held).where(_held.c.request_id == row.id).values(validator=None))
        told.append(
            Notification(row.validator, "failed", row.profile, row.transaction_id, csr, reason=TIMED_OUT)
        )
    return told


def add_same(connection: Connection, values: dict[str, object], root: int) -> None:
    """Keep other keys of the held request *root*, which share its fate and its times.

    Raises:
        Overtaken: Somebody has just decided on it.

    """
    times = select(_request.c.decide_by, _request.c.forget_at)
    # Whoever decides on it meanwhile waits until these are there, or was faster.
    times = times.where(_request.c.id == root, _request.c.status == "pending").with_for_update(read=True)
    found = connection.execute(times).one_or_none()
    if found is None:
        raise Overtaken
    decide_by, forget_at = found
    more = {"same_as": root, "decide_by": decide_by, "forget_at": forget_at}
    connection.execute(insert(_request), {**values, **more})


def move_held(connection: Connection, root: int, issuer: str, status: bytes, unless: tuple[str, ...]) -> None:
    """Have another CA issue for the held request *root*, unless its CA is one of those."""
    is_other = or_(_held.c.issuer.is_(None), _held.c.issuer.not_in(unless))
    change = update(_held).where(_held.c.request_id == root, _held.c.decided_at.is_(None), is_other)
    connection.execute(change.values(issuer=issuer, status=status or None))


def find_request(
    connection: Connection, content_key: ContentKey, request_id: int, now: datetime
) -> QueuedRequest | None:
    """The request of that number, with what was kept of it.

    Raises:
        DecisionImpossible: That cannot be read.

    """
    status = _held.c.status.label("status_extensions")
    kept = (
        _held.c.csr,
        _held.c.signer,
        _held.c.decided_at,
        _held.c.issuer,
        status,
        _held.c.grants,
        _held.c.validator,
    )
    query = select(_request, *kept)
    query = query.outerjoin(_held, _held.c.request_id == _request.c.id)
    row = connection.execute(query.where(_request.c.id == request_id, _FIRST)).one_or_none()
    if row is None:
        return None
    content = None
    if row.csr is not None and row.forget_at is not None:
        times = _time(row.decide_by), _time(row.forget_at)
        try:
            csr = content_key.unseal(row.csr, "held", str(request_id))
        except WrongSecret as error:
            raise DecisionImpossible(_LOST) from error
        content = HeldContent(
            csr,
            row.signer,
            *times,
            row.issuer or "",
            row.status_extensions or b"",
            row.grants or "",
            row.validator or "",
        )
    return _queued(row, now, content, None if row.decided_at is None else _time(row.decided_at))


def list_requests(connection: Connection, status: str, now: datetime) -> Iterable[QueuedRequest]:
    """Requests, the oldest first; *status* is ``pending``, ``issued``, ``refused`` or ``all``."""
    query = select(_request).where(_FIRST)
    # For the order SQLite would go through the whole history and sort nothing; few wait.
    query = query.order_by(_request.c.id + 0 if status == "pending" else _request.c.id)
    match status:
        case "pending":
            query = query.where(_waits(now))
        case "issued":
            query = query.where(_request.c.status == "issued")
        case "refused":
            late = and_(tables.PENDING, _request.c.decide_by <= _seconds(now))
            query = query.where(or_(_request.c.status == "refused", late))
    return (_queued(row, now) for row in connection.execute(query))


def settle(
    connection: Connection,
    request_id: int,
    now: datetime,
    values: dict[str, object],
) -> None:
    """End a pending request and all that is the same.

    One UPDATE decides: of two people who decide at once, one sees a row count of one.

    Raises:
        DecisionImpossible: It is not pending any more.

    """
    pending = _request.c.status == "pending"
    change = update(_request).values(**values)
    if connection.execute(change.where(_request.c.id == request_id, pending)).rowcount != 1:
        raise DecisionImpossible("was decided already")
    connection.execute(change.where(_request.c.same_as == request_id, pending))
    decided = update(_held).where(_held.c.request_id == request_id)
    connection.execute(decided.values(decided_at=_seconds(now)))


def restore_challenge(connection: Connection, request_id: int) -> bool:
    """Give a use back to the very challenge password that a request spent.

    Its MAC is asked for, because the number of one that was revoked is given again.
    """
    spent = exists().where(
        _request.c.id == request_id,
        _held.c.request_id == request_id,
        _request.c.challenge_id == _challenge.c.id,
        _held.c.challenge_mac == _challenge.c.mac,
    )
    back = update(_challenge).where(spent, _challenge.c.uses_left.is_not(None))
    return connection.execute(back.values(uses_left=_challenge.c.uses_left + 1)).rowcount == 1


def count_waiting_for(connection: Connection, challenge_id: int, now: datetime) -> int:
    """How many requests that spent that challenge password wait for a decision."""
    spent = (_request.c.challenge_id == _challenge.c.id, _held.c.challenge_mac == _challenge.c.mac)
    waiting = (
        select(func.count())
        .select_from(_request)
        .join(_held, _held.c.request_id == _request.c.id)
        .join(_challenge, and_(*spent))
    )
    return connection.execute(waiting.where(_waits(now), _challenge.c.id == challenge_id)).scalar_one()


def _waits(now: datetime) -> Any:
    return and_(tables.PENDING, _request.c.decide_by > _seconds(now))


def _forget(connection: Connection, now: datetime) -> None:
    """Let go of all whose time is over; what is left of them is history."""
    over = _request.c.forget_at <= _seconds(now)
    late = {"status": "refused", "fail_info": _BAD_REQUEST, "reason": TIMED_OUT}
    connection.execute(delete(_held).where(_held.c.request_id.in_(select(_request.c.id).where(over, _FIRST))))
    connection.execute(update(_request).where(over, _request.c.status == "pending").values(**late))
    no_keys = {"request_key": None, "transaction_key": None}
    connection.execute(update(_request).where(over, _request.c.serial.is_(None)).values(**no_keys))
    connection.execute(update(_request).where(over).values(forget_at=None, decide_by=None))


def _queued(
    row: Any, now: datetime, content: HeldContent | None = None, decided_at: datetime | None = None
) -> QueuedRequest:
    late = row.status == "pending" and row.decide_by <= _seconds(now)
    return QueuedRequest(
        id=row.id,
        status="refused" if late else row.status,
        record=RequestRecord(
            received_at=_time(row.received_at),
            peer=Peer(row.remote, row.client),
            transaction_id=row.transaction_id,
            message_type=row.message_type,
            profile=row.profile,
            status=row.status,
            subject=row.subject,
            serial=row.serial,
            renewal_of=row.renewal_of,
            challenge_id=row.challenge_id,
            fail_info=_BAD_REQUEST if late else row.fail_info,
            reason=TIMED_OUT if late else row.reason,
            deviations=tuple(filter(None, row.deviations.split(","))),
        ),
        content=content,
        decided_at=decided_at,
    )


def _seconds(time: datetime) -> int:
    return int(time.timestamp())


def _time(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
