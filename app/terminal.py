"""The terminal that the program was started at, if any: whether it is still there.

A hangup says that it was closed, and is also how a service is told to take its settings in.
"""

import os
import signal

_TERMINAL = "/dev/tty"


class Terminal:
    """The terminal of this process, as it is when this is made."""

    def __init__(self) -> None:
        # nohup has hangups ignored: then its end is not this program's.
        ignored = hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
        self._was_there = not ignored and _opens()

    def is_gone(self) -> bool:
        """Whether there was one and it was closed."""
        return self._was_there and not _opens()


def _opens() -> bool:
    # Windows has no such file, and no hangups.
    try:
        os.close(os.open(_TERMINAL, os.O_RDWR))
    except OSError:
        return False
    return True
