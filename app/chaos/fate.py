"""What befalls a request in chaos mode: drawn once for each, the same ones in the same order for one seed."""

from dataclasses import dataclass
from random import Random

# What somebody writes down and types again.
MAX_SEED = 2**63 - 1
# How often each happens.
_PENDING, _LOST, _SLOW, _ODD = 1 / 3, 1 / 10, 1 / 4, 1 / 2
# Seconds: what a person notices, and less than any client's patience.
_LEAST_SECONDS, _MOST_SECONDS = 0.2, 5.0


@dataclass(frozen=True, slots=True)
class Fate:
    """*pending*: a certificate is not handed out yet. *lost*: the connection is closed without the reply.

    *seconds* is how much longer the reply takes; with *odd* it is written as few servers write it.
    """

    pending: bool = False
    lost: bool = False
    seconds: float = 0.0
    odd: bool = False


class Fates:
    """The fates of one *seed*."""

    def __init__(self, seed: int) -> None:
        self._random = Random(seed)  # noqa: S311 - to be had again by its seed is what it is for

    def draw(self) -> Fate:
        """The next one. As many numbers are drawn for each, so that a change of one leaves the others."""
        pending, lost, slow, odd, share = (self._random.random() for _ in range(5))
        seconds = _LEAST_SECONDS + share * (_MOST_SECONDS - _LEAST_SECONDS)
        return Fate(pending < _PENDING, lost < _LOST, seconds if slow < _SLOW else 0.0, odd < _ODD)
