"""What runs on this machine."""

import subprocess


def children(pid: int) -> list[int]:
    """The processes that *pid* started and that still run."""
    listed = subprocess.run(
        ["ps", "-o", "pid=", "--ppid", str(pid)], capture_output=True, text=True, check=False
    )
    return [int(line) for line in listed.stdout.split()]
