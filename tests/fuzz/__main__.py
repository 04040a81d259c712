"""atheris at one reader, until it finds a fault: ``python -m tests.fuzz TARGET [-max_total_time=SECONDS]``.

It needs ``pip install atheris``, which the suite does not. Valid messages are laid into a folder
beside the run, so that it begins with what gets past the first octets.
"""

import sys
import tempfile
from pathlib import Path


def main() -> None:
    """Fuzz the target that the first argument names."""
    import atheris  # type: ignore[import-not-found,import-untyped,unused-ignore]

    with atheris.instrument_imports(include=["ca", "app.http.query", "app.http.ocsp"]):
        from tests.fuzz.targets import TARGETS, seeds

    if len(sys.argv) < 2 or sys.argv[1] not in TARGETS:
        sys.exit(f"which of: {' '.join(TARGETS)}")
    name = sys.argv.pop(1)
    corpus = Path(tempfile.mkdtemp(prefix=f"fuzz-{name}-"))
    for number, seed in enumerate(seeds(name)):
        (corpus / f"seed-{number}").write_bytes(seed)
    atheris.Setup([*sys.argv, "-max_len=16384", "-timeout=10", str(corpus)], TARGETS[name])
    atheris.Fuzz()


if __name__ == "__main__":
    main()
