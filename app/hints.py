"""How the program is called, for the next steps that it tells people."""

import os
from pathlib import Path

DEFAULT_DATA = Path("data")
# As the README has it: neither Debian nor macOS has a command called python.
PROGRAM = "py run.py" if os.name == "nt" else "python3 run.py"


def command(words: str, data: Path = DEFAULT_DATA) -> str:
    """The command line of a verb for the data folder *data*."""
    where = "" if data == DEFAULT_DATA else f' --data "{data}"' if " " in str(data) else f" --data {data}"
    return f"{PROGRAM} {words}{where}"
