"""The command line's door: sees to it that what the program needs is there, then calls app.cli."""

import gc
import sys
from pathlib import Path


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
        from app.cli import main

        gc.enable()
        main()
    except KeyboardInterrupt:
        _stop("scepbox: interrupted")


def _stop(why: str) -> None:
    sys.stderr.write(why + "\n")
    sys.exit(2)


if __name__ == "__main__":
    _main()
