"""The command line's door: sees to it that what the program needs is there, then calls app.cli."""

import gc
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn


def _main() -> None:
    if sys.version_info < (3, 11):  # noqa: UP036 - this line is for those who try an older one
        _stop("scepbox needs Python 3.11 or newer; this is " + sys.version.split()[0])
    root = Path(__file__).resolve().parent
    sys.path.insert(0, str(root))
    try:
        from app.bootstrap import ensure_environment

        ensure_environment(root, [root / "requirements.txt"])
        # What is loaded stays: to look among it for garbage is in vain.
        gc.disable()
        main = _load()
        gc.enable()
        main()
    except KeyboardInterrupt:
        _stop("scepbox: interrupted")


def _load() -> "Callable[[], None]":
    try:
        from app.cli import main
    except (ImportError, MemoryError) as error:
        # Such as a library that the system had no memory to map.
        what = " ".join(f"{type(error).__name__}: {error}".split())
        _stop(f"scepbox: cannot be loaded: {what}; is there memory for it (ulimit -v), and is .venv whole?")
    return main


def _stop(why: str) -> NoReturn:
    sys.stderr.write(why + "\n")
    sys.exit(2)


if __name__ == "__main__":
    _main()
