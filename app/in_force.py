"""What a server has taken in last, left in the data folder for its new processes and for who reloads."""

import json
import os
import time
from dataclasses import dataclass
from pathlib import Path

from app.data_folder import replace_private

_TRIES = 20
_NAP_SECONDS = 0.1


@dataclass(frozen=True, slots=True)
class InForce:
    """The settings *text*, and the path of the settings *file* that the server looks at."""

    file: str
    text: str


def read_in_force(path: Path) -> InForce | None:
    """What lies at *path*; None where no server ever left anything that can be read."""
    try:
        left = json.loads(path.read_bytes())
        return InForce(str(left["file"]), str(left["text"]))
    except (OSError, ValueError, TypeError, KeyError):
        return None


def leave_in_force(path: Path, in_force: InForce) -> None:
    """Leave it at *path*, for its owner alone to read.

    Raises:
        OSError: The folder cannot be written to.

    """
    left = {"file": in_force.file, "text": in_force.text}
    replace_while_read(path, json.dumps(left, indent=1).encode("utf-8", "surrogateescape") + b"\n")


def replace_while_read(path: Path, content: bytes) -> None:
    """Replace a private file that others may be reading.

    Raises:
        OSError: The folder cannot be written to.

    """
    for tries_left in reversed(range(_TRIES)):
        try:
            replace_private(path, content)
            return
        except PermissionError:
            # Windows replaces no file that somebody is just reading.
            if os.name != "nt" or not tries_left:
                raise
            time.sleep(_NAP_SECONDS)
