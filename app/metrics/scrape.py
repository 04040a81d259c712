"""What a scrape finds: the sums of what was counted, and what the database and the CAs say at that moment."""

import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TypeAlias

from app import VERSION
from app.http.traffic import Closed, TurnedAway
from app.metrics import catalogue
from app.metrics.catalogue import COUNTED, EXPIRING_DAYS, UNKNOWN, Metric
from app.metrics.meter import Meter
from app.metrics.shared import add_rows
from app.recorder.recorder import REASONS
from app.store import SqlStore
from app.store.records import Figures
from ca.errors import ChallengeReused, StoreUnavailable
from ca.issuing.status import RevocationStatus
from ca.ports import Clock

Labels: TypeAlias = tuple[str, ...]
# The numbers of one metric by its labels: one, or the row of a histogram.
Samples: TypeAlias = dict[Labels, list[float]]
_BY_NAME = {one.name: one for one in COUNTED}


@dataclass(frozen=True, slots=True)
class Scraper:
    """Looks when it is asked to. *statuses* are the CAs with their CRLs, by the names that certificates use.

    *profiles* and *validators* are those of the settings in force: what the database has for others is
    told under ``unknown``.
    """

    meter: Meter
    store: SqlStore
    clock: Clock
    profiles: Collection[str]
    validators: Collection[str]
    statuses: Mapping[str, RevocationStatus]

    def look(self) -> dict[Metric, Samples]:
        """Everything at this moment. May take as long as the database does; a thread may do it."""
        found = add_up(self.meter)
        self._begin_at_zero(found)
        found[catalogue.BUILD] = {(VERSION,): [1.0]}
        found[catalogue.LEFT_OUT] = {(): [float(self.meter.numbers.left_out)]}
        found[catalogue.VALIDATOR_UP] = _validators_up(found)
        ends = ((name, one.authority.not_after) for name, one in self.statuses.items())
        found[catalogue.CA_END] = {(name,): [end.timestamp()] for name, end in ends}
        return found | self._database(self.clock())

    def _begin_at_zero(self, found: dict[Metric, Samples]) -> None:
        """Have what people are alerted at there before it happens: of a first sample no rise is seen."""
        for reason in REASONS:
            found[catalogue.RECORDINGS_LEFT_OUT].setdefault((reason,), [0.0])
        for turned_away in TurnedAway:
            found[catalogue.REQUESTS_TURNED_AWAY].setdefault((turned_away,), [0.0])
        for closed in Closed:
            found[catalogue.CONNECTIONS_CLOSED].setdefault((closed,), [0.0])
        for profile in self.profiles:
            found[catalogue.REFUSALS].setdefault((profile, ChallengeReused.__name__), [0.0])
            for outcome in ("failed", "unavailable"):
                found[catalogue.OPERATIONS].setdefault(("PKIOperation", profile, outcome, ""), [0.0])

    def _database(self, now: datetime) -> dict[Metric, Samples]:
        began = time.monotonic()
        try:
            figures = self.store.read(lambda repository: repository.count_all(now, EXPIRING_DAYS))
            seconds = time.monotonic() - began
            crls = self._crls(now)
        except StoreUnavailable:
            # Whatever else is asked of it would only take as long again.
            return {catalogue.DATABASE_UP: {(): [0.0]}}
        return {
            catalogue.DATABASE_UP: {(): [float(self.store.can_write())]},
            catalogue.DATABASE_READ: {(): [seconds]},
            **self._figures(figures),
            **crls,
        }

    def _crls(self, now: datetime) -> dict[Metric, Samples]:
        # As whoever fetches them has them: so they are made in time though nobody else does.
        crls = {(name,): status.crl() for name, status in self.statuses.items()}
        signed = {labels: crl for labels, crl in crls.items() if crl.der}
        return {
            catalogue.CRL_AGE: {
                labels: [(now - crl.this_update).total_seconds()] for labels, crl in signed.items()
            },
            catalogue.CRL_NEXT_UPDATE: {
                labels: [crl.next_update.timestamp()] for labels, crl in signed.items()
            },
        }

    def _figures(self, figures: Figures) -> dict[Metric, Samples]:
        expiring: Samples = {(str(days),): [float(count)] for days, count in figures.expiring.items()}
        return {
            catalogue.CHALLENGES: _by_known(figures.challenges, self.profiles),
            catalogue.CERTIFICATES: {(): [float(figures.certificates)]},
            catalogue.EXPIRING: expiring,
            catalogue.REQUESTS_WAITING: _by_known(figures.waiting, self.profiles),
            catalogue.NOTIFICATIONS_WAITING: _by_known(figures.notifications, self.validators),
        }


def add_up(meter: Meter) -> dict[Metric, Samples]:
    """What all processes have counted: sums, and of times the latest."""
    rows: dict[Metric, dict[Labels, list[list[float]]]] = {one: {} for one in COUNTED}
    for (name, *labels), numbers in meter.numbers.read():
        rows[_BY_NAME[name]].setdefault(tuple(labels), []).append(numbers)
    return {
        metric: {
            labels: max(several) if metric.latest else add_rows(several)
            for labels, several in by_labels.items()
        }
        for metric, by_labels in rows.items()
    }


def _validators_up(found: Mapping[Metric, Samples]) -> Samples:
    good, bad = found[catalogue.VALIDATOR_SUCCESS], found[catalogue.VALIDATOR_FAILURE]
    never = [0.0]
    return {name: [float(good.get(name, never) > bad.get(name, never))] for name in {*good, *bad}}


def _by_known(counts: Mapping[str, int], known: Collection[str]) -> Samples:
    """Counts by the names that are *known*, each of which is there; all others are one."""
    samples: Samples = {(name,): [0.0] for name in known}
    for name, count in counts.items():
        labels = (name if name in known else UNKNOWN,)
        samples[labels] = [samples.get(labels, [0.0])[0] + count]
    return samples
