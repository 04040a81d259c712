"""The command line's door: sees to it that what the program needs is there, then calls app.cli."""

import sys
from pathlib import Path

if __name__ == "__main__":
    if sys.version_info < (3, 11):  # noqa: UP036 - this line is for those who try an older one
        sys.exit("scepbox needs Python 3.11 or newer; this is " + sys.version.split()[0])
    ROOT = Path(__file__).resolve().parent
    sys.path.insert(0, str(ROOT))
    from app.bootstrap import ensure_environment

    ensure_environment(ROOT, [ROOT / "requirements.txt"])
    from app.cli import main

    main()
