"""atheris at one reader, until it finds a fault: ``python -m tests.fuzz TARGET [-max_total_time=SECONDS]``.

It needs ``pip install atheris``, which the suite does not. Valid messages and what earlier runs found
are laid into a folder beside the run, so that it begins with what gets past the first octets; what it
finds is put there too, and ``python -m tests.fuzz.corpus TARGET FOLDER`` keeps it.
"""

import sys
import tempfile
from pathlib import Path


def main() -> None:
    """Fuzz the target that the first argument names."""
    import atheris  # type: ignore[import-not-found,import-untyped,unused-ignore]

    ours = [
        *("ca", "app.diagnosis", "app.personas", "app.recorder"),
        *("app.http.query", "app.http.ocsp", "app.http.server", "waitress"),
    ]
    with atheris.instrument_imports(include=ours):
        from tests.fuzz.targets import TARGETS, seeds
    from tests.fuzz.corpus import corpus

    if len(sys.argv) < 2 or sys.argv[1] not in TARGETS:
        sys.exit(f"which of: {' '.join(TARGETS)}")
    name = sys.argv.pop(1)
    folder = Path(tempfile.mkdtemp(prefix=f"fuzz-{name}-"))
    print(f"fuzz: inputs are in {folder}", file=sys.stderr)
    for number, seed in enumerate((*seeds(name), *corpus(name))):
        (folder / f"seed-{number}").write_bytes(seed)
    atheris.Setup([*sys.argv, "-max_len=16384", "-timeout=10", str(folder)], TARGETS[name])
    atheris.Fuzz()


if __name__ == "__main__":
    main()
