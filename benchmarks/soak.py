"""The door of the soak: sees to the requirements, then runs it."""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def main() -> None:
    """Run in the project's environment; this folder itself is no place to import from."""
    sys.path[0] = str(ROOT)
    from app.bootstrap import ensure_environment

    ensure_environment(ROOT, [ROOT / "requirements.txt"])
    from benchmarks.soaking.cli import soak

    soak()


if __name__ == "__main__":
    main()
