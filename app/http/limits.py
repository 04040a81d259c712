"""What a stranger may take of the server."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """What a stranger may take of one process. Times are seconds, sizes octets.

    *request_seconds* is how long a whole request may take to arrive, *idle_seconds* how long a
    connection may wait between requests.
    """

    body_octets: int = 256 * 1024
    header_octets: int = 96 * 1024
    connections: int = 1000
    request_seconds: int = 30
    idle_seconds: int = 60
