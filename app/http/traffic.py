"""What a listener tells of its connections and requests, for whoever counts them."""

from enum import StrEnum
from typing import Protocol


class TurnedAway(StrEnum):
    """Of what there was too much, so that a request was not served."""

    QUEUE_FULL = "queue full"
    OF_ADDRESS = "connections of the address"
    IN_ALL = "connections in all"


class Closed(StrEnum):
    """Why a connection was closed that its other side had open."""

    GAVE_WAY = "gave way"
    IDLE = "idle"
    SLOW = "slow"


class Traffic(Protocol):
    """Is told. Each method is called for many a request, and has to be quick."""

    def change_connections(self, by: int) -> None:
        """So many more are open."""

    def change_requests(self, by: int) -> None:
        """So many more have come and have no answer yet."""

    def turn_away(self, why: TurnedAway) -> None:
        """A request is answered by 503 because there was too much of that."""

    def close(self, why: Closed) -> None:
        """A connection is closed for that reason."""


class Uncounted:
    """Counts nothing."""

    def change_connections(self, by: int) -> None:
        """Nothing."""

    def change_requests(self, by: int) -> None:
        """Nothing."""

    def turn_away(self, why: TurnedAway) -> None:
        """Nothing."""

    def close(self, why: Closed) -> None:
        """Nothing."""
