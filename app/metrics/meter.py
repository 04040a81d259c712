"""Counts what is served, in the memory that all processes share. Costs some microseconds a request."""

import time
from bisect import bisect_left
from collections.abc import Callable
from threading import Lock

from app.http.traffic import Closed, TurnedAway
from app.metrics.catalogue import (
    BUCKETS,
    CONNECTIONS,
    CONNECTIONS_CLOSED,
    OF_THE_MOMENT,
    OPERATION_DURATION,
    OPERATIONS,
    RECORDINGS_LEFT_OUT,
    REFUSALS,
    REQUESTS_QUEUED,
    REQUESTS_TURNED_AWAY,
    REVOCATION_QUERIES,
    STAGE_DURATION,
    VALIDATOR_DURATION,
    VALIDATOR_FAILURE,
    VALIDATOR_SUCCESS,
    VALIDATOR_VERDICTS,
    WEAK_ALGORITHMS,
    WORKER_STARTS,
)
from app.metrics.clients import family_of
from app.metrics.shared import Key, SharedNumbers
from ca.deviations import DeviationKind
from ca.journal import Exchange
from ca.ports import Allowed, Deferred, Denied, Verdict

_WEAK = (DeviationKind.WEAK_DIGEST, DeviationKind.WEAK_CIPHER, DeviationKind.WEAK_KEY)
# One for all sizes: there would be a thousand.
WEAK_KEY = "RSA below 2048"
# A histogram's row: a number for each bucket, one for what is above all of them, and the sum.
_SUM = len(BUCKETS) + 1
HISTOGRAM_LENGTH = len(BUCKETS) + 2
_VERDICTS = {Allowed: "allowed", Denied: "denied", Deferred: "deferred"}
NO_VERDICT = "unavailable"
_CONNECTIONS, _QUEUED = (CONNECTIONS.name,), (REQUESTS_QUEUED.name,)


class Meter:
    """What a process counts. Threads may share one; each process counts in a part of *numbers* of its own."""

    def __init__(self, numbers: SharedNumbers | None = None) -> None:
        self.numbers = numbers or SharedNumbers()
        self._lock = Lock()

    def begin(self, place: int) -> None:
        """Count as the process that serves in that *place*."""
        with self._lock:
            self.numbers.take(place)
            self._add((WORKER_STARTS.name,))
            for one in OF_THE_MOMENT:
                # Whoever was here before took his connections with him.
                if at := self.numbers.find((one.name,), 1):
                    self.numbers.own[at] = 0

    def watch(self, exchange: Exchange) -> None:
        """Count a PKIOperation that has ended, with its laps."""
        operation, profile, fail_info = exchange.message_type, exchange.profile.name, exchange.fail_info
        laps = exchange.laps
        with self._lock:
            self._add((OPERATIONS.name, operation, profile, exchange.status, fail_info or ""))
            self._observe((OPERATION_DURATION.name, operation), laps.total)
            for stage, seconds in laps.seconds.items():
                self._observe((STAGE_DURATION.name, stage), seconds)
            if fail_info:
                self._add((REFUSALS.name, profile, exchange.rule))
            for algorithm in _weak_algorithms(exchange):
                self._add((WEAK_ALGORITHMS.name, family_of(exchange.peer.client), algorithm))

    def count(self, operation: str, profile: str, outcome: str) -> None:
        """Count an operation that no exchange came of."""
        with self._lock:
            self._add((OPERATIONS.name, operation, profile, outcome, ""))

    def count_query(self, kind: str, outcome: str) -> None:
        """Count a request for whether certificates are revoked: *kind* is ``CRL`` or ``OCSP``."""
        with self._lock:
            self._add((REVOCATION_QUERIES.name, kind, outcome))

    def leave_out_recordings(self, number: int, reason: str) -> None:
        """Count exchanges that were not recorded; *reason* is one of the recorder's."""
        with self._lock:
            self._add((RECORDINGS_LEFT_OUT.name, reason), number)

    def change_connections(self, by: int) -> None:
        """So many more connections are open."""
        with self._lock:
            self._add(_CONNECTIONS, by)

    def change_requests(self, by: int) -> None:
        """So many more requests have come and have no answer yet."""
        with self._lock:
            self._add(_QUEUED, by)

    def turn_away(self, why: TurnedAway) -> None:
        """Count a request that was answered by 503 because there was too much of that."""
        with self._lock:
            self._add((REQUESTS_TURNED_AWAY.name, why))

    def close(self, why: Closed) -> None:
        """Count a connection that was closed for that reason."""
        with self._lock:
            self._add((CONNECTIONS_CLOSED.name, why))

    def consulting(
        self, consult: Callable[[str, Callable[[], Verdict]], Verdict]
    ) -> Callable[[str, Callable[[], Verdict]], Verdict]:
        """*consult*, which has a validator asked by its name, with what came of it counted."""

        def ask(name: str, question: Callable[[], Verdict]) -> Verdict:
            began, said = time.monotonic(), NO_VERDICT
            try:
                verdict = consult(name, question)
                said = _VERDICTS[type(verdict)]
                return verdict
            finally:
                self._note_validator(name, said, time.monotonic() - began)

        return ask

    def _note_validator(self, name: str, said: str, seconds: float) -> None:
        latest = VALIDATOR_FAILURE if said == NO_VERDICT else VALIDATOR_SUCCESS
        with self._lock:
            self._add((VALIDATOR_VERDICTS.name, name, said))
            self._observe((VALIDATOR_DURATION.name, name), seconds)
            if at := self.numbers.find((latest.name, name), 1):
                self.numbers.own[at] = time.time()

    def _add(self, key: Key, number: int = 1) -> None:
        numbers = self.numbers
        if at := numbers.find(key, 1):
            numbers.own[at] += number

    def _observe(self, key: Key, seconds: float) -> None:
        numbers = self.numbers
        if at := numbers.find(key, HISTOGRAM_LENGTH):
            own = numbers.own
            own[at + bisect_left(BUCKETS, seconds)] += 1
            own[at + _SUM] += seconds


def _weak_algorithms(exchange: Exchange) -> set[str]:
    """What of a message is weak, once each; the names are those of the program's own lists."""
    if not exchange.deviations:
        return set()
    return {
        WEAK_KEY if one.kind is DeviationKind.WEAK_KEY else one.detail
        for one in exchange.deviations
        if one.kind in _WEAK
    }
