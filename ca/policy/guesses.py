"""Guesses at challenge passwords that nobody counts, where no server is asked over a network."""

from ca.ports import GuessLimit


class _Unlimited:
    """Takes any number of them."""

    def note_wrong(self, remote: str) -> None:
        """Forget it."""

    def is_exhausted(self, remote: str) -> bool:
        """Say no."""
        return False


UNLIMITED: GuessLimit = _Unlimited()
