"""What to do where the system refuses a file: the next step behind its own words."""

import errno

_STEPS = {
    errno.ENOSPC: "make room on that disk and try again; nothing was overwritten",
    errno.EDQUOT: "make room within this user's quota and try again; nothing was overwritten",
    errno.EROFS: "that disk is mounted read-only: mount it to be written, or name another place",
    errno.EACCES: "this user may not: see whose the file and its folder are",
    errno.EPERM: "this user may not: see whose the file and its folder are",
    errno.EIO: "that disk fails: look at the system's log, and keep what can still be read",
}


def in_words(error: OSError, otherwise: str) -> str:
    """Which file it is about, or *otherwise* where nobody knows, why, and what to do; in one line."""
    step = _STEPS.get(error.errno or 0)
    return f"{error.filename or otherwise}: {error.strerror or error}{f'; {step}' if step else ''}"
