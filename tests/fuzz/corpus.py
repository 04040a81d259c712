"""What runs of atheris have found: for each target the inputs that went where no other had gone.

``python -m tests.fuzz.corpus TARGET FOLDER`` keeps what is in the folder of a run.
"""

import io
import sys
import tarfile
from collections.abc import Iterable
from pathlib import Path

ARCHIVES = Path(__file__).with_name("corpus")


def corpus(target: str) -> list[bytes]:
    """The inputs that are kept for *target*; none before its first run."""
    path = ARCHIVES / f"{target}.tar.xz"
    if not path.exists():
        return []
    with tarfile.open(path) as archive:
        files = [archive.extractfile(member) for member in archive]
        return [file.read() for file in files if file is not None]


def keep(target: str, inputs: Iterable[bytes]) -> None:
    """Keep *inputs* in place of what was kept; the same ones make the same archive."""
    ARCHIVES.mkdir(exist_ok=True)
    with tarfile.open(ARCHIVES / f"{target}.tar.xz", "w:xz") as archive:
        for number, data in enumerate(sorted(set(inputs))):
            member = tarfile.TarInfo(f"{number:04}")
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))


if __name__ == "__main__":
    keep(sys.argv[1], (path.read_bytes() for path in Path(sys.argv[2]).iterdir()))
