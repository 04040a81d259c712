"""Every metric there is: its name, what it is of, and what it means. Counts nothing.

Nothing that a stranger sends becomes a label as it is: profiles and validators are those of the settings,
the rest are lists of the program, and what is in none of them is ``unknown`` or ``other``.
"""

from dataclasses import dataclass
from enum import StrEnum

UNKNOWN = "unknown"
# Seconds: from what an answer to a poll takes to what nobody waits for.
BUCKETS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
# For certificates that end: a weekend, the renewals' usual window, and a quarter of a year.
EXPIRING_DAYS = (3, 30, 90)


class Kind(StrEnum):
    """How Prometheus reads it."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric; *help* is a sentence for people, without its full stop.

    Of several processes' numbers the *latest* counts, where it is a time, and else their sum.
    """

    name: str
    kind: Kind
    help: str
    labels: tuple[str, ...] = ()
    latest: bool = False


def _counter(name: str, help: str, *labels: str) -> Metric:
    return Metric(f"scepbox_{name}_total", Kind.COUNTER, help, labels)


def _gauge(name: str, help: str, *labels: str) -> Metric:
    return Metric(f"scepbox_{name}", Kind.GAUGE, help, labels)


def _time(name: str, help: str, *labels: str) -> Metric:
    return Metric(f"scepbox_{name}_timestamp_seconds", Kind.GAUGE, help, labels, latest=True)


def _histogram(name: str, help: str, *labels: str) -> Metric:
    return Metric(f"scepbox_{name}_duration_seconds", Kind.HISTOGRAM, help, labels)


# Counted where requests are served.
OPERATIONS = _counter(
    "operations",
    "SCEP operations by what was asked, at which profile, what came of it, and the failInfo of a refusal",
    *("operation", "profile", "outcome", "fail_info"),
)
REFUSALS = _counter("refusals", "Refused PKIOperations by the rule that refused them", "profile", "rule")
REVOCATION_QUERIES = _counter(
    "revocation_queries", "Requests for a CRL or by OCSP, and what came of them", "kind", "outcome"
)
OPERATION_DURATION = _histogram(
    "operation", "How long a PKIOperation took, without the transport", "operation"
)
STAGE_DURATION = _histogram("stage", "How long each stage of a PKIOperation took", "stage")
WEAK_ALGORITHMS = _counter(
    "weak_algorithms",
    "Messages in which a client used an algorithm or a key that is to be switched off, refused ones too",
    *("client", "algorithm"),
)
VALIDATOR_VERDICTS = _counter(
    "validator_verdicts", "What validators said when they were asked", "validator", "verdict"
)
VALIDATOR_DURATION = _histogram(
    "validator", "How long a request waited for the verdict of a validator", "validator"
)
VALIDATOR_SUCCESS = _time("validator_last_success", "When the validator last gave a verdict", "validator")
VALIDATOR_FAILURE = _time("validator_last_failure", "When the validator last gave none", "validator")
REQUESTS_QUEUED = _gauge("requests_queued", "Requests of devices that have come and have no answer yet")
REQUESTS_TURNED_AWAY = _counter(
    "requests_turned_away",
    "Requests of devices that got 503 unread, by what there was too much of",
    "reason",
)
CONNECTIONS = _gauge("connections", "Connections of devices that are open")
CONNECTIONS_CLOSED = _counter(
    "connections_closed",
    "Connections that the server closed while the device had them open, by why",
    "reason",
)
RECORDINGS_LEFT_OUT = _counter(
    "recordings_left_out", "Exchanges that were served and not recorded, by what was in the way", "reason"
)
WORKER_STARTS = _counter("worker_starts", "Processes that began to serve, those that replaced others too")

# Looked up when they are asked for.
VALIDATOR_UP = _gauge(
    "validator_up",
    "Whether the validator gave a verdict when it was last asked; absent until it was",
    "validator",
)
DATABASE_UP = _gauge("database_up", "Whether the database could be read for this scrape, and written last")
DATABASE_READ = _gauge(
    "database_read_seconds", "How long the database took to answer what this scrape asks of it"
)
CHALLENGES = _gauge("challenges", "Challenge passwords that may still be used", "profile")
CERTIFICATES = _gauge("certificates", "Certificates in force: neither revoked nor expired")
EXPIRING = _gauge(
    "certificates_expiring", "Certificates in force that end within so many days, renewed ones too", "days"
)
REQUESTS_WAITING = _gauge("requests_waiting", "Requests that wait for a person's decision", "profile")
NOTIFICATIONS_WAITING = _gauge(
    "notifications_waiting", "What validators have yet to be told of decisions", "validator"
)
CRL_AGE = _gauge("crl_age_seconds", "How old the newest CRL of a CA is", "ca")
CRL_NEXT_UPDATE = _time("crl_next_update", "When the newest CRL of a CA ends to be good", "ca")
CA_END = _time("ca_not_after", "When the certificate of a CA ends", "ca")
BUILD = _gauge("build_info", "Always 1; the label says which version this is", "version")
LEFT_OUT = _counter("left_out", "Counts that there was no memory for: where it rises, others are too low")

COUNTED = (
    OPERATIONS,
    REFUSALS,
    REVOCATION_QUERIES,
    OPERATION_DURATION,
    STAGE_DURATION,
    WEAK_ALGORITHMS,
    VALIDATOR_VERDICTS,
    VALIDATOR_DURATION,
    VALIDATOR_SUCCESS,
    VALIDATOR_FAILURE,
    REQUESTS_QUEUED,
    REQUESTS_TURNED_AWAY,
    CONNECTIONS,
    CONNECTIONS_CLOSED,
    RECORDINGS_LEFT_OUT,
    WORKER_STARTS,
)
# What is so now in the process that counts it, and is no more when that has ended.
OF_THE_MOMENT = tuple(one for one in COUNTED if one.kind is Kind.GAUGE and not one.latest)
LOOKED_UP = (
    VALIDATOR_UP,
    DATABASE_UP,
    DATABASE_READ,
    CHALLENGES,
    CERTIFICATES,
    EXPIRING,
    REQUESTS_WAITING,
    NOTIFICATIONS_WAITING,
    CRL_AGE,
    CRL_NEXT_UPDATE,
    CA_END,
    BUILD,
    LEFT_OUT,
)
CATALOGUE = (*COUNTED, *LOOKED_UP)
