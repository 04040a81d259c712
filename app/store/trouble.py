"""What a database says when it cannot, with the next step for whoever reads it."""

from app.store.database_file import LOST, MISSING
from app.store.engine import in_one_line
from ca.errors import StoreUnavailable

# What is said of text that is none.
_NO_TEXT = ("could not decode to utf-8", "codec can't decode")
# What the drivers say, in lower case, and what to do then. The first that fits counts.
_ADVICE = (
    (
        (LOST,),
        "put that very file back, and it goes on by itself; where it is gone, stop the server and bring a "
        "backup into another folder with the verb restore",
    ),
    ((MISSING,), "bring it back from a backup"),
    (
        ("disk is full", "no space left"),
        "make room on its disk: nothing was lost, and a server that runs goes on by itself",
    ),
    (
        ("readonly database", "read-only file system", "unable to open database file"),
        "see that its disk is not mounted read-only, and that this user may write the file and its folder",
    ),
    (
        ("malformed", "not a database", "file is encrypted", *_NO_TEXT),
        "the file is damaged: keep it, and bring a backup into another folder with the verb restore",
    ),
    (
        ("password authentication failed", "no password supplied"),
        "see that password_file or url in [database] has the password of today; the file is read again for "
        "each new connection",
    ),
    (
        ("read-only transaction",),
        "it is a standby, or was set read-only: name the server that may be written, or set it back",
    ),
    (("permission denied for",), "grant this user what it had: it has to own the tables, or may write them"),
    # What SQLite says as well where there is no room for its -shm file.
    (("disk i/o error",), "its disk is full or fails: see how much room it has, then the system's log"),
)
_DAMAGED = ("malformed", "not a database", "invalid page", "could not read block", *_NO_TEXT)


def unavailable(error: BaseException) -> StoreUnavailable:
    """A driver's error in words for people."""
    said = in_one_line(error)
    return StoreUnavailable(f"{said}{advice(said)}")


def advice(said: str) -> str:
    """What to do about what a driver *said*, to be put behind it; empty where nothing is known."""
    small = said.lower()
    for signs, step in _ADVICE:
        if any(sign in small for sign in signs):
            return f"; {step}"
    return ""


def is_damage(error: StoreUnavailable) -> bool:
    """Whether the database itself is broken, and not just out of reach."""
    return any(sign in str(error).lower() for sign in _DAMAGED)
