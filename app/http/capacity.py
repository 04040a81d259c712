"""How many connections one process of this system can have at once."""

import select
from dataclasses import replace

from app.http.limits import Limits

try:
    import resource
except ImportError:  # Windows
    resource = None  # type: ignore[assignment]

# Python's select takes this many sockets on Windows, which has no poll.
_MOST_OF_SELECT = 512
# What else a process has open: the database, the log, what wakes the loop, the listening sockets.
_OTHER_FILES = 64


def within_capacity(limits: Limits) -> Limits:
    """The *limits* with as many connections as the system allows, its limit on open files raised first."""
    most = min(_most_of_files(limits.connections + _OTHER_FILES), _most_of_poll()) - _OTHER_FILES
    return replace(limits, connections=max(1, min(limits.connections, most)))


def limit_on_files() -> int | None:
    """How many files this process may have open; None where nobody counts them."""
    if resource is None:
        return None
    soft: int = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return None if soft == resource.RLIM_INFINITY else soft


def _most_of_poll() -> int:
    return 1 << 30 if hasattr(select, "poll") else _MOST_OF_SELECT


def _most_of_files(needed: int) -> int:
    """How many files may be open, after asking for as many as are *needed*."""
    if resource is None:
        return needed
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= needed:
        return needed
    wanted = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    except (OSError, ValueError):
        return soft
    return wanted
