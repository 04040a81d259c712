"""What a stranger may take of the server."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """What a stranger may take of one process. Times are seconds, sizes octets.

    One address (of IPv6: a /64) has *connections_per_source* of the *connections* at most. Where there are
    more, who has waited longest gives way. Where *requests_waiting* wait for their turn, others are refused.
    *request_seconds* is how long a whole request may take to arrive, *idle_seconds* how long a connection
    may wait between requests.
    """

    body_octets: int = 256 * 1024
    header_octets: int = 96 * 1024
    connections: int = 1000
    connections_per_source: int = 250
    requests_waiting: int = 500
    request_seconds: int = 30
    idle_seconds: int = 60
