"""The signals that a server heeds: those that end it, and the hangup that has it take in its settings."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from app.terminal import Terminal

# The last is Windows' Ctrl-Break.
_ENDS = [getattr(signal, name) for name in ("SIGTERM", "SIGINT", "SIGBREAK") if hasattr(signal, name)]
# Windows has none.
_HANGUPS = [signal.SIGHUP] if hasattr(signal, "SIGHUP") else []
_SIGNALS = [*_ENDS, *_HANGUPS]
# What a console sends to all processes that it has.
_OF_CONSOLE = [number for number in _SIGNALS if number != signal.SIGTERM]


class Heeding(Protocol):
    """What signals are for. Both methods are called by a signal handler."""

    def stop(self) -> None:
        """End, once what is in flight is finished."""

    def reload(self) -> None:
        """Take changed settings in."""


def heed_signals(one: Heeding, terminal: Terminal) -> None:
    """Have *one* told from now on; a hangup ends it where it says that the *terminal* was closed."""
    for number in _ENDS:
        signal.signal(number, lambda *_: one.stop())
    for number in _HANGUPS:
        signal.signal(number, lambda *_: one.stop() if terminal.is_gone() else one.reload())


def ignore_console() -> None:
    """Leave what a console sends, such as Ctrl-C, to the parent, which gets it too."""
    for number in _OF_CONSOLE:
        signal.signal(number, signal.SIG_IGN)


@contextmanager
def held_back() -> Iterator[None]:
    """Have them wait meanwhile, in this process and in those that it forks (POSIX alone)."""
    signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    try:
        yield
    finally:
        let_through()


def let_through() -> None:
    """Have those come that were held back, and those that follow."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
