"""How long each stage of a request's road takes, by a clock that never goes back. Judges nothing."""

from collections.abc import Callable
from enum import StrEnum
from time import perf_counter
from typing import TypeVar

from ca.ports import Repository, Store

T = TypeVar("T")


class Stage(StrEnum):
    """The stages, in the order of the road; one may be entered again."""

    READ = "read"
    DECRYPT = "decrypt"
    # Policy, signing, and every statement; a signature may be made before the transaction (ca.ahead).
    DECIDE = "decide"
    # Whoever is asked outside of a transaction: a validator, a linter.
    CONSULT = "consult"
    # Before and after what is decided: waiting for a turn to write, and for the disk.
    COMMIT = "commit"
    REPLY = "reply"


class Laps:
    """The stages of one request. It begins with the first one, and is in one of them at any time."""

    __slots__ = ("_entered", "_stage", "_started", "seconds")

    def __init__(self) -> None:
        self.seconds: dict[Stage, float] = {}
        self._stage = Stage.READ
        self._started = self._entered = perf_counter()

    def enter(self, stage: Stage) -> None:
        """Be at *stage* from now on; what passed until now was the one before."""
        now = perf_counter()
        seconds, ended = self.seconds, self._stage
        seconds[ended] = seconds.get(ended, 0.0) + now - self._entered
        self._stage, self._entered = stage, now

    @property
    def reached(self) -> Stage:
        """The stage whose work is under way; what a transaction decides counts as deciding to its end."""
        return Stage.DECIDE if self._stage is Stage.COMMIT else self._stage

    @property
    def total(self) -> float:
        """How many seconds all stages took together, but for the one that goes on."""
        return self._entered - self._started

    def end(self) -> None:
        """End the last stage."""
        self.enter(self._stage)

    def transact(self, store: Store, work: Callable[[Repository], T]) -> T:
        """Run *work* as one transaction (see :meth:`ca.ports.Store.transact`), however often it is begun.

        Raises:
            StoreUnavailable: The store could not write.

        """

        def decide(repository: Repository) -> T:
            self.enter(Stage.DECIDE)
            try:
                return work(repository)
            finally:
                self.enter(Stage.COMMIT)

        self.enter(Stage.COMMIT)
        return store.transact(decide)
